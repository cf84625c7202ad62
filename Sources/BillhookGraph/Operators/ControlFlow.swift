internal import BillhookTensor
internal import OrderedCollections

extension OperatorDefinition {
  /// Operators that run subgraphs.
  static let controlFlowFamily: [OperatorDefinition] = [ifOperator, loop, scan]

  /// One of two subgraphs, which have no inputs of their own.
  private static let ifOperator = OperatorDefinition(
    "If", inputs: 1...1, outputs: 1...Int.max,
    attributes: [.graph("then_branch"), .graph("else_branch")], dependence: .subgraphs,
    infer: { (context) throws(GraphError) in
      _ = try context.type(0, in: [.bool], expected: "bool")
      let choice = context.optionalTensor(0)?.integers()?.first
      var result: [ValueType]?
      for (key, chosen) in [("then_branch", 1), ("else_branch", 0)] where choice ?? chosen == chosen
      {
        let types = try context.bodyTypes(key, [])
        result =
          try result.map { known throws(GraphError) in try context.widened(known, types) }
          ?? types
      }
      return result ?? []
    },
    evaluate: { (context, _) throws(GraphError) in
      guard let choice = try context.tensor(0).integers()?.first else {
        throw context.wrongShape(0, expected: "one element")
      }
      return try Body(context, choice != 0 ? "then_branch" : "else_branch").run([])
    })

  /// A subgraph again and again: it gets the number of the turn, a condition and what the turn before
  /// made of the carried values; it gives the next condition, the carried values, and slices of
  /// outputs that grow by one each turn.
  private static let loop = OperatorDefinition(
    // Trip count and condition stand first, and either may be left out.
    "Loop", inputs: 0...Int.max, outputs: 0...Int.max, attributes: [.graph("body")],
    dependence: .subgraphs,
    infer: { (context) throws(GraphError) in
      var carried: [ValueType] = []
      for index in context.inputs.indices.dropFirst(2) { carried.append(try context.type(index)) }
      let counters = [ValueType(.int64, []), ValueType(.bool, [])]
      let turns = try context.turnCount()
      // What changes its size on the first turn has no fixed size.
      for _ in 0..<2 {
        let types = try context.bodyTypes("body", counters + carried).dropFirst()
        guard types.count >= carried.count else { throw context.wrongBody("body") }
        let widened = try context.widened(carried, Array(types.prefix(carried.count)))
        let slices = types.dropFirst(carried.count).map {
          ValueType($0.elementType, [turns] + $0.shape)
        }
        if widened == carried { return carried + slices }
        carried = widened
      }
      throw .notConstant(op: context.op, node: context.name, value: context.valueName(2))
    },
    evaluate: { (context, _) throws(GraphError) in
      let body = try Body(context, "body")
      let limit = try context.optionalInteger(0) ?? .max
      var condition = context.optionalTensor(1) ?? Tensor(scalar: true)
      var carried: [Tensor] = []
      for index in context.inputs.indices.dropFirst(2) { carried.append(try context.tensor(index)) }
      guard body.graph.inputs.count == carried.count + 2,
        body.graph.outputs.count >= carried.count + 1
      else { throw context.wrongBody("body") }
      var slices = [[Tensor]](
        repeating: [], count: body.graph.outputs.count - carried.count - 1)
      var turn = 0
      var bytes = 0
      while turn < limit, condition.integers()?.first != 0 {
        // One that nothing stops is refused at once, the others when they have turned so often.
        guard limit <= maximumTurns || !context.passesConditionOn && turn < maximumTurns else {
          throw context.wrongAttribute("trip count", limit, expected: "at most \(maximumTurns)")
        }
        let results = try body.run([Tensor(scalar: Int64(turn)), condition] + carried)
        condition = results[0]
        carried = Array(results[1..<carried.count + 1])
        for index in slices.indices {
          let slice = results[carried.count + 1 + index]
          slices[index].append(slice)
          bytes += slice.byteCount
          guard bytes <= ReferenceEvaluator.maximumByteCount else {
            throw .valueTooLarge(
              value: body.graph.outputs[carried.count + 1 + index].name,
              shape: [turn + 1] + slice.shape,
              maximumByteCount: ReferenceEvaluator.maximumByteCount)
          }
        }
        turn += 1
      }
      var outputs = carried
      for (index, parts) in slices.enumerated() {
        let declared = body.graph.outputs[carried.count + 1 + index]
        outputs.append(try context.stacked(parts, axis: 0, declared))
      }
      return outputs
    })

}

/// A Loop that turns more often than this is taken to never end.
private let maximumTurns = 1 << 24

/// A subgraph together with what it takes from outside.
struct Body {
  let graph: Graph
  private let key: String
  private let opset: Int
  private let runner: ReferenceEvaluator.SubgraphRunner?
  private let outer: [String: Tensor]

