internal import BillhookTensor
internal import Foundation

extension GradientRule {
  /// Operators on elements of several tensors that broadcast.
  static let arithmeticFamily: [String: GradientRule] = [
    "Add": binary { _, _, _ in (1, 1) },
    "Sub": binary { _, _, _ in (1, -1) },
    "Mul": binary { x, y, _ in (y, x) },
    "Div": binary { x, y, _ in (1 / y, -x / (y * y)) },
    // The exponent's derivative of a negative base is not a number; such an exponent is a constant.
    "Pow": binary { x, y, _ in
      (y == 0 ? 0 : y * pow(x, y - 1), x > 0 ? pow(x, y) * log(x) : 0)
    },
    "Mod": binary { x, y, node in
      let quotient = x / y
      let isTruncated = node.int("fmod", default: 0) == 1
      return (1, isTruncated ? -quotient.rounded(.towardZero) : -quotient.rounded(.down))
    },
    "PRelu": prelu,
    "Sum": variadic { _, _ in 1 }, "Mean": variadic { _, count in 1 / Double(count) },
    "Max": extreme, "Min": extreme,
    "Clip": clip,
    "Range": range,
  ]

  /// - Parameter partials: The derivatives by the left and by the right operand.
  private static func binary(
    _ partials: @escaping @Sendable (_ x: Double, _ y: Double, _ node: Node) -> (Double, Double)
  ) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      let (left, right) = try context.forward.operands()
      let shape = context.outputShape
      let x = spread(left.numbers(), left.shape, to: shape)
      let y = spread(right.numbers(), right.shape, to: shape)
      let dy = context.dy()
      let node = context.node
      var (dx, dr) = (dy, dy)
      for index in dy.indices where dy[index] != 0 {
        let (a, b) = partials(x[index], y[index], node)
        (dx[index], dr[index]) = (dy[index] * a, dy[index] * b)
      }
      return [summed(dx, shape, to: left.shape), summed(dr, shape, to: right.shape)]
    }
  }

  private static let prelu = GradientRule { (context) throws(GraphError) in
    let (x, shape) = (try context.x(0), try context.shape(0))
    let slope = try context.forward.tensor(1)
    let aligned = slopeShape(context.forward, shape.count, slope.shape, filler: 1)
    let factors = spread(slope.numbers(), aligned, to: shape)
    let dy = context.dy()
    return [
      x.indices.map { x[$0] < 0 ? dy[$0] * factors[$0] : dy[$0] },
      summed(x.indices.map { x[$0] < 0 ? dy[$0] * x[$0] : 0 }, shape, to: aligned),
    ]
  }

  private static func variadic(
    _ factor: @escaping @Sendable (_ index: Int, _ count: Int) -> Double
  ) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      let dy = context.dy()
      var result: [[Double]?] = []
      for index in context.node.inputs.indices {
        let scale = factor(index, context.node.inputs.count)
        result.append(
          summed(dy.map { $0 * scale }, context.outputShape, to: try context.shape(index)))
      }
      return result
    }
  }

  /// The operands that are the extreme share its gradient.
  private static let extreme = GradientRule { (context) throws(GraphError) in
    let (shape, y, dy) = (context.outputShape, context.y, context.dy())
    var operands: [[Double]] = []
    for index in context.node.inputs.indices {
      operands.append(spread(try context.x(index), try context.shape(index), to: shape))
    }
    let shares = y.indices.map { place in
      dy[place] / Double(max(operands.count { $0[place] == y[place] }, 1))
    }
    var result: [[Double]?] = []
    for (index, operand) in operands.enumerated() {
      let own = y.indices.map { operand[$0] == y[$0] ? shares[$0] : 0 }
      result.append(summed(own, shape, to: try context.shape(index)))
    }
    return result
  }

  /// What lies outside goes to the bound that it was brought to.
  private static let clip = GradientRule { (context) throws(GraphError) in
    let (x, dy) = (try context.x(0), context.dy())
    func bound(_ index: Int, _ key: String, _ none: Float) -> Double {
      context.forward.optionalTensor(index)?.numbers().first
        ?? Double(context.node.float(key, default: none))
    }
    let (low, high) = (bound(1, "min", -.infinity), bound(2, "max", .infinity))
    var (inside, below, above) = (dy, 0.0, 0.0)
    for index in x.indices where x[index] < low || x[index] > high || low > high {
      inside[index] = 0
      if max(x[index], low) > high { above += dy[index] } else { below += dy[index] }
    }
    return [inside, [below], [above]]
  }

  /// `start + index · delta`.
  private static let range = GradientRule { (context) throws(GraphError) in
    let dy = context.dy()
    return [
      [dy.reduce(0, +)], nil, [dy.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element }],
    ]
  }
}
