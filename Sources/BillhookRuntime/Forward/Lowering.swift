internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// What is known of a value while a graph is lowered.
enum LoweredValue {
  /// Computed by the plan.
  case computed(PlanValue)
  /// Known now.
  case constant(Tensor)
  /// A DequantizeLinear that nobody needed as floats so far. What only moves elements passes the
  /// integers on, and an integer layer takes them as they are.
  case dequantized(PlanValue, QuantizationGrid)
  /// The same of a constant: a quantized weight.
  case dequantizedConstant(Tensor, QuantizationGrid)
  /// 32-bit sums of an integer layer, kept as floats because only a Cast to float reads them.
  case integerSums(PlanValue)
  /// Made by a step on the host, of a type or shape that a plan has no values for.
  case host(HostCell)
}

/// Turns the steps of a graph into operations of a plan.
final class Lowering {
  let graph: Graph
  let types: [String: ValueType]
  let mode: PlanMode
  let plan: KernelPlan
  let seed: UInt64
  /// What takes the place of Identity nodes, by the node's name.
  let substitutions: [String: any ValueSubstitution]
  private(set) var values: [String: LoweredValue] = [:]
  /// Float constants that training may change, by name.
  private(set) var parameters: OrderedDictionary<String, PlanValue> = [:]
  /// Values computed from parameters: those that a gradient must reach.
  private(set) var trained = Set<String>()
  /// What each recurrent layer gives at all steps, whether somebody reads it or not, by the layer's
  /// main output.
  var sequences: [String: PlanValue] = [:]
  /// Outputs of the nodes that the host computes.
  private var hostNodes = Set<String>()
  /// Inputs that the plan has no values for.
  var hostInputs: [String: HostCell] = [:]
  /// Constants that training leaves as they are.
  var fixed: Set<String> = []
  private let constants: [String: Tensor]
  /// In training what weights are computed from.
  private var weightSources: WeightSources?
  private var floats: [String: PlanValue] = [:]

  init(
    _ graph: Graph, types: [String: ValueType], mode: PlanMode, seed: UInt64 = 0,
    substitutions: [String: any ValueSubstitution] = [:]
  ) throws(RuntimeError) {
    self.graph = graph
    self.types = types
    self.mode = mode
    self.seed = seed
    self.substitutions = substitutions
    plan = try KernelPlan()
    var constants: [String: Tensor] = [:]
    for (name, initializer) in graph.initializers { constants[name] = initializer.tensor }
    for node in graph.nodes where node.op == "Constant" {
      if let name = node.outputs.first { constants[name] = graph.constant(name) }
    }
    self.constants = constants
    guard mode == .training else { return }
    weightSources = WeightSources(of: graph) { types[$0]?.sizes ?? [] }
  }

  /// Adds the operations of one step; its output has a value afterwards.
  func lower(_ step: Step) throws(RuntimeError) {
    plan.currentNode = step.node.displayName
    if step.node.op == "Constant" { return }
    guard mode == .training else { return try lowerToKernels(step) }
    for name in step.nodes.flatMap(\.inputs)
    where weightSources?.constants.contains(name) == true && isWeight(name) {
      _ = try parameter(name)
    }
    if ForwardRules.runs(step.node, graph, types) {
      do {
        return try lowerToKernels(step)
      } catch .unsupportedForm, .kernel {
        // The form is one that only the operator's definition computes.
      }
    }
    for node in step.nodes {
      try lowerToHost(node)
      hostNodes.formUnion(node.outputs)
    }
  }

  private func lowerToKernels(_ step: Step) throws(RuntimeError) {
    let node = step.node
    guard let rule = ForwardRules.table[node.op] else {
      throw .graph(
        .unsupportedOperator(
          op: node.op, domain: node.domain, node: node.displayName,
          supported: ForwardRules.table.keys.sorted()))
    }
    values[step.output] = try rule(self, step)
    if mode == .training,
      reads(step).contains(where: { trained.contains($0) || parameters[$0] != nil })
    {
      trained.insert(step.output)
      if step.nodes.count == 1 { trained.formUnion(node.outputs.filter { !$0.isEmpty }) }
    }
  }

  private func reads(_ step: Step) -> [String] {
    step.node.inputs + (step.residual.map { [$0] } ?? [])
  }

  func define(_ name: String, _ value: LoweredValue) { values[name] = value }

  /// True for a node that the host computes.
  func isOnHost(_ node: Node) -> Bool { node.outputs.contains { hostNodes.contains($0) } }

  /// Says that a value is computed from parameters.
  func markTrained(_ name: String) { trained.insert(name) }

  // MARK: What rules ask for

  /// The fixed shape of a value.
  func shape(_ name: String) -> [Int] { types[name]?.sizes ?? [] }

  /// The constant tensor under a name, or nil.
  func constant(_ name: String?) -> Tensor? {
    guard let name else { return nil }
    if let tensor = constants[name] { return tensor }
    if case .constant(let tensor)? = values[name] { return tensor }
    return nil
  }

