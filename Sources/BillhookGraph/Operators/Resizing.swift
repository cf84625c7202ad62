internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Another size along some axes, by interpolation.
  static let resize = OperatorDefinition(
    "Resize", inputs: 1...4,
    attributes: [
      .int("antialias"), .ints("axes"), .string("coordinate_transformation_mode"),
      .float("cubic_coeff_a"), .int("exclude_outside"), .float("extrapolation_value"),
      .string("keep_aspect_ratio_policy"), .string("mode"), .string("nearest_mode"),
    ],
    infer: inferResize, evaluate: evaluateResize)

  /// The forerunner of Resize: scales alone, an attribute before operator set 9.
  static let upsample = OperatorDefinition(
    "Upsample", inputs: 1...2,
    attributes: [
      .string("mode"), .floats("scales"), .float("height_scale"), .float("width_scale"),
    ],
    infer: inferResize, evaluate: evaluateResize)
}

@Sendable private func inferResize(_ context: NodeContext) throws(GraphError) -> [ValueType] {
  let input = try context.type(0)
  var shape = input.shape
  for axis in try ResizedAxis.all(context, shape) {
    shape[axis.axis] = axis.output.map { .fixed($0) } ?? .symbolic("")
  }
  return [ValueType(input.elementType, shape)]
}

@Sendable private func evaluateResize(
  _ context: NodeContext, _ types: [ValueType]
) throws(GraphError) -> [Tensor] {
  let input = try context.tensor(0)
  let shape = types[0].sizes ?? []
  let axes = try ResizedAxis.all(context, input.shape.map { .fixed($0) })
  if input.count == 0 || shape.contains(0) { return [Tensor(zeros: shape, input.elementType)] }
  let interpolation = try Interpolation(context)
  if interpolation.takesElements {
    var positions = input.shape.map { Array(0..<$0) }
    for axis in axes {
      positions[axis.axis] = interpolation.rows(axis, input.shape[axis.axis], shape[axis.axis])
        .map { $0[0].index }
    }
    return [input.gathered(crossIndices(input.shape, positions), shape: shape)]
  }
  // One axis after the other; what lies outside the region on any of them is filled at the end.
  var (x, current) = (input.numbers(), input.shape)
  var isOutside: [(axis: Int, places: Set<Int>)] = []
  for axis in axes where !axis.isIdentity(interpolation) {
    let size = current[axis.axis]
    let rows = interpolation.rows(axis, size, shape[axis.axis])
    isOutside.append((axis.axis, Set(rows.indices.filter { rows[$0].isEmpty })))
    let source = Lines(current, axis: axis.axis)
    current[axis.axis] = shape[axis.axis]
    let target = Lines(current, axis: axis.axis)
    var y = [Double](repeating: 0, count: current.reduce(1, *))
    for (from, to) in zip(source.starts, target.starts) {
      for (place, row) in rows.enumerated() {
        y[to + place * target.stride] = row.reduce(0) {
          $0 + $1.weight * x[from + $1.index * source.stride]
        }
      }
    }
    x = y
  }
  let strides = rowMajorStrides(shape)
  for (axis, places) in isOutside where !places.isEmpty {
    for index in x.indices where places.contains(index / strides[axis] % shape[axis]) {
      x[index] = interpolation.extrapolation
    }
  }
  if input.elementType.integerType != nil { x = x.map { $0.rounded(.toNearestOrEven) } }
  return [Tensor(rounding: x, shape: shape, input.elementType)]
}

/// One axis of a Resize: how large it becomes, by which factor, and from which part of the input.
struct ResizedAxis {
  let axis: Int
  let scale: Double
  /// Nil while the input's size is not known.
  let output: Int?
  var region = (0.0, 1.0)

  func isIdentity(_ interpolation: Interpolation) -> Bool {
    scale == 1 && interpolation.coordinates != "tf_crop_and_resize"
  }

