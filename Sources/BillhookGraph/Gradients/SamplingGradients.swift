internal import BillhookTensor

extension GradientRule {
  /// Operators that read images between their elements.
  static let samplingFamily: [String: GradientRule] = [
    "Resize": resize, "Upsample": resize, "GridSample": gridSample, "AffineGrid": affineGrid,
    "RoiAlign": roiAlign, "DeformConv": deformConv,
  ]

  /// By the image; scales and regions are taken for constants.
  private static let resize = GradientRule { (context) throws(GraphError) in
    let (inShape, shape) = (try context.shape(0), context.outputShape)
    let axes = try ResizedAxis.all(context.forward, inShape.map { .fixed($0) })
    var dy = context.dy()
    guard !inShape.contains(0), !shape.contains(0) else {
      return [[Double](repeating: 0, count: inShape.reduce(1, *))]
    }
    let interpolation = try Interpolation(context.forward)
    let moved = axes.filter { interpolation.takesElements || !$0.isIdentity(interpolation) }
    let strides = rowMajorStrides(shape)
    let rows = moved.map { interpolation.rows($0, inShape[$0.axis], shape[$0.axis]) }
    for (axis, lines) in zip(moved, rows) {
      // What lies outside of the region is a constant.
      let outside = Set(lines.indices.filter { lines[$0].isEmpty })
      for place in dy.indices
      where outside.contains(place / strides[axis.axis] % shape[axis.axis]) { dy[place] = 0 }
    }
    var current = shape
    for (axis, lines) in zip(moved, rows).reversed() {
      let source = Lines(current, axis: axis.axis)
      current[axis.axis] = inShape[axis.axis]
      let target = Lines(current, axis: axis.axis)
      var dx = [Double](repeating: 0, count: current.reduce(1, *))
      for (from, to) in zip(source.starts, target.starts) {
        for (place, row) in lines.enumerated() {
          let gradient = dy[from + place * source.stride]
          for part in row { dx[to + part.index * target.stride] += part.weight * gradient }
        }
      }
      dy = dx
    }
    return [dy]
  }

  private static let gridSample = GradientRule { (context) throws(GraphError) in
    let (x, grid, dy) = (try context.x(0), try context.x(1), context.dy())
    let (sizes, shape) = (try context.shape(0), context.outputShape)
    let spatial = Array(sizes[2...])
    let sampler = try GridSampler(context.forward)
    let (area, points) = (spatial.reduce(1, *), shape[2...].reduce(1, *))
    var dx = [Double](repeating: 0, count: x.count)
    var dGrid = [Double](repeating: 0, count: grid.count)
    for n in 0..<shape[0] {
      for point in 0..<points {
        let first = (n * points + point) * spatial.count
        // The elements around the point, their weights, and the derivatives of those by each axis.
        var around = [(index: 0, weight: 1.0, slopes: [Double]())]
        for (axis, size) in spatial.enumerated() {
          let along = sampler.elements(grid[first + spatial.count - 1 - axis], size)
          around = around.flatMap { outer in
            along.map { element in
              (
                outer.index * size + element.index, outer.weight * element.weight,
                outer.slopes.map { $0 * element.weight } + [outer.weight * element.slope]
              )
            }
          }
        }
        for c in 0..<shape[1] {
          let image = (n * shape[1] + c) * area
          let gradient = dy[(n * shape[1] + c) * points + point]
          for element in around {
            dx[image + element.index] += gradient * element.weight
            for (axis, slope) in element.slopes.enumerated() {
              dGrid[first + spatial.count - 1 - axis] +=
                gradient * slope * x[image + element.index]
            }
          }
        }
      }
    }
    return [dx, dGrid]
  }

  private static let affineGrid = GradientRule { (context) throws(GraphError) in
    let (shape, dy) = (context.outputShape, context.dy())
    let spatial = Array(shape[1..<shape.count - 1])
    let axes = spatial.count
    let isAligned = try context.forward.flag("align_corners")
    var gradient = [Double](repeating: 0, count: shape[0] * axes * (axes + 1))
    let places = multiIndices(spatial)
    for (index, place) in places.enumerated() {
      let position = zip(place, spatial).map { step, size -> Double in
        if isAligned { return size == 1 ? 0 : -1 + 2 * Double(step) / Double(size - 1) }
        return -1 + (2 * Double(step) + 1) / Double(size)
      }
      for n in 0..<shape[0] {
        for row in 0..<axes {
          let incoming = dy[(n * places.count + index) * axes + row]
          let line = (n * axes + row) * (axes + 1)
          for column in 0..<axes {
            gradient[line + column] += incoming * position[axes - 1 - column]
          }
          gradient[line + axes] += incoming
        }
      }
    }
    return [gradient]
  }

