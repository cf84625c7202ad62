internal import BillhookPlugins
internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension QuantizationStage {
  /// Puts a DequantizeLinear in front of each quantized weight.
  mutating func makeWeightOnly() {
    for node in dequantizeWeights() { insert(node.nodes, before: node.reader) }
  }

  /// Replaces the float weights by integers.
  ///
  /// The DequantizeLinear takes over the name of the weight, so that no reader changes.
  ///
  /// - Returns: The nodes to insert, each with the display name of the first reader.
  mutating func dequantizeWeights() -> [(nodes: [Node], reader: String)] {
    var result: [(nodes: [Node], reader: String)] = []
    var seen: Set<String> = []
    for entry in layers where seen.insert(entry.layer.weight).inserted {
      let weight = entry.layer.weight
      let quantized = entry.quantized
      graph.removeConstant(weight)
      let inputs = [
        add("\(weight)_quantized", quantized.integers),
        add("\(weight)_scale", quantized.parameters.scale),
        add("\(weight)_zero_point", quantized.parameters.zeroPoint),
      ]
      let node = Node(
        "DequantizeLinear", name: names.unused("\(weight)_dequantize"), inputs: inputs,
        outputs: [weight], attributes: quantized.axis.map { ["axis": .int($0)] } ?? [:])
      result.append(([node], entry.layer.output))
    }
    return result
  }

  /// Adds an initializer under a name that is free.
  mutating func add(_ wanted: String, _ tensor: Tensor) -> String {
    let name = names.unused(wanted)
    graph.initializers[name] = Initializer(tensor)
    return name
  }

  /// Inserts nodes in front of the one that makes `value`.
  mutating func insert(_ nodes: [Node], before value: String) {
    let index = graph.nodes.firstIndex { $0.outputs.contains(value) } ?? graph.nodes.count
    graph.nodes.insert(contentsOf: nodes, at: index)
  }
}
