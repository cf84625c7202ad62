internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph with the branches of each If whose condition is known in its place: one that is
  /// constant, or follows from shapes.
  ///
  /// Values of a branch get a number behind their name where something else has it.
  ///
  /// - Parameter binding: Sizes for symbols, as in ``inferTypes(binding:)``.
  /// - Throws: ``GraphError`` when a node is wrong.
  public func inliningKnownBranches(binding: [String: Int] = [:]) throws(GraphError) -> Graph {
    var result = self
    // A branch that is now part of the graph can hold another If.
    for _ in 0..<Self.maximumDepth {
      guard result.nodes.contains(where: { $0.op == "If" }) else { break }
      let scope = try result.inferScope(binding: binding)
      var pool = NamePool(result)
      var nodes: [Node] = []
      var isChanged = false
      for node in result.nodes {
        guard let branch = node.knownBranch(scope) else {
          nodes.append(node)
          continue
        }
        isChanged = true
        result.splice(branch, for: node, &nodes, &pool)
      }
      guard isChanged else { break }
      result.nodes = nodes
    }
    return result
  }

  /// Adds the nodes and initializers of a branch that makes the outputs of an If.
  private mutating func splice(
    _ branch: Graph, for node: Node, _ nodes: inout [Node], _ pool: inout NamePool
  ) {
    var branch = branch
    let defined = Array(branch.initializers.keys) + branch.nodes.flatMap(\.outputs)
    var isTaken = Set(initializers.keys).union(inputs.map(\.name))
    for other in nodes + self.nodes { isTaken.formUnion(other.outputs) }
    for name in defined where !name.isEmpty && isTaken.contains(name) {
      branch.renameDefinition(of: name, to: pool.unused(name))
    }
    initializers.merge(branch.initializers) { own, _ in own }
    nodes += branch.nodes
    for (output, made) in zip(node.outputs, branch.outputs) where !output.isEmpty {
      nodes.append(
        Node(
          "Identity", name: node.name.isEmpty ? "" : "\(node.name)/\(output)",
          inputs: [made.name], outputs: [output]))
    }
  }

  mutating func renameDefinition(of old: String, to new: String) {
    if let initializer = initializers.removeValue(forKey: old) { initializers[new] = initializer }
    for index in nodes.indices {
      nodes[index].outputs = nodes[index].outputs.map { $0 == old ? new : $0 }
    }
    for index in outputs.indices where outputs[index].name == old { outputs[index].name = new }
    rename(old, to: new)
  }
}

extension Node {
  /// The branch that an If takes whatever its graph is fed; nil when that cannot be told.
  fileprivate func knownBranch(_ scope: ValueScope) -> Graph? {
    guard op == "If", isStandard, let condition = input(0),
      let choice = scope.constants[condition]?.integers()?.first,
      let branch = graph(choice != 0 ? "then_branch" : "else_branch"),
      branch.inputs.isEmpty, branch.outputs.count == outputs.count
    else { return nil }
    return branch
  }
}
