public import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The constant tensor that a value holds, wherever the file keeps it: an initializer or a
  /// `Constant` node.
  public func constant(_ name: String) -> Tensor? {
    if let initializer = initializers[name] { return initializer.tensor }
    for node in nodes where node.op == "Constant" && node.outputs.first == name {
      return node.constantTensor
    }
    return nil
  }

  /// Replaces a constant tensor where it is kept.
  ///
  /// - Returns: False when no initializer or `Constant` node makes `name`, in a subgraph neither.
  @discardableResult
  public mutating func setConstant(_ name: String, _ tensor: Tensor) -> Bool {
    if initializers[name] != nil {
      initializers[name]!.tensor = tensor
      return true
    }
    for index in nodes.indices where nodes[index].op == "Constant" {
      guard nodes[index].outputs.first == name else { continue }
      if case .tensor(var initializer)? = nodes[index].attributes["value"] {
        initializer.tensor = tensor
        nodes[index].attributes["value"] = .tensor(initializer)
      } else {
        // Any other form of the attribute holds only floats or integers of one type.
        nodes[index].attributes = ["value": .tensor(Initializer(tensor))]
      }
      return true
    }
    for index in nodes.indices {
      for (key, attribute) in nodes[index].attributes {
        guard case .graph(var graph) = attribute, graph.setConstant(name, tensor) else { continue }
        nodes[index].attributes[key] = .graph(graph)
        return true
      }
    }
    return false
  }

  /// Every constant tensor by value name: initializers and `Constant` nodes.
  public func constantTensors() -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (name, initializer) in initializers { result[name] = initializer.tensor }
    for node in nodes {
      guard let output = node.outputs.first, let tensor = node.constantTensor else { continue }
      result[output] = tensor
    }
    return result
  }

  /// Index of the node that makes each value.
  public func producers() -> [String: Int] {
    var result: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for output in node.outputs where !output.isEmpty { result[output] = index }
    }
    return result
  }

  /// Indices of the nodes that read each value, in order; a node that reads it twice stands twice.
  public func consumers() -> [String: [Int]] {
    var result: [String: [Int]] = [:]
    for (index, node) in nodes.enumerated() {
      for input in node.reads where !input.isEmpty { result[input, default: []].append(index) }
    }
    return result
  }
}
