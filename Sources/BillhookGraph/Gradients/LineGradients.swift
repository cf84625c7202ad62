internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension GradientRule {
  /// Functions of lines along an axis, and of neighbouring channels.
  static let lineFamily: [String: GradientRule] = [
    "Softmax": lines { y, dy in
      let mean = zip(y, dy).reduce(0) { $0 + $1.0 * $1.1 }
      return y.indices.map { y[$0] * (dy[$0] - mean) }
    },
    "LogSoftmax": lines { y, dy in
      let sum = dy.reduce(0, +)
      return y.indices.map { dy[$0] - exp(y[$0]) * sum }
    },
    "CumSum": cumSum, "LpNormalization": lpNormalization, "LRN": lrn,
    "MeanVarianceNormalization": meanVariance,
  ]

  /// - Parameter gradient: Of a line, from what the operator made of it.
  private static func lines(
    _ gradient: @escaping @Sendable (_ y: [Double], _ dy: [Double]) -> [Double]
  ) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      let shape = try context.shape(0)
      let axis = try normalizedAxis(context.forward, rank: shape.count)
      // Before operator set 13 everything from the axis on is one line.
      let isOld = context.forward.opset < 13
      let lines =
        isOld
        ? Lines([shape[..<axis].reduce(1, *), shape[axis...].reduce(1, *)], axis: 1)
        : Lines(shape, axis: axis)
      let (y, dy) = (context.y, context.dy())
      var dx = dy
      for start in lines.starts {
        let places = (0..<lines.count).map { start + $0 * lines.stride }
        let line = gradient(places.map { y[$0] }, places.map { dy[$0] })
        for (place, value) in zip(places, line) { dx[place] = value }
      }
      return [dx]
    }
  }

  /// Running sums from the other end.
  private static let cumSum = GradientRule { (context) throws(GraphError) in
    let shape = try context.shape(0)
    let lines = Lines(shape, axis: try cumulatedAxis(context.forward, shape.count))
    let isExclusive = try context.forward.flag("exclusive")
    let isReversed = try context.forward.flag("reverse")
    let dy = context.dy()
    var dx = dy
    for start in lines.starts {
      var sum = 0.0
      for step in 0..<lines.count {
        let place = start + (isReversed ? step : lines.count - 1 - step) * lines.stride
        if isExclusive { dx[place] = sum }
        sum += dy[place]
        if !isExclusive { dx[place] = sum }
      }
    }
    return [dx]
  }

  private static let lpNormalization = GradientRule { (context) throws(GraphError) in
    let (x, shape) = (try context.x(0), try context.shape(0))
    let lines = Lines(shape, axis: try context.forward.axis(default: -1, rank: shape.count))
    let isAbsolute = context.node.int("p", default: 2) == 1
    let dy = context.dy()
    var dx = dy
    for start in lines.starts {
      let places = (0..<lines.count).map { start + $0 * lines.stride }
      let length =
        isAbsolute
        ? places.reduce(0) { $0 + abs(x[$1]) }
        : places.reduce(0) { $0 + x[$1] * x[$1] }.squareRoot()
      guard length > 0 else { continue }
      let along = places.reduce(0) { $0 + x[$1] * dy[$1] } / (length * length)
      for place in places {
        let slope = isAbsolute ? (x[place] > 0 ? 1 : x[place] < 0 ? -1 : 0) : x[place] / length
        dx[place] = dy[place] / length - along * slope
      }
    }
    return [dx]
  }

  private static let lrn = GradientRule { (context) throws(GraphError) in
    let (x, shape, node) = (try context.x(0), try context.shape(0), context.node)
    let size = node.int("size", default: 1)
    let alpha = Double(node.float("alpha", default: 0.0001)) / Double(size)
    let beta = Double(node.float("beta", default: 0.75))
    let bias = Double(node.float("bias", default: 1))
    let area = shape[2...].reduce(1, *)
    let dy = context.dy()
    var dx = [Double](repeating: 0, count: x.count)
    for place in x.indices {
      let channel = place / area % shape[1]
      let first = max(0, channel - (size - 1) / 2)
      let last = min(shape[1] - 1, channel + size / 2)
      let neighbours = (first...last).map { place + ($0 - channel) * area }
      let base = neighbours.reduce(bias) { $0 + alpha * x[$1] * x[$1] }
      dx[place] += dy[place] * pow(base, -beta)
      let outer = dy[place] * x[place] * -beta * pow(base, -beta - 1) * 2 * alpha
      for neighbour in neighbours { dx[neighbour] += outer * x[neighbour] }
    }
    return [dx]
  }

  private static let meanVariance = GradientRule { (context) throws(GraphError) in
    let (x, shape) = (try context.x(0), try context.shape(0))
    let stated = context.node.ints("axes") ?? [0, 2, 3]
    let axes = try context.forward.axes(stated, rank: shape.count)
    let kept = shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
    let group = Broadcast(kept, to: shape).source
    let groups = kept.reduce(1, *)
    let count = Double(x.count) / Double(max(groups, 1))
    let dy = context.dy()
    var (means, squares) = ([Double](repeating: 0, count: groups), [Double]())
    squares = means
    var (sums, products) = (means, means)
    for (value, index) in zip(x, group) { means[index] += value / count }
    for (place, index) in group.enumerated() {
      let distance = x[place] - means[index]
      squares[index] += distance * distance / count
      sums[index] += dy[place] / count
      products[index] += dy[place] * distance / count
    }
    return [
      group.enumerated().map { place, index in
        let deviation = squares[index].squareRoot()
        let scale = deviation + 1e-9
        let along = deviation == 0 ? 0 : products[index] / (scale * deviation)
        return (dy[place] - sums[index] - (x[place] - means[index]) * along) / scale
      }
    ]
  }
}
