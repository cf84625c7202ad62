internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Operators that read images between their elements.
  static let samplingFamily: [OperatorDefinition] = [
    resize, upsample, gridSample, affineGrid, roiAlign,
  ]

  /// Elements at the positions of a grid, in -1...1 on each spatial axis, the last axis first.
  private static let gridSample = OperatorDefinition(
    "GridSample", inputs: 2...2,
    attributes: [.int("align_corners"), .string("mode"), .string("padding_mode")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let grid = try context.floatingPoint(1)
      let spatial = input.shape.count - 2
      guard (1...3).contains(spatial), grid.shape.count == spatial + 2,
        !grid.shape[spatial + 1].contradicts(.fixed(spatial)),
        !grid.shape[0].contradicts(input.shape[0])
      else {
        throw context.incompatible(0, 1, expected: "[N, C, D…] and a grid [N, E…, \(spatial)]")
      }
      _ = try GridSampler(context)
      let shape = Array(input.shape[..<2]) + Array(grid.shape[1...spatial])
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, grid) = (try context.numbers(0), try context.numbers(1))
      let (sizes, shape) = (try context.sizes(0), types[0].sizes ?? [])
      let spatial = Array(sizes[2...])
      let sampler = try GridSampler(context)
      let (area, points) = (spatial.reduce(1, *), shape[2...].reduce(1, *))
      var y = [Double](repeating: 0, count: shape.reduce(1, *))
      guard area > 0 else { return [Tensor(zeros: shape, types[0].elementType)] }
      for n in 0..<shape[0] {
        for point in 0..<points {
          // The elements around the point and their weights, one axis after the other.
          var around = [(index: 0, weight: 1.0)]
          for (axis, size) in spatial.enumerated() {
            let place = grid[(n * points + point) * spatial.count + spatial.count - 1 - axis]
            let along = sampler.elements(place, size)
            around = around.flatMap { outer in
              along.map { (outer.index * size + $0.index, outer.weight * $0.weight) }
            }
          }
          for c in 0..<shape[1] {
            let image = (n * shape[1] + c) * area
            y[(n * shape[1] + c) * points + point] = around.reduce(0) {
              $0 + x[image + $1.index] * $1.weight
            }
          }
        }
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })

  /// The grid that an affine map makes of an image's positions, for GridSample.
  private static let affineGrid = OperatorDefinition(
    "AffineGrid", inputs: 2...2, attributes: [.int("align_corners")],
    infer: { (context) throws(GraphError) in
      let theta = try context.floatingPoint(0)
      let size = try context.integers(1)
      let spatial = size.count - 2
      guard spatial == 2 || spatial == 3, size.allSatisfy({ $0 >= 0 }), theta.shape.count == 3,
        !theta.shape[1].contradicts(.fixed(spatial)),
        !theta.shape[2].contradicts(.fixed(spatial + 1)),
        !theta.shape[0].contradicts(.fixed(size[0]))
      else { throw context.incompatible(0, 1, expected: "[N, D, D + 1] and [N, C, D…], D 2 or 3") }
      let shape = [size[0]] + size[2...] + [spatial]
      return [ValueType(theta.elementType, shape.map { .fixed($0) })]
    },
    evaluate: { (context, types) throws(GraphError) in
      let theta = try context.numbers(0)
      let shape = types[0].sizes ?? []
      let spatial = Array(shape[1..<shape.count - 1])
      let isAligned = try context.flag("align_corners")
      let axes = spatial.count
      let places = multiIndices(spatial).map { place in
        zip(place, spatial).map { index, size -> Double in
          if isAligned { return size == 1 ? 0 : -1 + 2 * Double(index) / Double(size - 1) }
          return -1 + (2 * Double(index) + 1) / Double(size)
        }
      }
      var y: [Double] = []
      for n in 0..<shape[0] {
        for place in places {
          for row in 0..<axes {
            let line = (n * axes + row) * (axes + 1)
            // The map counts the last axis first.
            y.append(
              (0..<axes).reduce(theta[line + axes]) {
                $0 + theta[line + $1] * place[axes - 1 - $1]
              })
          }
        }
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })

  /// Regions of images, each averaged (or its largest taken) into a grid of fixed size.
  ///
  /// Source: He, Gkioxari, Dollár and Girshick, *Mask R-CNN*, 2017, section 3.
  private static let roiAlign = OperatorDefinition(
    "RoiAlign", inputs: 3...3,
    attributes: [
      .string("coordinate_transformation_mode"), .string("mode"), .int("output_height"),
      .int("output_width"), .int("sampling_ratio"), .float("spatial_scale"),
    ],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let regions = try context.floatingPoint(1)
      _ = try context.indices(2)
      guard input.shape.count == 4, regions.shape.count == 2, !regions.shape[1].contradicts(4)
      else {
        throw context.incompatible(0, 1, expected: "[N, C, H, W] and [regions, 4]")
      }
      try context.vector(2, count: regions.shape[0])
      let (height, width) = context.regionSize
      for size in [height, width] where !(1...1 << 20).contains(size) {
        throw context.wrongAttribute("output_height", size, expected: "1...\(1 << 20)")
      }
      if let size = input.shape[0].size, let places = context.optionalTensor(2)?.integers() {
        guard places.allSatisfy({ (0..<size).contains($0) }) else {
          throw context.wrongShape(2, expected: "batch indices in 0..<\(size)")
        }
      }
      return [
        ValueType(
          input.elementType, [regions.shape[0], input.shape[1], .fixed(height), .fixed(width)])
      ]
    },
    evaluate: evaluateRoiAlign)
}

