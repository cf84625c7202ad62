internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor
internal import OrderedCollections

/// How each operator becomes operations of a plan: the table that an operator is added to.
enum ForwardRules {
  /// Adds a step's operations and returns its output, with its functions and `quantize` applied.
  typealias Rule = @Sendable (Lowering, Step) throws(RuntimeError) -> LoweredValue

  static let table: [String: Rule] = layers.merging(
    Activation.operators.map { ($0, activation) }, uniquingKeysWith: { own, _ in own })

  private static let layers: [String: Rule] = [
    "Conv": LayerRules.conv,
    "Gemm": LayerRules.gemm,
    "MatMul": LayerRules.matmul,
    "BatchNormalization": LayerRules.batchNorm,
    "LayerNormalization": RowRules.layerNorm, "RMSNormalization": RowRules.layerNorm,
    "Add": add, "Sub": binary, "Mul": binary, "Div": binary,
    "MaxPool": maxPool, "AveragePool": averagePool, "GlobalAveragePool": globalAveragePool,
    "Softmax": FunctionRules.softmax, "LogSoftmax": FunctionRules.logSoftmax,
    "PRelu": FunctionRules.prelu, "Celu": FunctionRules.exponential,
    "Selu": FunctionRules.exponential,
    "Dropout": dropout,
    "Identity": ShapeRules.identity,
    "Flatten": ShapeRules.reshape, "Reshape": ShapeRules.reshape,
    "Squeeze": ShapeRules.reshape, "Unsqueeze": ShapeRules.reshape,
    "Transpose": ShapeRules.transpose, "Concat": ShapeRules.concat,
    "Slice": inferred(ShapeRules.slice, else: MovingRules.pick),
    "Split": inferred(ShapeRules.split, else: MovingRules.pick),
    "ReduceMean": inferred(RowRules.reduce, else: ReductionRules.reduce),
    "ReduceSum": inferred(RowRules.reduce, else: ReductionRules.reduce),
    "ReduceMax": RowRules.reduce, "ReduceMin": RowRules.reduce, "ReduceL1": RowRules.reduce,
    "ReduceL2": RowRules.reduce, "ReduceSumSquare": RowRules.reduce,
    "GroupNormalization": GroupNormRules.normalize,
    "InstanceNormalization": GroupNormRules.normalize,
    "Attention": AttentionRules.attention, PatternSearch.attention: AttentionRules.pattern,
    "RotaryEmbedding": RotaryRules.rotate,
    "ConvTranspose": SamplingRules.deconv, "Resize": SamplingRules.resize,
    "Upsample": SamplingRules.resize,
    "QuantizeLinear": IntegerRules.quantize, "DequantizeLinear": IntegerRules.dequantize,
    "DynamicQuantizeLinear": DynamicRules.quantize,
    "ConvInteger": DynamicRules.conv, "MatMulInteger": DynamicRules.matmul,
    "Cast": DynamicRules.cast,
    "RNN": RecurrentRules.layer, "GRU": RecurrentRules.layer, "LSTM": RecurrentRules.layer,
    "DepthToSpace": MovingRules.pick, "Expand": MovingRules.pick, "Gather": MovingRules.pick,
    "GatherElements": MovingRules.pick, "GatherND": MovingRules.pick, "Pad": MovingRules.pick,
    "SpaceToDepth": MovingRules.pick, "Tile": MovingRules.pick,
  ]

  /// The quick way of inference, and the one that takes every form and has a gradient.
  private static func inferred(_ quick: @escaping Rule, else whole: @escaping Rule) -> Rule {
    { l, step throws(RuntimeError) in
      guard l.mode == .inference else { return try whole(l, step) }
      do throws(RuntimeError) {
        return try quick(l, step)
      } catch {
        guard case .unsupportedForm = error else { throw error }
        return try whole(l, step)
      }
    }
  }

  /// Operators whose rules take and make integers.
  static let integerOperators: Set<String> = [
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger",
    "Cast",
  ]

  private static let recurrentOperators: Set<String> = ["RNN", "GRU", "LSTM"]
  private static let shapingOperators: Set<String> = ["Reshape", "Squeeze", "Unsqueeze"]

  /// False for the forms of an operator that its rule does not know.
  static func takes(_ node: Node, opset: Int) -> Bool {
    // All rules make the first output but those of operators that often leave it out.
    if node.outputs.first == "", !recurrentOperators.contains(node.op), node.op != "Split" {
      return false
    }
    return switch node.op {
    case "BatchNormalization": !node.isTrainingBatchNorm(opset: opset)
    // The third input can switch training on.
    case "Dropout": node.input(2) == nil
    // An axis to meet at, before today's broadcasting.
    case "Add", "Sub", "Mul", "Div": node.attributes["axis"] == nil
    case "QuantizeLinear", "DequantizeLinear": node.int("block_size", default: 0) == 0
    case "Reshape", "Concat": opset >= 5
    // A slope a channel, before today's broadcasting.
    case "PRelu": opset >= 7
    // Other defaults.
    case "Selu": opset >= 6
    case "Celu": node.float("alpha", default: 1) > 0
    default: true
    }
  }

