internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor
internal import OrderedCollections

extension QuantizationStage {
  /// Puts the operators that restore it in front of each quantized weight.
  ///
  /// - Throws: ``CompressionError/opsetTooOld(opset:needed:node:op:)`` when a layout needs a newer
  ///   operator set than the network can be raised to.
  mutating func makeWeightOnly() throws {
    let needed = layers.map { $0.quantized.floats == nil ? $0.quantized.layout.neededOpset : 13 }
    graph = try graph.raisedOpset(to: needed.max() ?? 13)
    record.opsetAfter = graph.opset
    for node in dequantizeWeights() { insert(node.nodes, before: node.reader) }
  }

  /// Replaces the float weights by integers.
  ///
  /// The last operator takes over the name of the weight, so that no reader changes.
  ///
  /// - Returns: The nodes to insert, each with the display name of the first reader.
  mutating func dequantizeWeights() -> [(nodes: [Node], reader: String)] {
    var result: [(nodes: [Node], reader: String)] = []
    var seen: Set<String> = []
    for entry in layers where seen.insert(entry.layer.weight).inserted {
      let weight = entry.layer.weight
      let quantized = entry.quantized
      graph.removeConstant(weight)
      if let floats = quantized.floats {
        graph.initializers[weight] = Initializer(floats)
      } else {
        result.append((decode(quantized, output: weight), entry.layer.output))
      }
    }
    return result
  }

  /// Adds an initializer under a name that is free.
  mutating func add(_ wanted: String, _ tensor: Tensor) -> String {
    let name = names.unused(wanted)
    graph.initializers[name] = Initializer(tensor)
    return name
  }

  /// Inserts nodes in front of the one that makes `value`; in front of all when a subgraph makes it.
  mutating func insert(_ nodes: [Node], before value: String) {
    let index = graph.nodes.firstIndex { $0.outputs.contains(value) } ?? 0
    graph.nodes.insert(contentsOf: nodes, at: index)
  }
}
