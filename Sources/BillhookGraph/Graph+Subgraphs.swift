internal import OrderedCollections

extension Node {
  /// The graphs that the node's attributes hold, in attribute order.
  public var subgraphs: [Graph] {
    attributes.values.compactMap { attribute in
      if case .graph(let graph) = attribute { graph } else { nil }
    }
  }

  /// The names of all values that the node needs: its inputs, and what its subgraphs take from the
  /// graph around them. Optional inputs that are left out are "".
  public var reads: [String] {
    let graphs = subgraphs
    return graphs.isEmpty ? inputs : inputs + graphs.flatMap(\.captures)
  }
}

extension Graph {
  /// Subgraphs in each other deeper than this are refused.
  static let maximumDepth = 32

  /// The values that the graph reads but does not make, each once: a subgraph takes them from the
  /// graph around it.
  public var captures: [String] {
    var known = Set(inputs.map(\.name)).union(initializers.keys)
    var result: OrderedSet<String> = []
    for node in nodes {
      for name in node.reads where !name.isEmpty && !known.contains(name) { result.append(name) }
      known.formUnion(node.outputs)
    }
    for output in outputs where !known.contains(output.name) { result.append(output.name) }
    return Array(result)
  }

  /// Every name of a value or node in the graph and its subgraphs.
  var allNames: Set<String> {
    var names = Set(initializers.keys).union(inputs.map(\.name))
    for node in nodes {
      names.formUnion(node.outputs)
      names.formUnion(node.inputs)
      names.insert(node.name)
      for graph in node.subgraphs { names.formUnion(graph.allNames) }
    }
    return names
  }
}