  /// True for a node that kernels may run: its operator has a rule, and its values are such as a plan
  /// holds.
  static func runs(_ node: Node, _ graph: Graph, _ types: [String: ValueType]) -> Bool {
    guard table[node.op] != nil, node.isStandard,
      let first = node.mainOutput
    else { return false }
    let isIntegral = integerOperators.contains(node.op)
    func isFor(_ type: ValueType?) -> Bool {
      guard let type, let sizes = type.sizes, !sizes.contains(0) else { return false }
      switch type.elementType {
      case .float32: return true
      case .uint8, .int8, .int32: return isIntegral
      default: return false
      }
    }
    var values = node.inputs
    if shapingOperators.contains(node.op) {
      // The others only say which shape the output has.
      values = Array(values.prefix(1))
    } else if MovingRules.operators.contains(node.op) || ReductionRules.operators.contains(node.op)
    {
      values = Array(values.prefix(1))
      let isFixed = node.inputs.dropFirst().allSatisfy { $0.isEmpty || graph.constant($0) != nil }
      guard isFixed else { return false }
    } else if node.op == "RotaryEmbedding" {
      // Positions are integers, which the rule looks at.
      guard node.input(3).map({ graph.constant($0) != nil }) ?? true else { return false }
      values = Array(values.prefix(3))
    } else if node.op == "Attention", let mask = node.input(3), graph.constant(mask) != nil {
      // A constant mask may be of truth values.
      values[3] = ""
    } else if recurrentOperators.contains(node.op), node.input(4) != nil {
      // The lengths are int32 beside float inputs, which the rule looks at.
      values[4] = ""
    }
    let computed = values.filter { !$0.isEmpty && graph.initializers[$0] == nil }
    return computed.allSatisfy { isFor(types[$0]) }
      && takes(node, opset: graph.opset)
      && isFor(types[first]) && types[first]?.shape.isEmpty == false
  }

  private static func activation(
    _ l: Lowering, _ step: Step
  ) throws(RuntimeError) -> LoweredValue {
    guard let activation = Activation(step.node, constant: { l.constant($0) }) else {
      throw .unsupportedForm(
        node: step.node.displayName, op: step.node.op, found: "bounds that are computed",
        expected: "constant bounds")
    }
    let x = try l.float(step.node.inputs[0])
    guard l.shape(step.node.outputs[0]) == x.shape else {
      throw .unsupportedForm(
        node: step.node.displayName, op: step.node.op, found: "an operand with more axes",
        expected: "a single number")
    }
    return .computed(try l.plan.activation(x, [activation] + step.activations))
  }

  private static func add(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    if let integers = try IntegerRules.add(l, step) { return integers }
    return try binary(l, step)
  }

  private static func binary(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    if l.mode == .inference,
      let line = Activation.line(
        step.node, constant: { l.constant($0) }, rank: { l.shape($0).count })
    {
      let x = try l.float(step.node.inputs[line.argument])
      return try l.quantized(
        try l.plan.activation(x, [line.function] + step.activations), step)
    }
    let kind =
      switch step.node.op {
      case "Add": BH_BINARY_ADD
      case "Sub": BH_BINARY_SUB
      case "Div": BH_BINARY_DIV
      default: BH_BINARY_MUL
      }
    return try l.finish(try binary(l, step, kind), step)
  }

  private static func binary(
    _ l: Lowering, _ step: Step, _ kind: Int32
  ) throws(RuntimeError) -> PlanValue {
    let operands = step.node.inputs
    // Behind a trained layer a constant operand is a bias or a scale, and is trained too.
    let isTrained =
      ["Add", "Mul"].contains(step.node.op) && operands.contains { l.dependsOnParameters($0) }
    func operand(_ name: String) throws(RuntimeError) -> PlanValue {
      isTrained && l.isWeight(name) && TrainedInputs.isBesideTrained(step.node.op, l.shape(name))
        ? try l.parameter(name) : try l.float(name)
    }
    return try l.plan.binary(
      try operand(operands[0]), try operand(operands[1]), kind, l.shape(step.node.outputs[0]))
  }

