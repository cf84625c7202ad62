internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// One thing that a plan does: a node, with the nodes behind it that were fused into it.
struct Step {
  var node: Node
  /// The value that the step makes: the last fused node's output.
  var output: String
  /// A constant that is added to each row of a MatMul's product; inference only.
  var bias: String?
  /// Added before the activations; inference only.
  var residual: String?
  /// Applied one after the other; in training at most one.
  var activations: [Activation] = []
  /// A MaxPool behind a convolution, before or behind a function that cuts numbers to bounds: a
  /// maximum commutes with it.
  var pool: Node?
  /// A QuantizeLinear behind the activations.
  var quantize: Node?
  /// The node and those that were fused behind it, in their order.
  var nodes: [Node]

  init(_ node: Node) {
    self.node = node
    nodes = [node]
    output = node.mainOutput ?? ""
  }

  /// Adds a function behind those that are there.
  mutating func append(_ activation: Activation) {
    if let last = activations.last, let both = activation.following(last) {
      activations[activations.count - 1] = both
    } else {
      activations.append(activation)
    }
  }
}

extension Node {
  /// The first output that somebody can read; a recurrent layer may leave out those before it.
  var mainOutput: String? { outputs.first { !$0.isEmpty } }
}

/// Which fusions a plan wants.
enum PlanMode {
  case inference
  case training
}

extension Graph {
  /// The graph as a list of steps, with what can be done in one pass fused.
  ///
  /// - Parameter observed: Values that must exist on their own.
  func steps(mode: PlanMode, observed: Set<String>, types: [String: ValueType]) -> [Step] {
    let kept = observed.union(outputs.map(\.name))
    guard mode == .inference else {
      return StepList(self, members: [:], mode: mode, kept: kept, types: types).steps()
    }
    let (graph, members) = PatternSearch(self, types: types, keeping: kept).fused()
    return StepList(graph, members: members, mode: mode, kept: kept, types: types).steps()
  }
}

/// A graph while it is cut into steps.
private struct StepList {
  let nodes: [Node]
  /// What the nodes of patterns stand for, by their outputs.
  let members: [String: [Node]]
  let mode: PlanMode
  let kept: Set<String>
  let types: [String: ValueType]
  private let consumers: [String: [Int]]
  private let producers: [String: Int]
  private let constants: [String: Tensor]

  init(
    _ graph: Graph, members: [String: [Node]], mode: PlanMode, kept: Set<String>,
    types: [String: ValueType]
  ) {
    nodes = graph.nodes
    self.members = members
    self.mode = mode
    self.kept = kept
    self.types = types
    consumers = graph.consumers()
    producers = graph.producers()
    constants = graph.constantTensors()
  }

  func steps() -> [Step] {
    let biases = mode == .inference ? self.biases() : [:]
    let residuals = mode == .inference ? self.residuals(biases) : [:]
    var absorbed = Set<Int>()
    var steps: [Step] = []
    for (index, node) in nodes.enumerated() where !absorbed.contains(index) {
      var step = Step(node)
      step.nodes = members[step.output] ?? [node]
      defer { steps.append(step) }
      func absorb(_ next: Int) {
        absorbed.insert(next)
        step.nodes += members[nodes[next].outputs[0]] ?? [nodes[next]]
        step.output = nodes[next].outputs[0]
      }
      if let (add, bias) = biases[index] {
        step.bias = bias
        absorb(add)
      }
      if let (add, operand) = residuals[index] {
        step.residual = operand
        absorb(add)
      }
      func absorbPool() {
        guard mode == .inference, step.pool == nil, step.residual == nil,
          step.activations.allSatisfy({ $0.bounds != nil }), readsFewChannels(node),
          let next = soleConsumer(step.output), poolsInPlace(nodes[next])
        else { return }
        step.pool = nodes[next]
        absorb(next)
      }
      absorbPool()
      while let next = soleConsumer(step.output), takesActivation(node),
        let activation = activation(nodes[next], of: step.output), takes(activation, step)
      {
        step.append(activation)
        absorb(next)
        absorbPool()
      }
      if mode == .inference, takesQuantization(node),
        let next = soleConsumer(step.output), nodes[next].op == "QuantizeLinear",
        nodes[next].inputs[0] == step.output
      {
        step.quantize = nodes[next]
        absorb(next)
      }
    }
    return steps
  }

  /// The only reader of a value, when nobody else needs to see it.
  private func soleConsumer(_ value: String) -> Int? {
    guard let readers = consumers[value], readers.count == 1, !kept.contains(value) else {
      return nil
    }
    return readers[0]
  }

