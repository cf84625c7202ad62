internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// One thing that a plan does: a node, with the nodes behind it that were fused into it.
struct Step {
  var node: Node
  /// The value that the step makes: the last fused node's output.
  var output: String
  /// A constant with one number for each output of a layer, added behind it; in training only behind
  /// a matrix product.
  var bias: String?
  /// Added before the activations; inference only.
  var residual: String?
  /// Applied one after the other; in training at most one.
  var activations: [Activation] = []
  /// A MaxPool behind a convolution, before or behind a function that cuts numbers to bounds and the
  /// quantization: a maximum commutes with them.
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
    let (graph, members) = PatternSearch(self, types: types, keeping: kept).fused(
      mode == .inference ? PatternSearch.forms : PatternSearch.formsWithGradients)
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
    let biases = self.biases()
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
          // The pooling cuts to one pair of bounds.
          step.activations.count <= 1, step.activations.allSatisfy({ $0.bounds != nil }),
          readsFewChannels(node),
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
        for next in integerPooling(behind: step) ?? [] {
          if nodes[next].op == "MaxPool" { step.pool = nodes[next] }
          absorb(next)
        }
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
    // A number with more axes than the value gives the result more axes.
    guard node.inputs.first == value, types[node.outputs[0]] == types[value] else { return nil }
    return Activation(node, constant: { constants[$0] })
  }

  private func takesActivation(_ node: Node) -> Bool {
    switch node.op {
    case "Conv", "Gemm": true
    case "BatchNormalization": mode == .training
    case "MaxPool": mode == .inference && poolsFloats(node)
    case "Add", "Sub", "Mul", "Div", "MatMul", "ConvTranspose", "GroupNormalization",
      "InstanceNormalization":
      mode == .inference
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

  /// DequantizeLinear, MaxPool and QuantizeLinear behind a quantized convolution, when they stay on
  /// its integers.
  private func integerPooling(behind step: Step) -> [Int]? {
    guard let quantize = step.quantize, step.node.op == "Conv", step.pool == nil,
      step.residual == nil, step.activations.count <= 1,
      step.activations.allSatisfy({ $0.bounds != nil }),
      let scale = quantize.input(1).flatMap({ constants[$0] }), scale.count == 1,
      scale.floats()[0] > 0,
      producers[step.node.inputs[0]].map({ nodes[$0].op == "DequantizeLinear" }) ?? false,
      let dequantize = soleConsumer(step.output), nodes[dequantize].op == "DequantizeLinear",
      sharesGrid(nodes[dequantize], quantize),
      let pool = soleConsumer(nodes[dequantize].outputs[0]), poolsInPlace(nodes[pool]),
      let again = soleConsumer(nodes[pool].outputs[0]), nodes[again].op == "QuantizeLinear",
      sharesGrid(nodes[again], quantize)
    else { return nil }
    return [dequantize, pool, again]
  }

  /// True for two nodes of one scale and one zero point.
  private func sharesGrid(_ one: Node, _ other: Node) -> Bool {
    (1...2).allSatisfy { index in
      guard let name = one.input(index), let twin = other.input(index) else {
        return one.input(index) == other.input(index)
      }
      return name == twin || (constants[name] != nil && constants[name] == constants[twin])
    }
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
    return step.node.op == "BatchNormalization"
      ? activation == .relu : activation.resultTellsSlope
  }

  /// True for a node whose kernel adds to its result before it is stored.
  private func isDense(_ node: Node) -> Bool {
    guard ["Gemm", "MatMul"].contains(node.op), let weight = constants[node.inputs[1]] else {
      return false
    }
    return weight.rank == 2 && weight.elementType == .float32
  }

  /// For each product and convolution the Add of a constant behind it, one number for each output.
  private func biases() -> [Int: (add: Int, bias: String)] {
    var result: [Int: (add: Int, bias: String)] = [:]
    for (index, node) in nodes.enumerated() {
      guard let shape = types[node.mainOutput ?? ""]?.sizes, takesBias(node),
        let next = soleConsumer(node.outputs[0]), nodes[next].op == "Add",
        nodes[next].attributes["axis"] == nil,
        let bias = nodes[next].inputs.first(where: { $0 != node.outputs[0] }),
        let tensor = constants[bias], tensor.elementType == .float32, tensor.rank <= shape.count
      else { continue }
      let channel =
        node.op == "MatMul" ? [shape.last!] : [shape[1]] + shape.dropFirst(2).map { _ in 1 }
      if Array(tensor.shape.drop { $0 == 1 }) == Array(channel.drop { $0 == 1 }) {
        result[index] = (next, bias)
      }
    }
    return result
  }

  private func takesBias(_ node: Node) -> Bool {
    switch node.op {
    case "MatMul": isDense(node)
    case "Conv", "ConvTranspose":
      mode == .inference && node.input(2) == nil
        && constants[node.inputs[1]]?.elementType == .float32
    default: false
    }
  }

  /// For each layer the Add of a computed value that can ride on it, and that value.
  private func residuals(
    _ biases: [Int: (add: Int, bias: String)]
  ) -> [Int: (add: Int, operand: String)] {
    var layers: [Int: Int] = [:]
    for (index, node) in nodes.enumerated() where node.op == "Conv" || isDense(node) {
      layers[biases[index]?.add ?? index] = index
    }
    let taken = Set(biases.values.map(\.add))
    var result: [Int: (add: Int, operand: String)] = [:]
    for (index, node) in nodes.enumerated() where node.op == "Add" && node.inputs.count == 2 {
      guard !taken.contains(index), let left = types[node.inputs[0]],
        let right = types[node.inputs[1]], left == right
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
