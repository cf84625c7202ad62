/// What is known about the gradient of an operator.
enum OperatorGradient: Sendable {
  case rule(GradientRule)
  /// There is nothing to differentiate, and why.
  case none(reason: String)
}

extension OperatorTable {
  /// The gradient rules, or the reason why there is none, of every operator.
  static let gradients: [String: OperatorGradient] = {
    var result: [String: OperatorGradient] = [:]
    for family in gradientFamilies {
      for (name, rule) in family { result[name] = .rule(rule) }
    }
    for (reason, names) in reasonsForNone {
      for name in names { result[name] = .none(reason: reason) }
    }
    return result
  }()

  private static let gradientFamilies: [[String: GradientRule]] = [
    GradientRule.pointwiseFamily, GradientRule.arithmeticFamily, GradientRule.movingFamily,
    GradientRule.reductionFamily, GradientRule.normalizationFamily,
    GradientRule.matrixFamily, GradientRule.lineFamily, GradientRule.convolutionFamily,
    GradientRule.poolingFamily, GradientRule.samplingFamily, GradientRule.signalFamily,
    GradientRule.lossFamily, GradientRule.attentionFamily, GradientRule.recurrentFamily,
    GradientRule.controlFlowFamily,
  ]

  private static let reasonsForNone: [(reason: String, operators: [String])] = [
    (
      "its result is integers",
      [
        "ArgMax", "ArgMin", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
        "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "NonMaxSuppression", "NonZero",
        "QLinearConv", "QLinearMatMul", "QuantizeLinear", "Shape", "Size",
      ]
    ),
    (
      "its result is true or false",
      [
        "And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual",
        "Not", "Or", "Xor",
      ]
    ),
    (
      "its result does not depend on the numbers that it reads",
      [
        "BlackmanWindow", "Constant", "ConstantOfShape", "EyeLike", "HammingWindow", "HannWindow",
        "MelWeightMatrix", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
      ]
    ),
    ("its result is drawn at random", ["Bernoulli", "Multinomial"]),
    ("the number of its results depends on which inputs are equal", ["Unique"]),
  ]

  static func gradient(of op: String) -> OperatorGradient {
    gradients[op] ?? .none(reason: "it is not an operator that Billhook knows")
  }

  /// Why an operator has no gradient; nil when it has one.
  public static func reasonForNoGradient(of op: String) -> String? {
    if case .none(let reason) = gradient(of: op) { reason } else { nil }
  }
}
