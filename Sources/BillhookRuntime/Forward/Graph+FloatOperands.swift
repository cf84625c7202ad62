internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph with nodes in front of attention that turn truth values and positions into floats,
  /// each once for all layers: kernels take floats alone, and the host makes these quickly.
  ///
  /// - Returns: Nil when there is nothing to change.
  func withFloatOperands(_ types: [String: ValueType]) -> Graph? {
    let places = nodes.indices.filter {
      ["Attention", "RotaryEmbedding"].contains(nodes[$0].op) && nodes[$0].isStandard
    }
    guard !places.isEmpty else { return nil }
    var operands = FloatOperands(self, types: types)
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
  private let producers: [String: Int]
  private var names: NamePool
  private var nodes: [Node]
  private var initializers: OrderedDictionary<String, Initializer> = [:]
  /// Nodes to come before the node at a position.
  private var added: [Int: [Node]] = [:]
  /// What was made of given inputs by an operator.
  private var made: [[String]: String] = [:]
  private(set) var isChanged = false

  init(_ graph: Graph, types: [String: ValueType]) {
    source = graph
    self.types = types
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
    for table in [1, 2] {
      let name = nodes[index].inputs[table]
      nodes[index].inputs[table] = value("Gather", [name, positions], "\(name).chosen")
    }
    nodes[index].inputs.removeLast()
  }

  /// A constant that is there once.
  private mutating func number(_ wanted: String, _ number: Float) -> String {
    if let known = made[[wanted]] { return known }
    let name = names.unused(wanted)
    initializers[name] = Initializer(Tensor(scalar: number))
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
