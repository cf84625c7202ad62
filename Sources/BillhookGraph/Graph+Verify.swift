internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// Checks everything that can be checked without computing.
  ///
  /// Value names are unique; every value is made before it is read; there are outputs, and they
  /// exist; every operator is
  /// known, with the right number of inputs and outputs and attributes of the right type; shapes and
  /// element types fit together, and outputs have the element type and the number of axes that the
  /// file declares.
  ///
  /// - Throws: ``GraphError``; the first fault in node order.
  public func verify() throws(GraphError) {
    let types = try inferTypes()
    guard !outputs.isEmpty else { throw .noOutputs(graph: name) }
    for output in outputs {
      guard let found = types[output.name], let shape = output.shape else { continue }
      let declared = ValueType(output.elementType, shape)
      // Sizes that exporters state are often stale, as for poolings that round up: what the nodes
      // make counts.
      guard declared.elementType == found.elementType,
        declared.shape.count == found.shape.count
      else {
        throw .declaredTypeMismatch(
          value: output.name, declared: "\(declared)", found: "\(found)")
      }
    }
  }

  /// Checks names, order, arity and attributes: what shape inference relies on.
  ///
  /// - Parameters:
  ///   - opset: The operator set of a subgraph: that of the graph around it.
  ///   - outer: The values that a subgraph may read from the graph around it.
  ///   - depth: How many graphs lie around this one.
  func verifyStructure(
    opset: Int? = nil, outer: Set<String> = [], depth: Int = 0
  ) throws(GraphError) {
    let opset = opset ?? self.opset
    guard OperatorTable.opsets.contains(opset) else {
      // A graph of another domain alone has no version of ONNX's own.
      for node in nodes { _ = try OperatorTable.definition(of: node) }
      throw .unsupportedOpset(found: opset, supported: OperatorTable.opsets)
    }
    let makers = try valueMakers()
    var defined = outer.union(inputs.map(\.name)).union(initializers.keys)
    for node in nodes {
      let definition = try OperatorTable.definition(of: node)
      try verifyArity(node, definition)
      try verifyAttributes(node, definition, opset: opset)
      for (index, input) in node.reads.enumerated() where !defined.contains(input) {
        if input.isEmpty {
          guard index >= definition.inputCount.lowerBound else {
            throw .missingInput(op: node.op, node: node.displayName, index: index)
          }
          continue
        }
        guard let maker = makers[input] else {
          throw .undefinedValue(name: input, node: node.displayName)
        }
        if outer.isEmpty {
          // The whole order is looked at only now: a cycle is the more useful thing to say.
          _ = try sortedTopologically()
        }
        throw .usedBeforeDefined(
          name: input, node: node.displayName, producer: nodes[maker].displayName)
      }
      for graph in node.subgraphs {
        guard depth < Self.maximumDepth else {
          throw .tooDeep(node: node.displayName, maximum: Self.maximumDepth)
        }
        try graph.verifyStructure(opset: opset, outer: defined, depth: depth + 1)
      }
      defined.formUnion(node.outputs.filter { !$0.isEmpty })
    }
    for output in outputs where !defined.contains(output.name) {
      throw .missingOutput(name: output.name)
    }
  }

  /// The graph as it is when its nodes can be computed in their order, else with them sorted.
  ///
  /// ONNX asks for sorted nodes, but converters exist that add theirs at the end. What cannot be
  /// sorted stays as it is: ``verify()`` says why.
  public func inOrderOfComputation() -> Graph {
    var later = Set(nodes.flatMap(\.outputs)).subtracting([""])
    for node in nodes {
      guard later.isDisjoint(with: node.reads) else { return (try? sortedTopologically()) ?? self }
      later.subtract(node.outputs)
    }
    return self
  }

  /// The same graph with its nodes in an order in which they can be computed.
  ///
  /// Nodes keep their order where they can.
  /// - Throws: ``GraphError/cycle(nodes:)`` with the nodes that wait for each other,
  ///   ``GraphError/undefinedValue(name:node:)``, ``GraphError/duplicateValue(name:first:second:)``.
  public func sortedTopologically() throws(GraphError) -> Graph {
    let makers = try valueMakers()
    let given = Set(inputs.map(\.name)).union(initializers.keys)
    var waiting = [Int](repeating: 0, count: nodes.count)
    var readers = [[Int]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() {
      for input in node.reads where !input.isEmpty && !given.contains(input) {
        guard let maker = makers[input] else {
          throw .undefinedValue(name: input, node: node.displayName)
        }
        waiting[index] += 1
        readers[maker].append(index)
      }
    }
    // A heap would be asymptotically better; the sorted list keeps the file's order and is short.
    var ready = nodes.indices.filter { waiting[$0] == 0 }
    var order: [Int] = []
    var next = 0
    while next < ready.count {
      let index = ready[next]
      next += 1
      order.append(index)
      var freed: [Int] = []
      for reader in readers[index] {
        waiting[reader] -= 1
        if waiting[reader] == 0 { freed.append(reader) }
      }
      for reader in freed {
        let place = ready[next...].firstIndex { $0 > reader } ?? ready.endIndex
        ready.insert(reader, at: place)
      }
    }
    guard order.count == nodes.count else {
      let done = Set(order)
      throw .cycle(nodes: nodes.indices.filter { !done.contains($0) }.map { nodes[$0].displayName })
    }
    var result = self
    result.nodes = order.map { nodes[$0] }
    return result
  }

  /// The index of the node that makes each value, after checking that no name is used twice.
  private func valueMakers() throws(GraphError) -> [String: Int] {
    var origin: [String: String] = [:]
    var makers: [String: Int] = [:]
    func claim(_ name: String, _ maker: String) throws(GraphError) {
      if let first = origin.updateValue(maker, forKey: name) {
        throw .duplicateValue(name: name, first: first, second: maker)
      }
    }
    for input in inputs { try claim(input.name, "a graph input") }
    for name in initializers.keys { try claim(name, "an initializer") }
    for (index, node) in nodes.enumerated() {
      for output in node.outputs where !output.isEmpty {
        try claim(output, "node \"\(node.displayName)\"")
        makers[output] = index
      }
    }
    return makers
  }

  private func verifyArity(
    _ node: Node, _ definition: OperatorDefinition
  ) throws(GraphError) {
    guard definition.inputCount.contains(node.inputs.count) else {
      throw .wrongInputCount(
        op: node.op, node: node.displayName, found: node.inputs.count,
        expected: definition.inputCount)
    }
    // One that is left out keeps its place, but not all of them may be.
    let outputCount = node.outputs.allSatisfy(\.isEmpty) ? 0 : node.outputs.count
    guard definition.outputCount.contains(outputCount) else {
      throw .wrongOutputCount(
        op: node.op, node: node.displayName, found: outputCount,
        expected: definition.outputCount)
    }
  }

  private func verifyAttributes(
    _ node: Node, _ definition: OperatorDefinition, opset: Int
  ) throws(GraphError) {
    for (key, attribute) in node.attributes {
      // A hint to the memory planning of old runtimes that any operator could have.
      if key == "consumed_inputs", opset < 6 { continue }
      guard let expected = definition.attributes.first(where: { $0.name == key }) else {
        throw .unknownAttribute(
          op: node.op, node: node.displayName, attribute: key,
          known: definition.attributes.map(\.name))
      }
      guard attribute.kind == expected.kind else {
        throw .wrongAttributeType(
          op: node.op, node: node.displayName, attribute: key,
          found: attribute.kind?.rawValue ?? "a kind that is not supported",
          expected: expected.kind.rawValue)
      }
    }
    for attribute in definition.attributes where attribute.isRequired {
      guard node.attributes[attribute.name] != nil else {
        throw .missingAttribute(
          op: node.op, node: node.displayName, attribute: attribute.name,
          expected: attribute.kind.rawValue)
      }
    }
  }
}