extension NodeContext {
  fileprivate var regionSize: (height: Int, width: Int) {
    (node.int("output_height", default: 1), node.int("output_width", default: 1))
  }
}

/// How a GridSample reads one axis.
struct GridSampler {
  private enum Kind { case nearest, linear, cubic }
  private let kind: Kind
  private let padding: String
  private let isAligned: Bool

  init(_ context: NodeContext) throws(GraphError) {
    switch context.node.string("mode", default: "linear") {
    case "nearest": kind = .nearest
    case "linear", "bilinear": kind = .linear
    case "cubic", "bicubic": kind = .cubic
    case let other:
      throw context.wrongAttribute("mode", "\"\(other)\"", expected: "nearest, linear or cubic")
    }
    padding = context.node.string("padding_mode", default: "zeros")
    guard ["zeros", "border", "reflection"].contains(padding) else {
      throw context.wrongAttribute(
        "padding_mode", "\"\(padding)\"", expected: "zeros, border or reflection")
    }
    isAligned = try context.flag("align_corners")
  }

  /// The elements that stand for a place in -1...1, those of the padding left out; `slope` is the
  /// weight's derivative by the place.
  func elements(_ place: Double, _ size: Int) -> [(index: Int, weight: Double, slope: Double)] {
    let length = Double(size)
    var x = isAligned ? (place + 1) / 2 * (length - 1) : ((place + 1) * length - 1) / 2
    var slope = isAligned ? (length - 1) / 2 : length / 2
    guard x.isFinite, abs(x) < 0x1p40 else { return [] }
    if kind == .nearest { x = x.rounded(.toNearestOrEven) }
    let (low, high) = isAligned ? (0, length - 1) : (-0.5, length - 0.5)
    if x < low || x > high {
      // Taps of a cubic stay where they are and take the border each for itself.
      if padding == "border", kind != .cubic {
        x = min(max(x, 0), length - 1)
        slope = 0
      }
      if padding == "reflection" {
        let there = reflected(x, low, high)
        // Each turn at a border changes the direction.
        if reflected(x + 1e-6, low, high) < there { slope = -slope }
        x = there
      }
    }
    let left = Int(x.rounded(.down))
    let fraction = x - x.rounded(.down)
    let taps: [(index: Int, weight: Double, slope: Double)]
    switch kind {
    case .nearest: taps = [(left, 1, 0)]
    case .linear: taps = [(left, 1 - fraction, -slope), (left + 1, fraction, slope)]
    case .cubic:
      taps = (-1...2).map { step in
        let distance = Double(step) - fraction
        let steepness = cubicSlope(abs(distance), -0.75)
        return (
          left + step, cubicWeight(abs(distance), -0.75),
          slope * (distance > 0 ? -steepness : steepness)
        )
      }
    }
    return taps.compactMap { tap in
      if (0..<size).contains(tap.index) { return tap }
      switch padding {
      case "border": return (min(max(tap.index, 0), size - 1), tap.weight, tap.slope)
      case "reflection":
        let there = Int(reflected(Double(tap.index), low, high))
        return (min(max(there, 0), size - 1), tap.weight, tap.slope)
      default: return nil
      }
    }
  }