  static func all(_ context: NodeContext, _ shape: [Dimension]) throws(GraphError) -> [ResizedAxis]
  {
    let node = context.node
    let axes = try context.axes(node.ints("axes") ?? Array(shape.indices), rank: shape.count)
    // Resize has had the region of interest as input 1 since operator set 11.
    let isOld = node.op == "Upsample" || context.opset < 11
    var result: [ResizedAxis] = []
    func add(_ index: Int, _ scale: Double, _ output: Int?) throws(GraphError) {
      let size = shape[axes[index]].size
      guard scale > 0, scale.isFinite || size == 0, output ?? 0 >= 0 else {
        throw context.wrongAttribute("scales", scale, expected: "a factor above 0")
      }
      result.append(ResizedAxis(axis: axes[index], scale: scale, output: output))
    }
    if !isOld, context.optionalType(3) != nil, try context.type(3).shape != [0] {
      let sizes = try context.integers(3)
      guard sizes.count == axes.count, sizes.allSatisfy({ $0 >= 0 && $0 < 1 << 40 }) else {
        throw context.wrongShape(3, expected: "\(axes.count) sizes of 0 or more, found \(sizes)")
      }
      var scales: [Double] = []
      for (axis, size) in zip(axes, sizes) {
        guard let old = shape[axis].size else {
          throw .notConstant(op: context.op, node: context.name, value: context.valueName(0))
        }
        scales.append(Double(size) / Double(max(old, 1)))
      }
      let policy = node.string("keep_aspect_ratio_policy", default: "stretch")
      let common =
        policy == "not_larger" ? scales.min() : policy == "not_smaller" ? scales.max() : nil
      for index in axes.indices {
        let old = Double(shape[axes[index]].size ?? 0)
        let kept = common.map { old * $0 + 0.5 }
        guard (kept ?? 0) < 0x1p40 else {
          throw context.wrongShape(3, expected: "sizes whose common factor stays below 2^40")
        }
        try add(index, common ?? scales[index], kept.map { Int($0) } ?? sizes[index])
      }
    } else {
      let scales = try scales(context, isOld: isOld)
      guard scales.count == axes.count else {
        throw context.wrongShape(isOld ? 1 : 2, expected: "\(axes.count) scales")
      }
      for index in axes.indices {
        // In 32-bit floats, as exporters expect: 10 · 0.7 is 7.
        let size = shape[axes[index]].size.map { Float($0) * scales[index] }
        guard abs(size ?? 0) < 0x1p40 else {
          throw context.wrongAttribute("scales", scales, expected: "smaller factors")
        }
        try add(index, Double(scales[index]), size.map { Int($0.rounded(.down)) })
      }
    }
    if !isOld, context.optionalType(1) != nil,
      node.string("coordinate_transformation_mode", default: "") == "tf_crop_and_resize"
    {
      let region = try context.numbers(1)
      guard region.count == 2 * axes.count else {
        throw context.wrongShape(1, expected: "\(axes.count) starts and as many ends")
      }
      for index in axes.indices {
        result[index].region = (region[index], region[index + axes.count])
      }
    }
    return result
  }

  private static func scales(_ context: NodeContext, isOld: Bool) throws(GraphError) -> [Float] {
    let node = context.node
    if context.optionalType(isOld ? 1 : 2) != nil {
      return try context.tensor(isOld ? 1 : 2).floats()
    }
    if let scales = node.floats("scales") { return scales }
    // Operator set 1 of Upsample.
    return [1, 1, node.float("height_scale", default: 1), node.float("width_scale", default: 1)]
  }
}

/// How a Resize finds a place between input elements.
struct Interpolation {
  enum Kind { case nearest, linear, cubic }

  var kind: Kind
  var coordinates: String
  var extrapolation: Double
  private var rounding: String
  private var cubic: Double
  private var excludesOutside: Bool
  private var isAntialiased: Bool

  init(_ context: NodeContext) throws(GraphError) {
    let node = context.node
    let isOld = node.op == "Upsample" || context.opset < 11
    switch node.string("mode", default: "nearest") {
    case "nearest": kind = .nearest
    case "linear", "bilinear": kind = .linear
    case "cubic": kind = .cubic
    case let other:
      throw context.wrongAttribute("mode", "\"\(other)\"", expected: "nearest, linear or cubic")
    }
    coordinates =
      isOld ? "asymmetric" : node.string("coordinate_transformation_mode", default: "half_pixel")
    // Operator set 10 left it open; its own test takes the right neighbour where an axis shrinks.
    rounding =
      !isOld
      ? node.string("nearest_mode", default: "round_prefer_floor")
      : node.op == "Resize" ? "ceil where smaller" : "floor"
    let known = [
      "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
      "tf_half_pixel_for_nn", "tf_crop_and_resize",
    ]
    guard known.contains(coordinates) else {
      throw context.wrongAttribute(
        "coordinate_transformation_mode", "\"\(coordinates)\"",
        expected: known.joined(separator: ", "))
    }
    cubic = Double(node.float("cubic_coeff_a", default: -0.75))
    excludesOutside = try context.flag("exclude_outside")
    extrapolation = Double(node.float("extrapolation_value", default: 0))
    isAntialiased = try context.flag("antialias")
  }

  /// True when each output element is one of the input.
  var takesElements: Bool { kind == .nearest && coordinates != "tf_crop_and_resize" }

