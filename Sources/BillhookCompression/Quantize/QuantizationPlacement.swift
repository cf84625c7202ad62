internal import BillhookGraph
internal import OrderedCollections

/// Which values of a network carry integers.
///
/// Quantized is what the chosen layers read; from there backwards what keeps integers flowing: both
/// inputs of a residual addition, what a pooling or a change of shape reads. A value is
/// quantized where it is whole, behind the activation that a runtime fuses, never between a layer and
/// its activation. What no quantized layer reads, such as the network's last output, stays float.
struct QuantizationPlacement {
  /// Operators that only move numbers or pick some: their output has their input's scale.
  static let sameScale: Set<String> = [
    "MaxPool", "Flatten", "Reshape", "Transpose", "Identity", "Dropout", "Squeeze", "Unsqueeze",
  ]

  /// The quantized values, in the order in which they are computed.
  let values: [String]
  /// The value whose range fixes each value's scale: itself, or what same-scale operators read.
  let roots: [String: String]

  /// - Parameter layers: The node indices of the layers that are quantized.
  init(_ graph: Graph, layers: Set<Int>) {
    let consumers = graph.consumers()
    let producers = graph.producers()
    let outputs = Set(graph.outputs.map(\.name))
    var quantized: Set<String> = []
    // What follows from constants alone is quantized where a layer reads it, and no further back.
    let activations = graph.activations
    func insert(_ value: String?) {
      guard let value, activations.contains(value) else { return }
      quantized.insert(value)
    }
    // Whether what a node makes is quantized, itself or behind the activation fused to it.
    func isQuantized(_ node: Node) -> Bool {
      guard let output = node.outputs.first else { return false }
      if quantized.contains(output) { return true }
      guard !outputs.contains(output), let readers = consumers[output], readers.count == 1,
        ["Relu", "Clip"].contains(graph.nodes[readers[0]].op),
        let activated = graph.nodes[readers[0]].outputs.first
      else { return false }
      return quantized.contains(activated)
    }
    for (index, node) in graph.nodes.enumerated().reversed() {
      if layers.contains(index), let input = node.input(0) { quantized.insert(input) }
      switch node.op {
      case let op where Self.sameScale.contains(op):
        if let output = node.outputs.first, quantized.contains(output) { insert(node.input(0)) }
      case "AveragePool", "GlobalAveragePool":
        if let output = node.outputs.first, quantized.contains(output) { insert(node.input(0)) }
      case "Add", "Concat":
        let isConstant = node.inputs.contains { !activations.contains($0) }
        if !isConstant, isQuantized(node) { for input in node.inputs { insert(input) } }
      default: break
      }
    }
    let order =
      graph.inputs.map(\.name) + graph.nodes.flatMap { $0.outputs.filter { !$0.isEmpty } }
    values = order.filter { quantized.contains($0) }
    var roots: [String: String] = [:]
    for value in values {
      roots[value] = value
      if let index = producers[value], Self.sameScale.contains(graph.nodes[index].op),
        let input = graph.nodes[index].input(0), let root = roots[input]
      {
        roots[value] = root
      }
    }
    self.roots = roots
  }
}

extension Graph {
  /// The inputs, and what nodes make of them or of chance: all values but constants.
  fileprivate var activations: Set<String> {
    var result = Set(inputs.map(\.name))
    for node in nodes where node.op != "Constant" {
      guard node.reads.isEmpty || node.reads.contains(where: { result.contains($0) }) else {
        continue
      }
      result.formUnion(node.outputs)
    }
    return result
  }
}
