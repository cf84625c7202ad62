internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// Removes the initializers of nodes that are gone, where nothing else reads them.
  public mutating func dropUnusedInitializers(of gone: [Node]) {
    let read = Set(nodes.flatMap(\.reads)).union(outputs.map(\.name))
    for name in gone.flatMap(\.inputs) where !read.contains(name) {
      initializers.removeValue(forKey: name)
    }
  }

  /// Removes a constant, wherever the graph keeps it.
  public mutating func removeConstant(_ name: String) {
    initializers.removeValue(forKey: name)
    nodes.removeAll { $0.op == "Constant" && $0.outputs.first == name }
  }
}