  /// The function that a node is of a value.
  private func activation(_ node: Node, of value: String) -> Activation? {
    if mode == .inference,
      let line = Activation.line(
        node, constant: { constants[$0] }, rank: { types[$0]?.shape.count ?? 0 })
    {
      return node.inputs[line.argument] == value ? line.function : nil
    }
    return node.inputs.first == value ? Activation(node, constant: { constants[$0] }) : nil
  }

  private func takesActivation(_ node: Node) -> Bool {
    switch node.op {
    case "Conv", "Gemm": true
    case "BatchNormalization": mode == .training
    case "MaxPool": mode == .inference && poolsFloats(node)
    case "Add", "Sub", "Mul", "Div", "MatMul", "ConvTranspose": mode == .inference
    default: mode == .inference && Activation.operators.contains(node.op)
    }
  }

  private func takesQuantization(_ node: Node) -> Bool {
    switch node.op {
    case "Conv", "Gemm", "MatMul", "Add": true
    case "MaxPool": poolsFloats(node)
    default: false
    }
  }

  /// True for a float convolution of images that has so few inputs that its output is what costs.
  private func readsFewChannels(_ node: Node) -> Bool {
    guard node.op == "Conv", let sizes = types[node.inputs[0]]?.sizes, sizes.count == 4,
      sizes[1] <= 4, constants[node.inputs[1]] != nil
    else { return false }
    return producers[node.inputs[0]].map { nodes[$0].op != "DequantizeLinear" } ?? true
  }

  /// True for a MaxPool whose second output nobody wants.
  private func poolsInPlace(_ node: Node) -> Bool {
    node.op == "MaxPool" && node.outputs.dropFirst().allSatisfy(\.isEmpty)
  }

  /// False for a pooling that runs on integers: it stands alone.
  private func poolsFloats(_ node: Node) -> Bool {
    producers[node.inputs[0]].map { nodes[$0].op != "DequantizeLinear" } ?? true
  }

  private func takes(_ activation: Activation, _ step: Step) -> Bool {
    if step.pool != nil || step.node.op == "MaxPool" {
      return step.activations.isEmpty && activation.bounds != nil
    }
    guard mode == .training else { return true }
    guard step.activations.isEmpty else { return false }
    // The kernel core can only put a ReLU behind a batch norm.
    return step.node.op == "BatchNormalization" ? activation == .relu : activation.hasKernelGradient
  }

  /// True for a node whose kernel adds to its result before it is stored.
  private func isDense(_ node: Node) -> Bool {
    guard ["Gemm", "MatMul"].contains(node.op), let weight = constants[node.inputs[1]] else {
      return false
    }
    return weight.rank == 2 && weight.elementType == .float32
  }

  /// For each product with constant weights the Add behind it, and what that adds to each row.
  private func biases() -> [Int: (add: Int, bias: String)] {
    var result: [Int: (add: Int, bias: String)] = [:]
    for (index, node) in nodes.enumerated() where node.op == "MatMul" && isDense(node) {
      let outputs = constants[node.inputs[1]]!.shape[1]
      guard let next = soleConsumer(node.outputs[0]), nodes[next].op == "Add",
        nodes[next].attributes["axis"] == nil,
        let bias = nodes[next].inputs.first(where: { $0 != node.outputs[0] }),
        let tensor = constants[bias], tensor.shape == [outputs], tensor.elementType == .float32
      else { continue }
      result[index] = (next, bias)
    }
    return result
  }

  /// For each layer the Add of a computed value that can ride on it, and that value.
  private func residuals(
    _ biases: [Int: (add: Int, bias: String)]
  ) -> [Int: (add: Int, operand: String)] {
    var layers: [Int: Int] = [:]
    for (index, node) in nodes.enumerated() where node.op == "Conv" || isDense(node) {
      layers[biases[index]?.add ?? index] = index
    }
    var result: [Int: (add: Int, operand: String)] = [:]
    for (index, node) in nodes.enumerated() where node.op == "Add" && node.inputs.count == 2 {
      guard let left = types[node.inputs[0]], let right = types[node.inputs[1]], left == right
      else { continue }
      let candidates = [(0, 1), (1, 0)].compactMap { (own, other) -> (Int, String)? in
        guard let producer = producers[node.inputs[own]], let layer = layers[producer],
          soleConsumer(node.inputs[own]) == index, result[layer] == nil,
          let operand = producers[node.inputs[other]], operand < layer
        else { return nil }
        return (layer, node.inputs[other])
      }
      if let (layer, operand) = candidates.max(by: { $0.0 < $1.0 }) {
        result[layer] = (index, operand)
      }
    }
    return result
  }
}
