internal import BillhookGraph
internal import BillhookTensor

/// QuantizeLinear, DequantizeLinear, and the layers between them that run on integers.
enum IntegerRules {
  static func quantize(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let grid = try l.grid(step.node, valueType: nil)
    try requireByte(grid.elementType, step.node)
    // Quantizing what was dequantized on the same grid gives the same integers.
    if case .dequantized(let integers, let source)? = l.value(step.node.inputs[0]), source == grid {
      return .computed(integers)
    }
    return .computed(try l.plan.quantize(try l.float(step.node.inputs[0]), grid))
  }

  static func dequantize(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let name = step.node.inputs[0]
    if let tensor = l.constant(name) {
      return .dequantizedConstant(
        tensor, try l.grid(step.node, valueType: tensor.elementType))
    }
    guard case .computed(let integers)? = l.value(name) else { throw .unknownValue(name: name) }
    try requireByte(integers.elementType, step.node)
    return .dequantized(integers, try l.grid(step.node, valueType: integers.elementType))
  }

  /// A Conv (`convolving` given), Gemm or MatMul whose operands are integers, or nil when they are
  /// not.
  ///
  /// Needed are an input quantized as a whole and a constant weight quantized as a whole or along
  /// its output axis.
  static func layer(
    _ l: Lowering, _ step: Step, _ convolving: Convolving?
  ) throws(RuntimeError) -> LoweredValue? {
    let node = step.node
    guard step.residual == nil, l.mode == .inference,
      case .dequantized(let x, let inputGrid)? = l.value(node.inputs[0]), inputGrid.isPerTensor,
      case .dequantizedConstant(var weight, let weightGrid)? = l.value(node.inputs[1]),
      weight.elementType == .int8 || weight.elementType == .uint8
    else { return nil }
    let isTransposed = convolving == nil && !(node.op == "Gemm" && GemmForm(node).transposesB)
    let outputAxis = isTransposed ? 1 : 0
    guard weightGrid.isPerTensor || weightGrid.axis == outputAxis else { return nil }
    if isTransposed { weight = weight.transposed([1, 0]) }
    let outputs = weight.shape[0]
    let weightScale = spread(weightGrid.scale, outputs)
    var bias: [Float]?
    if let name = step.bias ?? (node.op == "MatMul" ? nil : node.input(2)) {
      switch l.value(name) {
      case .constant(let tensor)?: bias = tensor.floats()
      case .dequantizedConstant(let integers, let grid)?:
        bias = grid.dequantize(integers).floats()
      default: return nil
      }
    }
    let target = try step.quantize.map { node throws(RuntimeError) in
      try l.grid(node, valueType: nil)
    }
    let zeros = weightGrid.zeroPoint.allSatisfy { $0 == 0 }
    // The kernel writes neither a grid along an axis nor more than one activation, nor a sigmoid's
    // integers; its output stays float then.
    let isOne = step.activations.count <= 1 && step.activations.allSatisfy(\.isForIntegers)
    let fused =
      target.map { $0.isPerTensor && isOne && step.activations != [.sigmoid] } ?? isOne
    let output = Requantization(
      scale: weightScale.map { $0 * inputGrid.scale[0] }, bias: bias,
      activation: isOne ? step.activations.first : nil, target: fused ? target : nil)
    let y = try l.plan.integerLayer(
      x, zeroPoint: inputGrid.zeroPoint[0], weight: weight,
      weightZeroPoint: zeros ? nil : spread(weightGrid.zeroPoint, outputs), window: convolving,
      pooling: try step.pool.map { pool throws(RuntimeError) in try l.poolingWindow(pool) },
      output: output, l.shape((step.pool ?? node).outputs[0]))
    let value = isOne ? y : try l.plan.activation(y, step.activations)
    guard !fused, let target else { return .computed(value) }
    return .computed(try l.plan.quantize(value, target))
  }

  /// An Add of two quantized values of one shape whose sum is quantized again, or nil.
  static func add(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue? {
    guard let node = step.quantize,
      case .dequantized(let a, let aGrid)? = l.value(step.node.inputs[0]), aGrid.isPerTensor,
      case .dequantized(let b, let bGrid)? = l.value(step.node.inputs[1]), bGrid.isPerTensor,
      a.shape == b.shape
    else { return nil }
    let target = try l.grid(node, valueType: nil)
    guard target.isPerTensor, step.activations.count <= 1,
      step.activations.allSatisfy(\.isForIntegers)
    else { return nil }
    return .computed(
      try l.plan.addInteger(a, aGrid, b, bGrid, step.activations.first, target))
  }

  private static func spread<Number>(_ values: [Number], _ count: Int) -> [Number] {
    values.count == 1 ? Array(repeating: values[0], count: count) : values
  }

  private static func requireByte(_ type: ElementType, _ node: Node) throws(RuntimeError) {
    guard type == .int8 || type == .uint8 else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "\(type) activations",
        expected: "int8 and uint8")
    }
  }
}
