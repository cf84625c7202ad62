internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor
internal import OrderedCollections

/// A function of one number, applied element by element: the kernel core's table of them.
struct Activation: Equatable {
  var kind: Int32
  var alpha: Float = 0
  var beta: Float = 0

  static let relu = Activation(kind: BH_ACTIVATION_RELU)
  static let sigmoid = Activation(kind: BH_ACTIVATION_SIGMOID)
  static func linear(_ alpha: Float, _ beta: Float) -> Activation {
    Activation(kind: BH_ACTIVATION_LINEAR, alpha: alpha, beta: beta)
  }

  var kernelForm: bh_activation { bh_activation(kind: kind, alpha: alpha, beta: beta) }

  /// True for those whose result tells the slope, so that nobody needs their argument: what training
  /// can put into a layer's kernel.
  var resultTellsSlope: Bool {
    [BH_ACTIVATION_RELU, BH_ACTIVATION_CLIP, BH_ACTIVATION_SIGMOID].contains(kind)
  }

  /// True for those that an integer layer applies to its sums.
  var isForIntegers: Bool { resultTellsSlope }

  /// What numbers are cut to, where that is all that the function does.
  var bounds: ClosedRange<Float>? {
    switch kind {
    case BH_ACTIVATION_RELU: 0 ... .infinity
    case BH_ACTIVATION_CLIP where alpha <= beta: alpha...beta
    default: nil
    }
  }

  /// This function after a linear one as one function, or nil.
  func following(_ first: Activation) -> Activation? {
    // Two shifts may cancel, which then rounds on purpose.
    guard kind == BH_ACTIVATION_LINEAR, first.kind == BH_ACTIVATION_LINEAR,
      beta == 0 || first.beta == 0
    else { return nil }
    let both = Activation.linear(first.alpha * alpha, first.beta * alpha + beta)
    return both.alpha.isNormal && both.beta.isFinite ? both : nil
  }
}

extension Activation {
  /// Operators without attributes that are functions of the table.
  private static let plain: [String: Int32] = [
    "Relu": BH_ACTIVATION_RELU, "Sigmoid": BH_ACTIVATION_SIGMOID, "Erf": BH_ACTIVATION_ERF,
    "Tanh": BH_ACTIVATION_TANH, "Exp": BH_ACTIVATION_EXP, "Log": BH_ACTIVATION_LOG,
    "Sqrt": BH_ACTIVATION_SQRT, "Abs": BH_ACTIVATION_ABS,
    "Reciprocal": BH_ACTIVATION_RECIPROCAL, "Softplus": BH_ACTIVATION_SOFTPLUS,
    "Mish": BH_ACTIVATION_MISH, "Softsign": BH_ACTIVATION_SOFTSIGN,
    "Floor": BH_ACTIVATION_FLOOR, "Ceil": BH_ACTIVATION_CEIL, "Round": BH_ACTIVATION_ROUND,
    "Sin": BH_ACTIVATION_SIN, "Cos": BH_ACTIVATION_COS,
  ]

  /// Operators that are always a function of the table; ``init(_:constant:)`` tells of the others.
  static let operators: [String] =
    plain.keys.sorted() + [
      "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Max", "Min", "Neg",
      "Pow", "Swish",
    ]

  /// The function that a node is of its first input, or nil when it is none (a `Clip` whose bounds
  /// are computed, say).
  init?(_ node: Node, constant: (String) -> Tensor?) {
    if let kind = Self.plain[node.op] {
      self.init(kind: kind)
      return
    }
    /// The one number of a constant operand.
    func number(_ index: Int) -> Float? {
      guard let tensor = node.input(index).flatMap(constant), tensor.count == 1 else { return nil }
      return tensor.asFloat32().floats()[0]
    }
    func with(_ kind: Int32, _ alpha: Float, _ beta: Float = 0) -> Activation {
      Activation(kind: kind, alpha: alpha, beta: beta)
    }
    switch node.op {
    case "Clip":
      var bounds: (Float, Float) = (-.greatestFiniteMagnitude, .greatestFiniteMagnitude)
      bounds.0 = node.float("min", default: bounds.0)
      bounds.1 = node.float("max", default: bounds.1)
      for (index, name) in [(1, node.input(1)), (2, node.input(2))] {
        guard let name else { continue }
        guard let bound = constant(name)?.floats().first else { return nil }
        if index == 1 { bounds.0 = bound } else { bounds.1 = bound }
      }
      self = with(BH_ACTIVATION_CLIP, bounds.0, bounds.1)
    case "Elu": self = with(BH_ACTIVATION_ELU, node.float("alpha", default: 1))
    case "LeakyRelu": self = with(BH_ACTIVATION_LEAKY_RELU, node.float("alpha", default: 0.01))
    case "Swish": self = with(BH_ACTIVATION_SWISH, node.float("alpha", default: 1))
    case "Neg": self = .linear(-1, 0)
    case "Gelu":
      let isTanh = node.string("approximate", default: "none") == "tanh"
      self.init(kind: isTanh ? BH_ACTIVATION_GELU_TANH : BH_ACTIVATION_GELU)
    case "HardSigmoid":
      self = with(
        BH_ACTIVATION_HARD_SIGMOID, node.float("alpha", default: 0.2),
        node.float("beta", default: 0.5))
    case "HardSwish":
      self = with(
        BH_ACTIVATION_HARD_SWISH, node.float("alpha", default: 1.0 / 6),
        node.float("beta", default: 0.5))
    case "Max", "Min":
      guard node.inputs.count == 2, let bound = number(1) else { return nil }
      self =
        node.op == "Max"
        ? with(BH_ACTIVATION_CLIP, bound, .infinity) : with(BH_ACTIVATION_CLIP, -.infinity, bound)
    case "Pow":
      guard let exponent = number(1) else { return nil }
      self = with(BH_ACTIVATION_POWER, exponent)
    default: return nil
    }
  }

  /// A sum, difference, product or quotient with a constant number as a linear function.
  ///
  /// - Returns: The function and the position of its argument; nil when both operands are computed,
  ///   or the constant has more than one element or more axes than the other.
  static func line(
    _ node: Node, constant: (String) -> Tensor?, rank: (String) -> Int, exactly: Bool = true
  ) -> (function: Activation, argument: Int)? {
    guard ["Add", "Sub", "Mul", "Div"].contains(node.op), node.inputs.count == 2,
      node.attributes["axis"] == nil
    else { return nil }
    for (index, name) in node.inputs.enumerated() {
      guard let tensor = constant(name), tensor.count == 1, tensor.elementType == .float32,
        constant(node.inputs[1 - index]) == nil, tensor.rank <= rank(node.inputs[1 - index])
      else { continue }
      let number = tensor.floats()[0]
      guard number.isFinite else { return nil }
      switch (node.op, index) {
      case ("Add", _): return (.linear(1, number), 1 - index)
      case ("Mul", _): return (.linear(number, 0), 1 - index)
      case ("Sub", 1): return (.linear(1, -number), 0)
      case ("Sub", _): return (.linear(-1, number), 1)
      // Exact for powers of two, within one rounding elsewhere: enough to change what a Floor gives.
      case ("Div", 1) where (1 / number).isNormal && (!exactly || abs(number.significand) == 1):
        return (.linear(1 / number, 0), 0)
      default: return nil
      }
    }
    return nil
  }
}
