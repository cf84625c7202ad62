internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// A part of a plan: what is run at once, and what nobody reads after it.
struct ExecutionPiece {
  private enum Content {
    /// Nodes that have kernels.
    case region(CompiledRegion)
    /// A node that is computed by its operator's definition.
    case host(Node)
    /// A node whose subgraphs are compiled.
    case subgraphs(SubgraphStep)
    /// All that follows a value whose shape is not known yet.
    case rest(InferenceSession)
  }

  private let content: Content
  private let opset: Int
  /// The names of the values that the piece takes and makes, in its order; "" for none.
  let reads: [String]
  let writes: [String]
  /// Values that are not needed after the piece.
  var lastReads: [String] = []

  private init(_ content: Content, opset: Int) {
    self.content = content
    self.opset = opset
    switch content {
    case .region(let region): (reads, writes) = (region.inputNames, region.outputNames)
    case .host(let node): (reads, writes) = (node.inputs, node.outputs)
    case .subgraphs(let step): (reads, writes) = (step.reads, step.node.outputs)
    case .rest(let session): (reads, writes) = (session.inputNames, session.outputNames)
    }
  }

  /// Makes the piece ready to run.
  func finish() throws(RuntimeError) {
    if case .region(let region) = content { try region.finish() }
  }

  /// Computes what the piece makes.
  ///
  /// - Parameter tensors: One for each of ``reads``, nil for "".
  func run(
    _ tensors: [Tensor?], observed: Set<String>, profiler: Profiler?,
    observe: ((_ name: String, _ value: Tensor) throws -> Void)?
  ) throws -> [Tensor] {
    let results: [Tensor]
    switch content {
    case .region(let region):
      return try region.run(try all(tensors), profiler: profiler, observe: observe)
    case .rest(let session):
      return try session.run(try all(tensors), profiler: profiler, observe: observe)
    case .subgraphs(let step): results = try step.run(tensors, profiler: profiler)
    case .host(let node):
      results =
        try profiler?.time(hostOperation(node)) { try evaluate(node, tensors) }
        ?? evaluate(node, tensors)
    }
    if let observe, !observed.isEmpty {
      for (output, tensor) in zip(writes, results) where observed.contains(output) {
        try observe(output, tensor)
      }
    }
    return results
  }

  private func all(_ tensors: [Tensor?]) throws(RuntimeError) -> [Tensor] {
    var result: [Tensor] = []
    result.reserveCapacity(tensors.count)
    for (name, tensor) in zip(reads, tensors) {
      guard let tensor else { throw .unknownValue(name: name) }
      result.append(tensor)
    }
    return result
  }

  private func evaluate(_ node: Node, _ tensors: [Tensor?]) throws(RuntimeError) -> [Tensor] {
    do {
      return try ReferenceEvaluator.evaluate(node, opset: opset, inputs: tensors)
    } catch {
      throw .graph(error)
    }
  }

  var arenaBytes: Int {
    switch content {
    case .region(let region): region.arenaBytes
    case .subgraphs(let step): step.arenaBytes
    case .rest(let session): session.arenaBytes
    case .host: 0
    }
  }

  private func hostOperation(_ node: Node) -> PlanOperation {
    PlanOperation(kernel: "Host", node: node.displayName, op: node.op)
  }

  var operations: [String] {
    switch content {
    case .region(let region): region.operations.map(\.kernel)
    case .host(let node): ["\(node.op) on the host"]
    case .subgraphs(let step): ["\(step.node.op) with compiled subgraphs"]
    case .rest: ["the rest, once its shapes are known"]
    }
  }
}