  init(_ context: NodeContext, _ key: String) throws(GraphError) {
    guard let graph = context.node.graph(key) else {
      throw .missingAttribute(op: context.op, node: context.name, attribute: key, expected: "graph")
    }
    self.graph = graph
    self.key = key
    opset = context.opset
    runner = context.runSubgraph
    var outer: [String: Tensor] = [:]
    if runner == nil {
      for name in graph.captures { outer[name] = context.scope.constants[name] }
    }
    self.outer = outer
  }

  func run(_ inputs: [Tensor]) throws(GraphError) -> [Tensor] {
    if let runner { return try runner(key, inputs) }
    return try ReferenceEvaluator.run(body: graph, opset: opset, inputs: inputs, outer: outer)
  }
}

extension NodeContext {
  /// How often a Loop turns, when that can be told: it has a constant limit, and a condition that is
  /// passed on as it came.
  fileprivate func turnCount() throws(GraphError) -> Dimension {
    guard optionalType(0) != nil, optionalTensor(0) != nil,
      let limit = try optionalInteger(0), limit <= maximumTurns,
      optionalType(1) == nil || optionalTensor(1)?.integers()?.first == 1
    else { return .symbolic("") }
    return passesConditionOn ? .fixed(max(limit, 0)) : .symbolic("")
  }

  /// True for a Loop whose body never ends it: the condition is passed on as it came, or true.
  fileprivate var passesConditionOn: Bool {
    guard let body = node.graph("body"), body.inputs.count >= 2 else { return false }
    var name = body.outputs.first?.name ?? ""
    for node in body.nodes.reversed() where node.op == "Identity" && node.outputs == [name] {
      name = node.input(0) ?? ""
    }
    return name == body.inputs[1].name || body.constant(name)?.integers()?.first == 1
  }

  /// The types of a subgraph's outputs.
  ///
  /// A subgraph that is not run may be wrong for the shapes at hand, so that what is wrong with it
  /// shows only while running; here its types are just not known.
  func bodyTypes(_ key: String, _ inputs: [ValueType]) throws(GraphError) -> [ValueType] {
    guard let graph = node.graph(key), graph.inputs.count == inputs.count else {
      throw wrongBody(key)
    }
    var inner = scope
    for (input, type) in zip(graph.inputs, inputs) {
      inner.types[input.name] = type
      inner.constants[input.name] = nil
    }
    let unknown = GraphError.notConstant(op: op, node: name, value: valueName(0))
    do {
      try graph.inferNodes(&inner, opset: opset)
    } catch {
      throw unknown
    }
    var types: [ValueType] = []
    for output in graph.outputs {
      guard let type = inner[output.name] else { throw unknown }
      types.append(type)
    }
    return types
  }

  func wrongBody(_ key: String) -> GraphError {
    let graph = node.graph(key)
    return wrongAttribute(
      key,
      "a subgraph of \(graph?.inputs.count ?? 0) inputs and \(graph?.outputs.count ?? 0) outputs",
      expected: "as many as the node has values for")
  }

  /// What two types have in common; sizes that differ are unknown.
  func widened(
    _ left: [ValueType], _ right: [ValueType]
  ) throws(GraphError) -> [ValueType] {
    guard left.count == right.count else { throw wrongBody("else_branch") }
    var result: [ValueType] = []
    for (a, b) in zip(left, right) {
      guard a.elementType == b.elementType, a.shape.count == b.shape.count else {
        throw .notConstant(op: op, node: name, value: valueName(0))
      }
      let shape = zip(a.shape, b.shape).map { $0 == $1 ? $0 : .symbolic("") }
      result.append(ValueType(a.elementType, shape))
    }
    return result
  }

  /// Slices put behind each other on a new axis.
  func stacked(
    _ parts: [Tensor], axis: Int, _ declared: ValueInfo
  ) throws(GraphError) -> Tensor {
    guard let first = parts.first else {
      let shape = (declared.shape ?? []).map { max($0.size ?? 0, 0) }
      return Tensor(zeros: [0] + shape, declared.elementType)
    }
    guard parts.allSatisfy({ $0.shape == first.shape && $0.elementType == first.elementType })
    else {
      throw .wrongShape(
        op: op, node: name, value: declared.name, found: first.shape.map { .fixed($0) },
        expected: "slices of one shape and type on every turn")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(first.byteCount * parts.count)
    for part in parts { part.withUnsafeBytes { bytes += $0 } }
    let stack = Tensor(bytes: bytes, shape: [parts.count] + first.shape, first.elementType)
    guard axis > 0 else { return stack }
    return stack.transposed(Array(1...axis) + [0] + Array((axis + 1)..<max(stack.rank, axis + 1)))
  }
}