  private static func maxPool(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    try l.refuseOtherOutputs(step.node, "indices")
    let window = try l.poolingWindow(step.node)
    let shape = l.shape(step.node.outputs[0])
    // The maximum of integers is the integer of the maximum: a scale is positive.
    if step.nodes.count == 1,
      case .dequantized(let x, let grid)? = l.value(step.node.inputs[0]), grid.isPerTensor
    {
      return .dequantized(
        try l.plan.pool(x, BH_POOL_MAX, window, shape, training: false), grid)
    }
    let x = try l.float(step.node.inputs[0])
    guard l.mode == .inference else {
      return .computed(try l.plan.pool(x, BH_POOL_MAX, window, shape, training: true))
    }
    return try l.pooled(step.node, step) { window, bounds, target, shape throws(RuntimeError) in
      try l.plan.maxPool(x, window, bounds, target, shape)
    }
  }

  private static func averagePool(
    _ l: Lowering, _ step: Step
  ) throws(RuntimeError) -> LoweredValue {
    let includesPadding = step.node.int("count_include_pad", default: 0) != 0
    if includesPadding, step.node.int("ceil_mode", default: 0) != 0 {
      // The last window may reach beyond the padding, which then must not be counted.
      throw .unsupportedForm(
        node: step.node.displayName, op: step.node.op,
        found: "ceil_mode together with count_include_pad", expected: "one of the two")
    }
    return .computed(
      try l.plan.pool(
        try l.float(step.node.inputs[0]),
        includesPadding ? BH_POOL_AVERAGE_INCLUDE_PAD : BH_POOL_AVERAGE_EXCLUDE_PAD,
        try l.poolingWindow(step.node), l.shape(step.node.outputs[0]),
        training: l.mode == .training))
  }

  private static func globalAveragePool(
    _ l: Lowering, _ step: Step
  ) throws(RuntimeError) -> LoweredValue {
    let x = try l.float(step.node.inputs[0])
    return .computed(
      try l.plan.pool(
        x, BH_POOL_AVERAGE_INCLUDE_PAD, Window(whole: Array(x.shape.dropFirst(2))),
        l.shape(step.node.outputs[0]), training: l.mode == .training))
  }

  private static func dropout(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    try l.refuseOtherOutputs(step.node, "mask")
    let ratio =
      l.constant(step.node.input(1))?.floats().first ?? step.node.float("ratio", default: 0.5)
    guard l.mode == .training, ratio > 0 else { return try ShapeRules.identity(l, step) }
    let stream = CounterRandom(seed: 0, stream: step.node.displayName).stream
    return .computed(
      try l.plan.dropout(
        try l.float(step.node.inputs[0]), ratio: ratio, seed: l.seed, stream: stream))
  }
}

extension Lowering {
  /// True when a value is computed from something that is trained.
  func dependsOnParameters(_ name: String) -> Bool { trained.contains(name) }

  /// Applies what was fused behind a step and its kernel could not do itself.
  func finish(_ value: PlanValue, _ step: Step) throws(RuntimeError) -> LoweredValue {
    var value = value
    value = try plan.activation(value, step.activations)
    guard let node = step.quantize else { return .computed(value) }
    return .computed(try plan.quantize(value, try grid(node, valueType: nil)))
  }

  /// The output of a step with a max pooling in it: `make` gets the pooling's window, what its result
  /// is cut to, what it is quantized to when that is one grid for the whole tensor, and its shape.
  func pooled(
    _ pool: Node, _ step: Step,
    _ make: (
      Window, ClosedRange<Float>, QuantizationGrid?, [Int]
    ) throws(RuntimeError) -> PlanValue
  ) throws(RuntimeError) -> LoweredValue {
    let grid = try step.quantize.map { node throws(RuntimeError) in
      try self.grid(node, valueType: nil)
    }
    let target = grid.flatMap { $0.isPerTensor ? $0 : nil }
    let bounds = step.activations.first?.bounds ?? -.infinity ... .infinity
    let y = try make(try poolingWindow(pool), bounds, target, shape(pool.outputs[0]))
    guard let grid, target == nil else { return .computed(y) }
    return .computed(try plan.quantize(y, grid))
  }

  func poolingWindow(_ node: Node) throws(RuntimeError) -> Window {
    let input = Array(shape(node.inputs[0]).dropFirst(2))
    do {
      return try Window(node, kernel: node.ints("kernel_shape") ?? [], input: input)
    } catch {
      throw .graph(error)
    }
  }

  /// For rules without a gradient: in training the host computes what they make, and its gradient.
  func requireInference(_ node: Node) throws(RuntimeError) {
    guard mode == .inference else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "training", expected: "inference")
    }
  }

  func refuseOtherOutputs(_ node: Node, _ what: String) throws(RuntimeError) {
    for output in node.outputs.dropFirst() where !output.isEmpty {
      guard
        graph.nodes.contains(where: { $0.inputs.contains(output) })
          || graph.outputs.contains(where: { $0.name == output })
      else { continue }
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "its \(what) read by somebody",
        expected: "the first output")
    }
  }
}
