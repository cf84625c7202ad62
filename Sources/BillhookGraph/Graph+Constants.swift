internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// Removes those of some constants, wherever the graph keeps them, that nothing reads.
  public mutating func dropUnreadConstants(_ names: some Sequence<String>) {
    let unread = Set(names).subtracting(nodes.flatMap(\.reads)).subtracting(outputs.map(\.name))
    for name in unread { initializers.removeValue(forKey: name) }
    nodes.removeAll { $0.op == "Constant" && unread.contains($0.outputs.first ?? "") }
  }

  /// Removes a constant, wherever the graph keeps it.
  public mutating func removeConstant(_ name: String) {
    initializers.removeValue(forKey: name)
    nodes.removeAll { $0.op == "Constant" && $0.outputs.first == name }
  }
}
