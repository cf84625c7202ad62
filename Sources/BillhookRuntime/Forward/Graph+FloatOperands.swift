internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph with nodes in front of attention that turn truth values and positions into floats,
  /// each once for all layers: kernels take floats alone, and the host makes these quickly.
  ///
  /// In training Attention stays as it is, because the host computes it there. Tables of angles get
  /// names of their own: training takes a table that computed positions look up for weights.
  ///
  /// - Returns: Nil when there is nothing to change.
  func withFloatOperands(_ types: [String: ValueType], mode: PlanMode) -> Graph? {
    let operators: Set = mode == .training ? ["RotaryEmbedding"] : ["Attention", "RotaryEmbedding"]
    let places = nodes.indices.filter { operators.contains(nodes[$0].op) && nodes[$0].isStandard }
    guard !places.isEmpty else { return nil }
    var operands = FloatOperands(self, types: types, mode: mode)
    for index in places {
      if nodes[index].op == "Attention" {
        operands.attention(index)
      } else {
        operands.rotaryEmbedding(index)
      }
    }
    return operands.isChanged ? operands.graph : nil
  }
}

/// A graph while operands are put into it.
private struct FloatOperands {
  private let source: Graph
  private let types: [String: ValueType]
  private let mode: PlanMode
  private let producers: [String: Int]
  private var names: NamePool
  private var nodes: [Node]
  private var initializers: OrderedDictionary<String, Initializer> = [:]
  /// Nodes to come before the node at a position.
  private var added: [Int: [Node]] = [:]
  /// What was made of given inputs by an operator.
  private var made: [[String]: String] = [:]
  private(set) var isChanged = false

  init(_ graph: Graph, types: [String: ValueType], mode: PlanMode) {
    source = graph
    self.types = types
    self.mode = mode
    producers = graph.producers()
    names = NamePool(graph)
    nodes = graph.nodes
  }

  var graph: Graph {
    var result = source
    result.nodes = nodes.indices.flatMap { (added[$0] ?? []) + [nodes[$0]] }
    result.initializers.merge(initializers) { own, _ in own }
    return result
  }

  mutating func attention(_ index: Int) {
    let past = [4, 5].map { nodes[index].input($0).flatMap { types[$0]?.sizes } }
    if nodes[index].input(6) == nil, past.allSatisfy({ $0?.count == 4 && $0?[2] == 0 }) {
      // Nothing came before: the first turn of a conversation.
      for place in [4, 5] { nodes[index].inputs[place] = "" }
      isChanged = true
    }
    guard let mask = nodes[index].input(3), types[mask]?.elementType == .bool,
      source.constant(mask) == nil, types[nodes[index].inputs[0]]?.elementType == .float32
    else { return }
    let (seen, hidden) = (number("seen", 0), number("hidden", -.infinity))
    nodes[index].inputs[3] = value("Where", [mask, seen, hidden], "\(mask).numbers")
  }

  mutating func rotaryEmbedding(_ index: Int) {
    guard let positions = nodes[index].input(3), source.constant(positions) == nil else { return }
    let tables = Array(nodes[index].inputs[1...2])
    if mode == .training, !tables.allSatisfy(areAnglesAlone) { return }
    for (place, name) in zip([1, 2], tables) {
      var table = name
      if mode == .training, let angles = source.constant(name) {
        table = constant("\(name).angles", angles)
      }
      nodes[index].inputs[place] = value("Gather", [table, positions], "\(name).chosen")
    }
    nodes[index].inputs.removeLast()
  }

  /// True for a table that nothing else reads, which could train it.
  private func areAnglesAlone(_ table: String) -> Bool {
    source.nodes.allSatisfy { node in
      guard node.reads.contains(table) else { return true }
      return node.op == "RotaryEmbedding" && node.inputs.first != table
    }
  }

  private mutating func number(_ wanted: String, _ number: Float) -> String {
    constant(wanted, Tensor(scalar: number))
  }

  /// A constant that is there once.
  private mutating func constant(_ wanted: String, _ tensor: Tensor) -> String {
    if let known = made[[wanted]] { return known }
    let name = names.unused(wanted)
    initializers[name] = Initializer(tensor)
    made[[wanted]] = name
    return name
  }

  /// What an operator makes of values, as soon as they are there.
  private mutating func value(_ op: String, _ inputs: [String], _ wanted: String) -> String {
    isChanged = true
    if let known = made[[op] + inputs] { return known }
    let name = names.unused(wanted)
    let position = inputs.compactMap { producers[$0] }.max().map { $0 + 1 } ?? 0
    added[position, default: []].append(Node(op, name: name, inputs: inputs, outputs: [name]))
    made[[op] + inputs] = name
    return name
  }
}
