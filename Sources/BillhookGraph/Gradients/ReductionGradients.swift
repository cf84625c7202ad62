internal import BillhookTensor
internal import Foundation

extension GradientRule {
  /// Operators that make one number of many: the derivative of the number `y` by one of them, `x`.
  static let reductionFamily: [String: GradientRule] = [
    "ReduceSum": reduction { _, _, _ in 1 },
    "ReduceMean": reduction { _, _, count in 1 / Double(count) },
    "ReduceL1": reduction { x, _, _ in x > 0 ? 1 : x < 0 ? -1 : 0 },
    "ReduceL2": reduction { x, y, _ in y == 0 ? 0 : x / y },
    "ReduceSumSquare": reduction { x, _, _ in 2 * x },
    "ReduceLogSum": reduction { _, y, _ in exp(-y) },
    "ReduceLogSumExp": reduction { x, y, _ in exp(x - y) },
    "ReduceMax": extreme, "ReduceMin": extreme, "ReduceProd": product,
  ]

  private static func reduction(
    _ derivative: @escaping @Sendable (_ x: Double, _ y: Double, _ count: Int) -> Double
  ) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      let groups = try ReducedGroups(context)
      let (x, y, dy) = (try context.x(0), context.y, context.dy())
      let count = x.count / max(y.count, 1)
      return [
        zip(x, groups.target).map { value, group in
          dy[group] == 0 ? 0 : dy[group] * derivative(value, y[group], count)
        }
      ]
    }
  }

  /// The elements that are the extreme share its gradient.
  private static let extreme = GradientRule { (context) throws(GraphError) in
    let groups = try ReducedGroups(context)
    let (x, y, dy) = (try context.x(0), context.y, context.dy())
    var counts = [Double](repeating: 0, count: y.count)
    for (value, group) in zip(x, groups.target) where value == y[group] { counts[group] += 1 }
    return [zip(x, groups.target).map { $0 == y[$1] ? dy[$1] / counts[$1] : 0 }]
  }

  /// The product of all others, which is not the quotient where there are zeros.
  private static let product = GradientRule { (context) throws(GraphError) in
    let groups = try ReducedGroups(context)
    let (x, dy) = (try context.x(0), context.dy())
    var before = x
    var running = [Double](repeating: 1, count: dy.count)
    for (place, group) in groups.target.enumerated() {
      before[place] = running[group]
      running[group] *= x[place]
    }
    running = [Double](repeating: 1, count: dy.count)
    for (place, group) in groups.target.enumerated().reversed() {
      before[place] *= running[group] * dy[group]
      running[group] *= x[place]
    }
    return [before]
  }
}

/// Which elements of a reduction's input fall together.
private struct ReducedGroups {
  /// For each element the flat index of the result that it goes into.
  let target: [Int]

  /// Each element is its own group in a reduction over no axes.
  init(_ context: GradientContext) throws(GraphError) {
    let axes = try context.forward.reducedAxes() ?? []
    let shape = try context.shape(0)
    target = Broadcast(reducedShape(shape, axes, true, one: 1), to: shape).source
  }
}
