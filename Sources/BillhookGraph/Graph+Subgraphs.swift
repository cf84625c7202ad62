internal import BillhookTensor
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

  /// The graph with the weights of its subgraphs, their float32 tensors, as initializers of its own.
  ///
  /// A tensor whose name stands for other values elsewhere stays where it is.
  public func liftingWeights() -> Graph {
    guard nodes.contains(where: { !$0.subgraphs.isEmpty }) else { return self }
    var counts: [String: Int] = [:]
    countNames(&counts)
    var result = self
    for index in nodes.indices {
      result.nodes[index].takeWeights(counts, &result.initializers)
    }
    return result
  }

  /// How often each name is given to a value, here and in subgraphs.
  func countNames(_ counts: inout [String: Int]) {
    for name in inputs.map(\.name) + initializers.keys + nodes.flatMap(\.outputs) {
      counts[name, default: 0] += 1
    }
    for node in nodes {
      for graph in node.subgraphs { graph.countNames(&counts) }
    }
  }
}

extension Node {
  /// Moves the weights of the node's subgraphs to `initializers`.
  fileprivate mutating func takeWeights(
    _ counts: [String: Int], _ initializers: inout OrderedDictionary<String, Initializer>
  ) {
    for (key, attribute) in attributes {
      guard case .graph(var graph) = attribute else { continue }
      func isWeight(_ name: String, _ tensor: Tensor?) -> Bool {
        counts[name] == 1 && tensor?.elementType == .float32 && tensor?.rank ?? 0 > 0
      }
      for (name, initializer) in graph.initializers where isWeight(name, initializer.tensor) {
        initializers[name] = initializer
        graph.initializers[name] = nil
      }
      graph.nodes.removeAll { node in
        guard let tensor = node.constantTensor, let name = node.outputs.first,
          isWeight(name, tensor)
        else { return false }
        initializers[name] = Initializer(tensor)
        return true
      }
      for index in graph.nodes.indices {
        graph.nodes[index].takeWeights(counts, &initializers)
      }
      attributes[key] = .graph(graph)
    }
  }
}