  /// By the image; regions are taken for constants.
  private static let roiAlign = GradientRule { (context) throws(GraphError) in
    let (x, dy) = (try context.x(0), context.dy())
    let isMax = context.forward.takesLargest
    var dx = [Double](repeating: 0, count: x.count)
    var output = 0
    try context.forward.forEachBin(context.outputShape) { image, bin in
      defer { output += 1 }
      let parts = bin.flatMap { $0 }
      guard isMax else {
        for part in parts {
          dx[image + part.index] += dy[output] * part.weight / Double(max(bin.count, 1))
        }
        return
      }
      let best = parts.max { x[image + $0.index] * $0.weight < x[image + $1.index] * $1.weight }
      if let best { dx[image + best.index] += dy[output] * best.weight }
    }
    return [dx]
  }

  private static let deformConv = GradientRule { (context) throws(GraphError) in
    let (x, w, offsets) = (try context.x(0), try context.x(1), try context.x(2))
    let mask = context.forward.optionalTensor(4)?.numbers()
    let (inShape, weightShape) = (try context.shape(0), try context.shape(1))
    let (shape, dy) = (context.outputShape, context.dy())
    let window = try Window(
      context.node, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
    let perGroup = weightShape[0] / context.node.int("group", default: 1)
    let perOffset = inShape[1] / context.node.int("offset_group", default: 1)
    let (height, width) = (inShape[2], inShape[3])
    let (taps, area) = (weightShape[2] * weightShape[3], shape[2] * shape[3])
    var dx = [Double](repeating: 0, count: x.count)
    var dw = [Double](repeating: 0, count: w.count)
    var dOffsets = [Double](repeating: 0, count: offsets.count)
    var dMask = [Double](repeating: 0, count: mask?.count ?? 0)
    for n in 0..<shape[0] {
      for place in 0..<area {
        for c in 0..<inShape[1] {
          let image = (n * inShape[1] + c) * height * width
          for tap in 0..<taps {
            let groups = inShape[1] / perOffset
            let first = (n * groups + c / perOffset) * taps + tap
            let offset = first * 2 * area + place
            let (r, k) = (tap / weightShape[3], tap % weightShape[3])
            let row =
              Double(
                place / shape[3] * window.strides[0] - window.padsBegin[0]
                  + r * window.dilations[0]) + offsets[offset]
            let column =
              Double(
                place % shape[3] * window.strides[1] - window.padsBegin[1]
                  + k * window.dilations[1]) + offsets[offset + area]
            guard row > -1, row < Double(height), column > -1, column < Double(width) else {
              continue
            }
            let corners = corners(row, column, height, width)
            let read = corners.reduce(0) { $0 + x[image + $1.index] * $1.weight }
            let factor = mask?[first * area + place] ?? 1
            // The gradient of what was read, through all outputs that take it.
            var gradient = 0.0
            let ownGroup = c / weightShape[1]
            for m in ownGroup * perGroup..<(ownGroup + 1) * perGroup {
              let filter = (m * weightShape[1] + c % weightShape[1]) * taps + tap
              let incoming = dy[(n * shape[1] + m) * area + place]
              dw[filter] += incoming * read * factor
              gradient += incoming * w[filter]
            }
            if mask != nil { dMask[first * area + place] += gradient * read }
            for corner in corners {
              dx[image + corner.index] += gradient * factor * corner.weight
              let value = gradient * factor * x[image + corner.index]
              dOffsets[offset] += value * corner.rowSlope
              dOffsets[offset + area] += value * corner.columnSlope
            }
          }
        }
      }
    }
    return [dx, dw, dOffsets, context.channelSums(dy, bias: 3), mask == nil ? nil : dMask]
  }
}

/// The elements around a place, their weights, and the weights' derivatives by the place.
private func corners(
  _ row: Double, _ column: Double, _ height: Int, _ width: Int
) -> [(index: Int, weight: Double, rowSlope: Double, columnSlope: Double)] {
  let (top, left) = (row.rounded(.down), column.rounded(.down))
  let rows = [(Int(top), 1 - (row - top), -1.0), (Int(top) + 1, row - top, 1.0)]
  let columns = [(Int(left), 1 - (column - left), -1.0), (Int(left) + 1, column - left, 1.0)]
  return rows.flatMap { r in
    columns.compactMap { c in
      guard (0..<height).contains(r.0), (0..<width).contains(c.0) else { return nil }
      return (r.0 * width + c.0, r.1 * c.1, r.2 * c.1, r.1 * c.2)
    }
  }
}
