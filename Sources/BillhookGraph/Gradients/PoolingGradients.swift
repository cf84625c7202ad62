internal import BillhookTensor
internal import Foundation

extension GradientRule {
  /// Operators that reduce a window that moves over the spatial axes, or all of them at once.
  static let poolingFamily: [String: GradientRule] = [
    "MaxPool": maxPool, "AveragePool": averagePool, "LpPool": lpPool,
    "GlobalAveragePool": global { _, _, _, count in 1 / Double(count) },
    "GlobalLpPool": global { x, y, p, _ in normSlope(x, y, p) },
    "GlobalMaxPool": globalMax,
  ]

  /// The first of the largest elements gets the gradient.
  private static let maxPool = GradientRule { (context) throws(GraphError) in
    let (x, dy) = (try context.x(0), context.dy())
    var dx = [Double](repeating: 0, count: x.count)
    var output = 0
    try Pooling(context.forward).forEachWindow { start, place in
      defer { output += 1 }
      guard var best = place.taps.first?.input else { return }
      for tap in place.taps
      where Maximum.apply(x[start + best], x[start + tap.input]) != x[start + best] {
        best = tap.input
      }
      dx[start + best] += dy[output]
    }
    return [dx]
  }

  private static let averagePool = GradientRule { (context) throws(GraphError) in
    let (count, dy) = (try context.x(0).count, context.dy())
    let countsPadding = try context.forward.flag("count_include_pad")
    var dx = [Double](repeating: 0, count: count)
    var output = 0
    try Pooling(context.forward).forEachWindow { start, place in
      let share = dy[output] / Double(countsPadding ? place.paddedCount : place.taps.count)
      for tap in place.taps { dx[start + tap.input] += share }
      output += 1
    }
    return [dx]
  }

  private static let lpPool = GradientRule { (context) throws(GraphError) in
    let (x, y, dy) = (try context.x(0), context.y, context.dy())
    let p = Double(context.node.int("p", default: 2))
    var dx = [Double](repeating: 0, count: x.count)
    var output = 0
    try Pooling(context.forward).forEachWindow { start, place in
      for tap in place.taps {
        dx[start + tap.input] += dy[output] * normSlope(x[start + tap.input], y[output], p)
      }
      output += 1
    }
    return [dx]
  }

  private static func global(
    _ derivative:
      @escaping @Sendable (_ x: Double, _ y: Double, _ p: Double, _ count: Int) -> Double
  ) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      let (x, y, dy) = (try context.x(0), context.y, context.dy())
      let area = try context.shape(0)[2...].reduce(1, *)
      let p = Double(context.node.int("p", default: 2))
      return [
        x.indices.map { dy[$0 / area] * derivative(x[$0], y[$0 / area], p, area) }
      ]
    }
  }

  private static let globalMax = GradientRule { (context) throws(GraphError) in
    let (x, y, dy) = (try context.x(0), context.y, context.dy())
    let area = try context.shape(0)[2...].reduce(1, *)
    var counts = [Double](repeating: 0, count: y.count)
    for (place, value) in x.enumerated() where value == y[place / area] {
      counts[place / area] += 1
    }
    return [x.indices.map { x[$0] == y[$0 / area] ? dy[$0 / area] / counts[$0 / area] : 0 }]
  }
}

/// The derivative of an Lp norm `y` by one of its numbers.
private func normSlope(_ x: Double, _ y: Double, _ p: Double) -> Double {
  guard x != 0, y != 0 else { return 0 }
  return (x > 0 ? 1 : -1) * pow(abs(x) / y, p - 1)
}
