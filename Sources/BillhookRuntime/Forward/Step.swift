internal import BillhookGraph
internal import BillhookTensor

/// One thing that a plan does: a node, with the nodes behind it that were fused into it.
struct Step {
  var node: Node
  /// The value that the step makes: the last fused node's output.
  var output: String
  /// Added before the activation; inference only.
  var residual: String?
  var activation = Activation.none
  /// A MaxPool behind a convolution, before or behind the activation: a maximum commutes with it.
  var pool: Node?
  /// A QuantizeLinear behind the activation.
  var quantize: Node?
  /// The node and those that were fused behind it, in their order.
  var nodes: [Node]

  init(_ node: Node) {
    self.node = node
    nodes = [node]
    output = node.mainOutput ?? ""
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
    let consumers = self.consumers()
    let producers = self.producers()
    let kept = observed.union(outputs.map(\.name))
    var absorbed = Set<Int>()

    /// The only reader of a value, when nobody else needs to see it.
    func soleConsumer(_ value: String) -> Int? {
      guard let readers = consumers[value], readers.count == 1, !kept.contains(value) else {
        return nil
      }
      return readers[0]
    }

    /// For each Add that can ride on a convolution: the convolution and the other operand.
    var residuals: [Int: (add: Int, operand: String)] = [:]
    if mode == .inference {
      for (index, node) in nodes.enumerated() where node.op == "Add" && node.inputs.count == 2 {
        guard let left = types[node.inputs[0]], let right = types[node.inputs[1]], left == right
        else { continue }
        let candidates = [(0, 1), (1, 0)].compactMap { (own, other) -> (Int, String)? in
          guard let producer = producers[node.inputs[own]], nodes[producer].op == "Conv",
            soleConsumer(node.inputs[own]) == index, residuals[producer] == nil,
            let operand = producers[node.inputs[other]], operand < producer
          else { return nil }
          return (producer, node.inputs[other])
        }
        if let (conv, operand) = candidates.max(by: { $0.0 < $1.0 }) {
          residuals[conv] = (index, operand)
        }
      }
    }

    var steps: [Step] = []
    for (index, node) in nodes.enumerated() where !absorbed.contains(index) {
      var step = Step(node)
      defer { steps.append(step) }
      func absorb(_ next: Int) {
        absorbed.insert(next)
        step.nodes.append(nodes[next])
        step.output = nodes[next].outputs[0]
      }
      if node.op == "Conv", let (add, operand) = residuals[index] {
        step.residual = operand
        absorb(add)
      }
      func absorbPool() {
        guard mode == .inference, step.pool == nil, step.residual == nil,
          readsFewChannels(node, types, producers),
          let next = soleConsumer(step.output), poolsInPlace(nodes[next])
        else { return }
        step.pool = nodes[next]
        absorb(next)
      }
      absorbPool()
      if let next = soleConsumer(step.output),
        takesActivation(node, nodes[next], mode, producers),
        let activation = Activation(nodes[next], constant: constant)
      {
        step.activation = activation
        absorb(next)
        if activation != .sigmoid { absorbPool() }
      }
      if mode == .inference, takesQuantization(node, producers),
        let next = soleConsumer(step.output), nodes[next].op == "QuantizeLinear",
        nodes[next].inputs[0] == step.output
      {
        step.quantize = nodes[next]
        absorb(next)
      }
    }
    return steps
  }

  private func takesActivation(
    _ node: Node, _ next: Node, _ mode: PlanMode, _ producers: [String: Int]
  ) -> Bool {
    switch node.op {
    case "Conv", "Gemm": true
    // The kernel core can only put a ReLU behind a batch norm.
    case "BatchNormalization": mode == .training && next.op == "Relu"
    case "Add": mode == .inference
    case "MaxPool": mode == .inference && poolsFloats(node, producers)
    default: false
    }
  }

  private func takesQuantization(_ node: Node, _ producers: [String: Int]) -> Bool {
    switch node.op {
    case "Conv", "Gemm", "MatMul", "Add": true
    case "MaxPool": poolsFloats(node, producers)
    default: false
    }
  }

  /// True for a float convolution of images that has so few inputs that its output is what costs.
  private func readsFewChannels(
    _ node: Node, _ types: [String: ValueType], _ producers: [String: Int]
  ) -> Bool {
    guard node.op == "Conv", let sizes = types[node.inputs[0]]?.sizes, sizes.count == 4,
      sizes[1] <= 4, constant(node.inputs[1]) != nil
    else { return false }
    return producers[node.inputs[0]].map { nodes[$0].op != "DequantizeLinear" } ?? true
  }

  /// True for a MaxPool whose second output nobody wants.
  private func poolsInPlace(_ node: Node) -> Bool {
    node.op == "MaxPool" && node.outputs.dropFirst().allSatisfy(\.isEmpty)
  }

  /// False for a pooling that runs on integers: it stands alone.
  private func poolsFloats(_ node: Node, _ producers: [String: Int]) -> Bool {
    producers[node.inputs[0]].map { nodes[$0].op != "DequantizeLinear" } ?? true
  }
}
