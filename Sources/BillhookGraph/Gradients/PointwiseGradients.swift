internal import BillhookTensor
internal import Foundation

extension GradientRule {
  /// Functions of each element on its own: the derivative at `x`, where the function is `y`. At a
  /// kink it is that of the side on which the function is 0 or constant.
  static let pointwiseFamily: [String: GradientRule] = [
    "Abs": pointwise { x, _ in x > 0 ? 1 : x < 0 ? -1 : 0 },
    "Acos": pointwise { x, _ in -1 / (1 - x * x).squareRoot() },
    "Acosh": pointwise { x, _ in 1 / (x * x - 1).squareRoot() },
    "Asin": pointwise { x, _ in 1 / (1 - x * x).squareRoot() },
    "Asinh": pointwise { x, _ in 1 / (x * x + 1).squareRoot() },
    "Atan": pointwise { x, _ in 1 / (x * x + 1) },
    "Atanh": pointwise { x, _ in 1 / (1 - x * x) },
    "Ceil": step, "Floor": step, "Hardmax": step, "Round": step, "Sign": step,
    "Cos": pointwise { x, _ in -sin(x) },
    "Cosh": pointwise { x, _ in sinh(x) },
    "Erf": pointwise { x, _ in 2 / Double.pi.squareRoot() * exp(-x * x) },
    "Exp": pointwise { x, _ in exp(x) },
    "Identity": same, "Cast": same, "CastLike": same,
    "Log": pointwise { x, _ in 1 / x },
    "Neg": pointwise { _, _ in -1 },
    "Reciprocal": pointwise { x, _ in -1 / (x * x) },
    "Sin": pointwise { x, _ in cos(x) },
    "Sinh": pointwise { x, _ in cosh(x) },
    "Sqrt": pointwise { _, y in 0.5 / y },
    "Tan": pointwise { _, y in 1 + y * y },
    "Tanh": pointwise { x, _ in 1 - tanh(x) * tanh(x) },
    "Relu": pointwise { x, _ in x > 0 ? 1 : 0 },
    "Sigmoid": pointwise { x, _ in logistic(x) * logistic(-x) },
    "Softplus": pointwise { x, _ in logistic(x) },
    "Softsign": pointwise { x, _ in 1 / ((1 + abs(x)) * (1 + abs(x))) },
    "Mish": pointwise { x, _ in
      let bend = tanh(x > 30 ? x : log1p(exp(x)))
      return bend + x * (1 - bend * bend) * logistic(x)
    },
    "HardSwish": pointwise { x, _ in x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5 },
    "LeakyRelu": configured { node in
      let alpha = Double(node.float("alpha", default: 0.01))
      return { x, _ in x < 0 ? alpha : 1 }
    },
    "Elu": configured { node in
      let alpha = Double(node.float("alpha", default: 1))
      return { x, _ in x < 0 ? alpha * exp(x) : 1 }
    },
    "Celu": configured { node in
      let alpha = Double(node.float("alpha", default: 1))
      return { x, _ in x < 0 ? exp(x / alpha) : 1 }
    },
    "Selu": configured { node in
      let alpha = Double(node.float("alpha", default: 1.67326319217681884765625))
      let gamma = Double(node.float("gamma", default: 1.05070102214813232421875))
      return { x, _ in x > 0 ? gamma : gamma * alpha * exp(x) }
    },
    "HardSigmoid": configured { node in
      let alpha = Double(node.float("alpha", default: 0.2))
      let beta = Double(node.float("beta", default: 0.5))
      return { x, _ in alpha * x + beta > 0 && alpha * x + beta < 1 ? alpha : 0 }
    },
    "ThresholdedRelu": configured { node in
      let alpha = Double(node.float("alpha", default: 1))
      return { x, _ in x > alpha ? 1 : 0 }
    },
    "Swish": configured { node in
      let alpha = Double(node.float("alpha", default: 1))
      return { x, _ in
        let gate = logistic(alpha * x)
        return gate + alpha * x * gate * (1 - gate)
      }
    },
    "Gelu": configured { node in
      if node.string("approximate", default: "none") == "tanh" {
        let scale = (2 / Double.pi).squareRoot()
        return { x, _ in
          let bend: Double = tanh(scale * (x + 0.044715 * x * x * x))
          let slope: Double = scale * (1 + 3 * 0.044715 * x * x)
          return 0.5 * (1 + bend) + 0.5 * x * (1 - bend * bend) * slope
        }
      }
      return { x, _ in
        let below: Double = 0.5 * (1 + erf(x / 2.0.squareRoot()))
        let density: Double = exp(-x * x / 2) / (2 * Double.pi).squareRoot()
        return below + x * density
      }
    },
    "Shrink": configured { node in
      let limit = Double(node.float("lambd", default: 0.5))
      return { x, _ in abs(x) > limit ? 1 : 0 }
    },
  ]

  /// - Parameter derivative: Made from the node's attributes.
  private static func configured(
    _ derivative: @escaping @Sendable (Node) -> @Sendable (Double, Double) -> Double
  ) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      let (x, y, dy) = (try context.x(0), context.y, context.dy())
      let slope = derivative(context.node)
      return [x.indices.map { dy[$0] == 0 ? 0 : dy[$0] * slope(x[$0], y[$0]) }]
    }
  }

  private static func pointwise(
    _ derivative: @escaping @Sendable (_ x: Double, _ y: Double) -> Double
  ) -> GradientRule {
    configured { _ in derivative }
  }

  /// Constant but for jumps.
  private static let step = pointwise { _, _ in 0 }

  /// The same number, in whatever type.
  private static let same = GradientRule { (context) throws(GraphError) in [context.dy()] }
}

private func logistic(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
