internal import BillhookGraph
internal import BillhookTensor

/// Integer operators whose scales are found while running: DynamicQuantizeLinear, ConvInteger,
/// MatMulInteger, and the Cast behind them.
enum DynamicRules {
  static func quantize(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let (integers, scale, zeroPoint) = try l.plan.dynamicQuantize(
      try l.float(step.node.inputs[0]))
    for (output, value) in zip(step.node.outputs.dropFirst(), [scale, zeroPoint]) {
      l.define(output, .computed(value))
    }
    return .computed(integers)
  }

  static func conv(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let weight = try constantWeight(l, node)
    let input = Array(l.shape(node.inputs[0]).dropFirst(2))
    let convolving = try Convolving(node, weight: weight.shape, input: input)
    return try sums(l, node, try l.integers(node.inputs[0], node), weight, convolving)
  }

  static func matmul(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let weight = try constantWeight(l, node)
    let input = try l.integers(node.inputs[0], node)
    guard weight.rank == 2, input.shape.count >= 2 else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op,
        found: "factors of shapes \(input.shape) and \(weight.shape)",
        expected: "rows times a constant matrix")
    }
    // Rows are independent, so all leading axes are one.
    let rows = input.shape.dropLast().reduce(1, *)
    let flat = try l.plan.reshape(input, [rows, weight.shape[0]])
    let result = try sums(l, node, flat, weight.transposed([1, 0]), nil)
    guard case .integerSums(let value) = result else { return result }
    return .integerSums(try l.plan.reshape(value, l.shape(node.outputs[0])))
  }

  static func cast(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let name = step.node.inputs[0]
    let target = ElementType(rawValue: Int32(step.node.int("to", default: 0)))
    switch l.value(name) {
    case .integerSums(let sums)? where target == .float32: return .computed(sums)
    case .computed(let value)? where target == value.elementType: return .computed(value)
    default:
      throw .unsupportedForm(
        node: step.node.displayName, op: "Cast",
        found: "a conversion to \(target?.description ?? "an unknown type")",
        expected: "float32 to itself, or the sums of an integer layer to float32,")
    }
  }

  private static func sums(
    _ l: Lowering, _ node: Node, _ input: PlanValue, _ weight: Tensor, _ convolving: Convolving?
  ) throws(RuntimeError) -> LoweredValue {
    let outputs = weight.shape[0]
    var zero: Int32 = 0
    var zeroValue: PlanValue?
    if let name = node.input(2) {
      if let constant = l.constant(name)?.integers()?.first {
        zero = Int32(constant)
      } else {
        zeroValue = try l.integers(name, node)
      }
    }
    var weightZero: [Int32]?
    if let name = node.input(3) {
      guard let zeros = l.constant(name)?.integers() else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op, found: "a computed zero point of the weights",
          expected: "a constant one")
      }
      weightZero = (0..<outputs).map { Int32(zeros[zeros.count == 1 ? 0 : $0]) }
    }
    let shape = convolving == nil ? [input.shape[0], outputs] : l.shape(node.outputs[0])
    return .integerSums(
      try l.plan.integerLayer(
        input, zeroPoint: zero, zeroValue: zeroValue, weight: weight, weightZeroPoint: weightZero,
        window: convolving,
        output: Requantization(
          scale: Array(repeating: 1, count: outputs), bias: nil, activation: nil, target: nil),
        shape))
  }

  private static func constantWeight(
    _ l: Lowering, _ node: Node
  ) throws(RuntimeError) -> Tensor {
    guard let weight = l.constant(node.input(1)) else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "weights that are computed",
        expected: "constant weights")
    }
    return weight
  }
}

extension Lowering {
  /// A computed value of bytes.
  func integers(_ name: String, _ node: Node) throws(RuntimeError) -> PlanValue {
    guard case .computed(let value)? = value(name),
      value.elementType == .uint8 || value.elementType == .int8
    else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "the input \"\(name)\"",
        expected: "a computed int8 or uint8 value")
    }
    return value
  }
}