  private func reflected(_ x: Double, _ low: Double, _ high: Double) -> Double {
    let range = high - low
    guard range > 0 else { return low }
    let distance = x < low ? low - x : x - high
    let turns = (distance / range).rounded(.down)
    let rest = distance - turns * range
    let isEven = turns.truncatingRemainder(dividingBy: 2) == 0
    return (x < low) == isEven ? low + rest : high - rest
  }
}

@Sendable private func evaluateRoiAlign(
  _ context: NodeContext, _ types: [ValueType]
) throws(GraphError) -> [Tensor] {
  let (x, shape) = (try context.numbers(0), types[0].sizes ?? [])
  let isMax = context.takesLargest
  var y: [Double] = []
  try context.forEachBin(shape) { image, bin in
    // The largest of the weighted elements, not of the samples, is what ONNX defines.
    let parts = bin.map { $0.map { x[image + $0.index] * $0.weight } }
    y.append(
      isMax
        ? parts.reduce(-.infinity) { max($0, $1.max() ?? 0) }
        : parts.reduce(0) { $0 + $1.reduce(0, +) } / Double(max(bin.count, 1)))
  }
  return [Tensor(rounding: y, shape: shape, types[0].elementType)]
}

extension NodeContext {
  /// True when a RoiAlign takes the largest part of a bin, not the mean.
  var takesLargest: Bool { node.string("mode", default: "avg") == "max" }

  /// Calls `body` for each element of a RoiAlign's result: with the flat index of its image's first
  /// element, and for each sample of its bin the elements around it and their weights.
  func forEachBin(
    _ shape: [Int], _ body: (_ image: Int, _ bin: [[(index: Int, weight: Double)]]) -> Void
  ) throws(GraphError) {
    let regions = try numbers(1)
    let batches = try integers(2)
    let sizes = try sizes(0)
    let (height, width) = (sizes[2], sizes[3])
    let (rows, columns) = regionSize
    let scale = Double(node.float("spatial_scale", default: 1))
    let ratio = node.int("sampling_ratio", default: 0)
    // Before operator set 16 there was one mode, without the shift by half an element.
    let isShifted =
      opset >= 16
      && node.string("coordinate_transformation_mode", default: "half_pixel") == "half_pixel"
    let shift = isShifted ? 0.5 : 0

    /// The four elements around a place and their weights; none outside the image.
    func taps(_ y: Double, _ x: Double) -> [(index: Int, weight: Double)] {
      guard y >= -1, y <= Double(height), x >= -1, x <= Double(width) else { return [] }
      func along(_ place: Double, _ size: Int) -> [(Int, Double)] {
        let place = max(place, 0)
        let low = min(Int(place), size - 1)
        let high = min(low + 1, size - 1)
        let fraction = low == size - 1 ? 0 : place - Double(low)
        return [(low, 1 - fraction), (high, fraction)]
      }
      return along(y, height).flatMap { row in
        along(x, width).map { (row.0 * width + $0.0, row.1 * $0.1) }
      }
    }

    for region in 0..<shape[0] {
      let corners = (0..<4).map { regions[region * 4 + $0] * scale - shift }
      guard corners.allSatisfy({ abs($0) < 0x1p20 }) else {
        throw wrongShape(1, expected: "finite corners below 2^20 in elements")
      }
      var (boxWidth, boxHeight) = (corners[2] - corners[0], corners[3] - corners[1])
      if !isShifted { (boxWidth, boxHeight) = (max(boxWidth, 1), max(boxHeight, 1)) }
      let (binHeight, binWidth) = (boxHeight / Double(rows), boxWidth / Double(columns))
      let down = ratio > 0 ? ratio : max(Int(binHeight.rounded(.up)), 0)
      let across = ratio > 0 ? ratio : max(Int(binWidth.rounded(.up)), 0)
      var samples: [[[(index: Int, weight: Double)]]] = []
      for row in 0..<rows {
        for column in 0..<columns {
          var bin: [[(index: Int, weight: Double)]] = []
          for i in 0..<down {
            for j in 0..<across {
              bin.append(
                taps(
                  corners[1] + (Double(row) + (Double(i) + 0.5) / Double(down)) * binHeight,
                  corners[0] + (Double(column) + (Double(j) + 0.5) / Double(across)) * binWidth))
            }
          }
          samples.append(bin)
        }
      }
      for c in 0..<sizes[1] {
        let image = (batches[region] * sizes[1] + c) * height * width
        for bin in samples { body(image, bin) }
      }
    }
  }
}