  func value(_ name: String) -> LoweredValue? {
    values[name] ?? constants[name].map { .constant($0) }
  }

  /// A value as floats in the plan: computed, dequantized, or made a constant of the plan.
  func float(_ name: String) throws(RuntimeError) -> PlanValue {
    if let parameter = parameters[name] { return parameter }
    if let known = floats[name] { return known }
    let result: PlanValue
    switch value(name) {
    case .computed(let value)?: return value
    case .constant(let tensor)?: result = try plan.constant(tensor.asFloat32())
    case .dequantized(let integers, let grid)?: result = try plan.dequantize(integers, grid)
    case .dequantizedConstant(let integers, let grid)?:
      result = try plan.constant(grid.dequantize(integers))
    case .integerSums?:
      throw .unsupportedForm(
        node: plan.currentNode, op: "node", found: "the int32 value \"\(name)\" as an input",
        expected: "a Cast to float32 behind an integer layer")
    case .host?:
      throw .unsupportedForm(
        node: plan.currentNode, op: "node", found: "the value \"\(name)\" as an input",
        expected: "float32 values of known shapes")
    case nil: throw .unknownValue(name: name)
    }
    floats[name] = result
    return result
  }

  /// A constant float32 tensor that training changes, or a constant in inference.
  func parameter(_ name: String) throws(RuntimeError) -> PlanValue {
    guard mode == .training, parameters[name] == nil, !fixed.contains(name),
      let tensor = constants[name],
      tensor.elementType == .float32
    else { return try float(name) }
    let value = try plan.parameter(tensor)
    parameters[name] = value
    return value
  }

  /// True for a constant, and in training for what is computed from constants alone.
  func isFixedByConstants(_ name: String) -> Bool {
    weightSources?.producers[name] != nil || constant(name) != nil
  }

  /// A constant, or in training what is computed from constants alone; nil for any other value.
  func settled(_ name: String) throws(RuntimeError) -> Tensor? {
    if let tensor = constant(name) { return tensor }
    guard let node = weightSources?.producers[name] else { return nil }
    var inputs: [Tensor?] = []
    for input in node.inputs { inputs.append(input.isEmpty ? nil : try settled(input)) }
    do {
      let made = try ReferenceEvaluator.evaluate(node, opset: graph.opset, inputs: inputs)
      return zip(node.outputs, made).first { $0.0 == name }?.1
    } catch {
      throw .graph(error)
    }
  }

  /// The first two inputs of a product, as weights where they are.
  func factors(_ node: Node) throws(RuntimeError) -> (PlanValue, PlanValue) {
    let weights = TrainedInputs.weights(of: node, shape: shape) { isFixedByConstants($0) }
    func factor(_ name: String) throws(RuntimeError) -> PlanValue {
      weights.contains(name) ? try parameter(name) : try float(name)
    }
    return (try factor(node.inputs[0]), try factor(node.inputs[1]))
  }

  /// A statistic: changed by training, but not by gradients.
  func statistic(_ name: String) throws(RuntimeError) -> PlanValue {
    if let known = floats[name] { return known }
    guard mode == .training, let tensor = constant(name), tensor.elementType == .float32 else {
      return try float(name)
    }
    let value = try plan.parameter(tensor)
    floats[name] = value
    if !fixed.contains(name) { statistics[name] = value }
    return value
  }
  private(set) var statistics: OrderedDictionary<String, PlanValue> = [:]

  /// The numbers of a Q/DQ node, which must be constants.
  func grid(_ node: Node, valueType: ElementType?) throws(RuntimeError) -> QuantizationGrid {
    guard let scale = constant(node.input(1)) else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "a computed scale", expected: "a constant one")
    }
    let zeroTensor = constant(node.input(2))
    if node.input(2) != nil, zeroTensor == nil {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "a computed zero point",
        expected: "a constant one")
    }
    let zeros = zeroTensor?.integers()?.map { Int32(truncatingIfNeeded: $0) }
    let type = zeroTensor?.elementType ?? valueType ?? .uint8
    let rank = max(shape(node.inputs[0]).count, 1)
    let axis = node.int("axis", default: 1)
    return QuantizationGrid(
      elementType: type, scale: scale.floats(),
      zeroPoint: zeros ?? Array(repeating: 0, count: scale.count),
      axis: axis < 0 ? axis + rank : axis)
  }
}

extension QuantizationGrid {
  /// The real numbers of a constant, `(q − zero point) · scale`.
  func dequantize(_ integers: Tensor) -> Tensor {
    let source = integers.integers() ?? []
    var result = [Float](repeating: 0, count: source.count)
    let inner = isPerTensor ? 1 : integers.shape.dropFirst(axis + 1).reduce(1, *)
    for index in source.indices {
      let channel = isPerTensor ? 0 : index / inner % scale.count
      result[index] = Float(source[index] - Int(zeroPoint[channel])) * scale[channel]
    }
    return Tensor(result, shape: integers.shape)
  }
}
