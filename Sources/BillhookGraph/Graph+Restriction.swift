internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The part of the graph that makes some values, which become its outputs; the inputs stay.
  ///
  /// - Parameter values: Names of values that nodes make.
  public func restricted(to values: [String]) -> Graph {
    if values == outputs.map(\.name) { return self }
    let stated = Dictionary(
      (outputs + valueInfos).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let types = (try? inferTypes()) ?? [:]
    let values = OrderedSet(values)
    var needed = Set(values)
    var kept: [Node] = []
    for node in nodes.reversed() where node.outputs.contains(where: { needed.contains($0) }) {
      needed.formUnion(node.reads.filter { !$0.isEmpty })
      kept.append(node)
    }
    var result = self
    result.nodes = kept.reversed()
    result.initializers = initializers.filter { needed.contains($0.key) }
    result.outputs = values.map { name in
      stated[name]
        ?? ValueInfo(name, types[name]?.elementType ?? .float32, shape: types[name]?.shape)
    }
    return result
  }
}