  /// The input elements, and their weights, that each output element of a line is made of.
  func rows(
    _ axis: ResizedAxis, _ size: Int, _ count: Int
  ) -> [[(index: Int, weight: Double)]] {
    (0..<count).map { place in
      let weights = weights(place, axis, size)
      guard takesElements else { return weights }
      return [(weights.max { $0.weight < $1.weight }?.index ?? 0, 1)]
    }
  }

  /// The input elements that an output element is made of; none when it lies outside the region.
  private func weights(_ place: Int, _ axis: ResizedAxis, _ size: Int) -> [(
    index: Int, weight: Double
  )] {
    guard let origin = origin(Double(place), axis, Double(size)) else { return [] }
    // The fraction lies in 0 (excluded) to 1: on an element the left neighbour has no weight.
    let isExact = origin == origin.rounded(.down)
    let left = Int(origin.rounded(.down)) - (isExact ? 1 : 0)
    let fraction = isExact ? 1 : origin - origin.rounded(.down)
    var (first, coefficients) = coefficients(fraction, axis.scale)
    first += left
    if excludesOutside {
      for index in coefficients.indices where !(0..<size).contains(first + index) {
        coefficients[index] = 0
      }
      let sum = coefficients.reduce(0, +)
      coefficients = coefficients.map { $0 / sum }
    }
    return coefficients.enumerated().map { (min(max(first + $0, 0), size - 1), $1) }
  }

  /// Where an output position lies on the input axis; nil outside the region of interest.
  private func origin(_ place: Double, _ axis: ResizedAxis, _ size: Double) -> Double? {
    let width = axis.scale * size
    // In 32 bits, as the scale is stored: 6 / 1.2 is 5.
    func back(_ place: Double) -> Double { Double(Float(place) / Float(axis.scale)) }
    switch coordinates {
    case "align_corners": return width == 1 ? 0 : place * (size - 1) / (width - 1)
    case "asymmetric": return back(place)
    case "tf_half_pixel_for_nn": return back(place + 0.5)
    case "pytorch_half_pixel": return width == 1 ? -0.5 : back(place + 0.5) - 0.5
    case "half_pixel_symmetric":
      let adjustment = Double(axis.output ?? 0) / width
      return size / 2 * (1 - adjustment) + back(place + 0.5) - 0.5
    case "tf_crop_and_resize":
      let (start, end) = axis.region
      let step = (end - start) * (size - 1)
      let origin = start * (size - 1) + (width == 1 ? step / 2 : place * step / (width - 1))
      return origin < 0 || origin > size - 1 ? nil : origin
    default: return back(place + 0.5) - 0.5
    }
  }

  /// The weights of neighbouring elements and the first one's distance from the left neighbour.
  private func coefficients(_ fraction: Double, _ scale: Double) -> (first: Int, [Double]) {
    switch kind {
    case .nearest:
      let takesRight =
        switch rounding {
        case "floor": fraction == 1
        case "ceil": true
        case "ceil where smaller": scale < 1 || fraction == 1
        case "round_prefer_ceil": fraction >= 0.5
        default: fraction > 0.5
        }
      return (0, takesRight ? [0, 1] : [1, 0])
    case .linear: return kernel(radius: 1, fraction, scale) { max(1 - $0, 0) }
    case .cubic: return kernel(radius: 2, fraction, scale) { cubicWeight($0, cubic) }
    }
  }

  /// The values of a kernel at the neighbours; with antialiasing stretched when the axis shrinks.
  private func kernel(
    radius: Double, _ fraction: Double, _ scale: Double, _ weight: (Double) -> Double
  ) -> (first: Int, [Double]) {
    let stretch = isAntialiased ? min(scale, 1) : 1
    let start = Int((-radius / stretch).rounded(.down)) + 1
    let weights = (start..<2 - start).map { weight(abs(Double($0) - fraction) * stretch) }
    guard isAntialiased else { return (start, weights) }
    let sum = weights.reduce(0, +)
    return (start, weights.map { $0 / sum })
  }
}

/// The weight of an element at a distance in cubic interpolation.
///
/// Source: Keys, *Cubic Convolution Interpolation for Digital Image Processing*, 1981, with the free
/// parameter `a`.
func cubicWeight(_ distance: Double, _ a: Double) -> Double {
  let x = distance
  if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
  if x < 2 { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
  return 0
}

/// The derivative of ``cubicWeight(_:_:)`` by the distance.
func cubicSlope(_ distance: Double, _ a: Double) -> Double {
  let x = distance
  if x <= 1 { return (3 * (a + 2) * x - 2 * (a + 3)) * x }
  if x < 2 { return (3 * a * x - 10 * a) * x + 8 * a }
  return 0
}
