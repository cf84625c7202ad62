import BillhookGraph
import BillhookTensor
import OrderedCollections

extension GradientCase {
  /// Functions of each element, and of elements that meet by broadcasting.
  static let elements: [GradientCase] =
    unary + binary + [
      GradientCase("Max", [.random(2, 3), .random(3), .random(2, 1)]),
      GradientCase("Min", [.random(2, 3), .random(3)]), GradientCase("Max", "of one", [.random(4)]),
      GradientCase("Sum", [.random(2, 3), .random(3), .random(1, 1)]),
      GradientCase("Mean", [.random(2, 3), .random(2, 1), .random()]),
      GradientCase("Pow", [.positive(2, 3), .random(3)]),
      GradientCase("Pow", "of negative numbers", [.random(2, 3), .fixed(Tensor(scalar: 2.0))]),
      GradientCase("Pow", "by integers", [.random(4), .integers([3, 2, 1, 0])]),
      GradientCase("Mod", [.random([5], 2...9), .random([5], 1...1.9)], ["fmod": .int(1)]),
      GradientCase(
        "Mod", "with the divisor's sign", [.random([5], -9...9), .random([1], 1...1.9)]),
      GradientCase("PRelu", [.random(2, 3, 4), .random(3, 1)]),
      GradientCase("PRelu", "of channels", [.random(2, 3, 4), .random(3)], opset: 6),
      GradientCase(
        "Clip", [.random(9), .numbers(Tensor(scalar: -0.4)), .numbers(Tensor(scalar: 0.3))]),
      GradientCase("Clip", "from above", [.random(9), .none, .numbers(Tensor(scalar: 0.3))]),
      GradientCase("Clip", "by attributes", [.random(9)], ["min": .float(-0.25)], opset: 6),
      GradientCase(
        "Range",
        [
          .numbers(Tensor(scalar: 1.0)), .fixed(Tensor(scalar: 3.1)), .numbers(Tensor(scalar: 0.5)),
        ]),
      GradientCase("Cast", [.random(2, 3)], ["to": .int(11)]),
      GradientCase("CastLike", [.random(2, 3), .fixed([1])]),
      GradientCase(
        "Where",
        [
          .fixed(Tensor([true, false, true])), .random(2, 1), .random(2, 3),
        ]),
    ]

  private static let unary: [GradientCase] =
    [
      ("Abs", -1...1), ("Acos", -0.9...0.9), ("Acosh", 1.1...3), ("Asin", -0.9...0.9),
      ("Asinh", -2...2), ("Atan", -2...2), ("Atanh", -0.9...0.9), ("Ceil", -2...2), ("Cos", -2...2),
      ("Cosh", -2...2), ("Erf", -2...2), ("Exp", -2...2), ("Floor", -2...2), ("Hardmax", -1...1),
      ("Identity", -2...2), ("Log", 0.2...3), ("Neg", -2...2), ("Reciprocal", 0.3...2),
      ("Round", -2...2), ("Sign", -2...2), ("Sin", -2...2), ("Sinh", -2...2), ("Sqrt", 0.2...2),
      ("Tan", -1...1), ("Tanh", -2...2), ("Relu", -1...1), ("Sigmoid", -3...3),
      ("Softplus", -3...3),
      ("Softsign", -2...2), ("Mish", -3...3), ("HardSwish", -4...4), ("LeakyRelu", -1...1),
      ("Elu", -2...2), ("Celu", -2...2), ("Selu", -2...2), ("HardSigmoid", -4...4),
      ("ThresholdedRelu", -2...2), ("Swish", -3...3), ("Gelu", -3...3), ("Shrink", -2...2),
    ].map { GradientCase($0.0, [.random([3, 4], $0.1)]) } + [
      GradientCase("LeakyRelu", "of a slope", [.random(8)], ["alpha": .float(0.25)]),
      GradientCase("Elu", "of a height", [.random(8)], ["alpha": .float(2)]),
      GradientCase("Celu", "of a height", [.random(8)], ["alpha": .float(0.5)]),
      GradientCase(
        "Selu", "of its own", [.random(8)], ["alpha": .float(1.5), "gamma": .float(2)]),
      GradientCase(
        "HardSigmoid", "of a slope", [.random(8)], ["alpha": .float(0.5), "beta": .float(0.6)]),
      GradientCase("ThresholdedRelu", "of a bound", [.random(8)], ["alpha": .float(0.1)]),
      GradientCase("Swish", "of a slope", [.random(8)], ["alpha": .float(1.7)]),
      GradientCase(
        "Gelu", "by tanh", [.random([9], -3...3)], ["approximate": .string(Array("tanh".utf8))]),
      GradientCase(
        "Shrink", "of a bias", [.random(9)], ["lambd": .float(0.3), "bias": .float(0.1)]),
    ]

  private static let binary: [GradientCase] = ["Add", "Sub", "Mul", "Div"].flatMap { op in
    [
      GradientCase(op, [.random(2, 3), .positive(2, 3)]),
      GradientCase(op, "of a row", [.random(2, 3), .positive(3)]),
      GradientCase(op, "both ways", [.random(2, 1, 3), .positive(4, 1)]),
      GradientCase(op, "of a number", [.random(), .positive(2, 2)]),
      GradientCase(
        op, "from an axis on", [.random(2, 3, 4), .positive(3)],
        ["axis": .int(1), "broadcast": .int(1)], opset: 6),
    ]
  }
}
