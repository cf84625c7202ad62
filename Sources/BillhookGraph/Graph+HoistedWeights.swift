internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph with the weights of layers inside of subgraphs moved out to its own initializers, from
  /// where the subgraphs take them: there they have a name that nothing else has.
  ///
  /// A weight that is an output of its subgraph stays. Training, which writes weights back by their
  /// names, takes all that ``liftingWeights()`` finds instead.
  public func hoistingWeights() -> Graph {
    guard nodes.contains(where: { !$0.subgraphs.isEmpty }) else { return self }
    var hoist = WeightHoist(self)
    var result = self
    for index in nodes.indices { hoist.visit(&result.nodes[index]) }
    for (name, initializer) in hoist.hoisted { result.initializers[name] = initializer }
    return result
  }
}

/// Collects weights while it walks through subgraphs.
private struct WeightHoist {
  private(set) var hoisted: OrderedDictionary<String, Initializer> = [:]
  private var names: NamePool
  private var definitions: [String: Int] = [:]

  init(_ graph: Graph) {
    names = NamePool(graph)
    graph.countNames(&definitions)
  }

  mutating func visit(_ node: inout Node) {
    for (key, attribute) in node.attributes {
      guard case .graph(var body) = attribute else { continue }
      visit(&body)
      node.attributes[key] = .graph(body)
    }
  }

  private mutating func visit(_ body: inout Graph) {
    for index in body.nodes.indices { visit(&body.nodes[index]) }
    let outputs = Set(body.outputs.map(\.name))
    for node in body.nodes where ["Conv", "Gemm", "MatMul"].contains(node.op) {
      guard let weight = node.input(1), !outputs.contains(weight),
        let tensor = body.constant(weight), tensor.elementType.isFloatingPoint
      else { continue }
      body.removeConstant(weight)
      let name = definitions[weight] == 1 ? weight : names.unused(weight)
      hoisted[name] = Initializer(tensor)
      if name != weight { body.rename(weight, to: name) }
    }
  }
}

extension Graph {
  /// Changes the name under which nodes and their subgraphs read a value.
  mutating func rename(_ old: String, to new: String) {
    for index in nodes.indices {
      nodes[index].inputs = nodes[index].inputs.map { $0 == old ? new : $0 }
      for (key, attribute) in nodes[index].attributes {
        guard case .graph(var body) = attribute, body.captures.contains(old) else { continue }
        body.rename(old, to: new)
        for place in body.outputs.indices where body.outputs[place].name == old {
          body.outputs[place].name = new
        }
        nodes[index].attributes[key] = .graph(body)
      }
    }
  }
}