extension ExecutionPiece {
  /// Cuts a graph into pieces.
  ///
  /// - Parameter types: Of all values that can be known now.
  static func pieces(
    of graph: Graph, types: [String: ValueType], observed: Set<String>
  ) throws(RuntimeError) -> [ExecutionPiece] {
    var cut = GraphCut(graph, types: types)
    var pieces: [ExecutionPiece] = []
    var reads: [Set<String>] = []
    var start = 0
    func add(_ content: Content, upTo end: Int) {
      pieces.append(ExecutionPiece(content, opset: graph.opset))
      reads.append(Set(graph.nodes[start..<end].flatMap(\.reads)))
      start = end
    }
    while start < graph.nodes.count {
      let end = cut.regionEnd(from: start)
      if end > start {
        do {
          let part = cut.part(start..<end)
          add(.region(try CompiledRegion(part, types: types, observed: observed)), upTo: end)
        } catch {
          cut.refuse(error.output, in: start..<end)
        }
        continue
      }
      let node = graph.nodes[start]
      add(
        node.subgraphs.isEmpty ? .host(node) : .subgraphs(SubgraphStep(node, in: graph)),
        upTo: start + 1)
      let isKnown = node.outputs.allSatisfy { $0.isEmpty || types[$0]?.sizes != nil }
      if !isKnown, start < graph.nodes.count {
        let rest = cut.part(start..<graph.nodes.count)
        let names = observed.intersection(rest.nodes.flatMap(\.outputs))
        add(.rest(InferenceSession(rest: rest, observed: names)), upTo: graph.nodes.count)
      }
    }
    // From the end: a value goes after the last piece that reads it.
    var needed = Set(graph.outputs.map(\.name))
    for index in pieces.indices.reversed() {
      pieces[index].lastReads = reads[index].subtracting(needed).sorted()
      needed.formUnion(reads[index])
    }
    return pieces
  }
}

/// Which nodes of a graph go into a region together.
private struct GraphCut {
  private let graph: Graph
  private let types: [String: ValueType]
  /// The first output of each node that kernels turned out not to run.
  private var refused: Set<String> = []
  /// The last node that reads each value; the graph's end for its outputs.
  private let lastReaders: [String: Int]

  init(_ graph: Graph, types: [String: ValueType]) {
    self.graph = graph
    self.types = types
    var readers: [String: Int] = [:]
    for (index, node) in graph.nodes.enumerated() {
      for name in node.reads { readers[name] = index }
    }
    for output in graph.outputs { readers[output.name] = graph.nodes.count }
    lastReaders = readers
  }

  /// Sends a node to the host: the one that makes `output`, or all of a region.
  mutating func refuse(_ output: String?, in range: Range<Int>) {
    let outputs = graph.nodes[range].compactMap(\.mainOutput)
    refused.formUnion(outputs.filter { $0 == output })
    if let output, outputs.contains(output) { return }
    refused.formUnion(outputs)
  }

  /// The end of the longest run of nodes from `start` on that kernels can take.
  func regionEnd(from start: Int) -> Int {
    var end = start
    while end < graph.nodes.count, isForKernels(graph.nodes[end]) { end += 1 }
    return end
  }

  private func isForKernels(_ node: Node) -> Bool {
    guard let first = node.mainOutput, !refused.contains(first) else { return false }
    return ForwardRules.runs(node, graph, types)
  }

  /// Some neighbouring nodes as a graph: what they read from others are inputs, what others read of
  /// theirs are outputs.
  func part(_ range: Range<Int>) -> Graph {
    var part = Graph(name: graph.name, irVersion: graph.irVersion)
    part.opsets = graph.opsets
    part.nodes = Array(graph.nodes[range])
    let made = Set(part.nodes.flatMap(\.outputs))
    var inputs: OrderedSet<String> = []
    for name in part.nodes.flatMap(\.reads) where !name.isEmpty && !made.contains(name) {
      if let initializer = graph.initializers[name] {
        part.initializers[name] = initializer
      } else {
        inputs.append(name)
      }
    }
    part.inputs = inputs.map { info($0) }
    for name in part.nodes.flatMap(\.outputs) where !name.isEmpty {
      if let reader = lastReaders[name], reader >= range.upperBound {
        part.outputs.append(info(name))
      }
    }
    return part
  }

  private func info(_ name: String) -> ValueInfo {
    ValueInfo(name, types[name]?.elementType ?? .float32, shape: types[name]?.shape)
  }
}
