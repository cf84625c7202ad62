internal import BillhookTensor
internal import OrderedCollections

/// Follows every channel through the graph, node by node.
struct CouplingAnalysis {
  /// One tensor's axis whose indices belong to channels.
  struct Record {
    var nodeIndex: Int
    var tensor: String
    var axis: Int
    var role: CouplingGroup.Role
    /// One an index along `axis`.
    var channels: [ChannelUnion.Channel]
    /// The node made these channels, so they form a group.
    var isOrigin = false
  }

  let graph: Graph
  let types: [String: ValueType]
  let constants: [String: Tensor]
  /// The nodes that read each value.
  let readers: [String: [Int]]
  var union = ChannelUnion()
  /// The channels of each value that has some; all others must keep their shape.
  var tracks: [String: ChannelTrack] = [:]
  var records: [Record] = []
  /// Where nodes say how many channels there are.
  var stated: [StatedSizes] = []

  init(_ graph: Graph) throws(GraphError) {
    self.graph = graph
    types = try graph.inferTypes()
    constants = graph.constantTensors()
    readers = graph.consumers()
    for index in graph.nodes.indices { visit(index) }
    for output in graph.outputs {
      freeze(output.name, "its channels are the graph output \"\(output.name)\"")
    }
    settleSharedTensors()
  }

  /// A tensor that several nodes read is cut for all of them or for none.
  private mutating func settleSharedTensors() {
    var byTensor: OrderedDictionary<String, [Record]> = [:]
    for record in records { byTensor[record.tensor, default: []].append(record) }
    let outputs = Set(graph.outputs.map(\.name))
    for (tensor, records) in byTensor {
      for axis in Set(records.map(\.axis)).sorted() {
        let cuts = records.filter { $0.axis == axis }
        for cut in cuts.dropFirst() {
          if cut.channels.count == cuts[0].channels.count {
            union.unite(cuts[0].channels, cut.channels)
          }
        }
        if outputs.contains(tensor) {
          union.freeze(cuts[0].channels, "its tensor \"\(tensor)\" is a graph output")
        }
        // A node that reads the tensor twice shows up twice in both lists.
        var open = readers[tensor] ?? []
        for cut in cuts {
          if let index = open.firstIndex(of: cut.nodeIndex) { open.remove(at: index) }
        }
        if let other = open.first {
          union.freeze(
            cuts[0].channels,
            "its tensor \"\(tensor)\" is also read by node \"\(graph.nodes[other].displayName)\"")
        }
      }
    }
  }
}

// MARK: - What the rules are made of

extension CouplingAnalysis {
  func shape(_ value: String) -> [Dimension] { types[value]?.shape ?? [] }

  mutating func freeze(_ value: String?, _ reason: String) {
    guard let value, let track = tracks[value] else { return }
    union.freeze(track.channels, reason)
  }

  /// More channels than any layer has; a weight without elements may state any number.
  private static let maximumChannelCount = 1 << 24

  /// New channels of a node; nil, and its inputs freeze, when they are too many to follow.
  mutating func makeChannels(_ count: Int?, of node: Node) -> [ChannelUnion.Channel]? {
    guard let count, count <= Self.maximumChannelCount else {
      freezeInputs(node, "has too many channels to follow")
      return nil
    }
    return union.make(count)
  }

  /// The value's channels must all stay because of what `node` does with them.
  mutating func freezeInputs(_ node: Node, _ why: String) {
    for input in node.reads { freeze(input, "node \"\(node.displayName)\" (\(node.op)) \(why)") }
  }

  mutating func record(
    _ index: Int, _ tensor: String, axis: Int, _ role: CouplingGroup.Role,
    _ channels: [ChannelUnion.Channel], isOrigin: Bool = false
  ) {
    records.append(
      Record(
        nodeIndex: index, tensor: tensor, axis: axis, role: role, channels: channels,
        isOrigin: isOrigin))
  }

  /// Notes that a node has numbers of the track's channels as constants: `counts` of those in `input`,
  /// or in `attribute` where operator sets differ.
  mutating func state(
    _ index: Int, _ input: Int, _ attribute: String, _ track: ChannelTrack,
    _ counts: [(place: Int, range: Range<Int>)]
  ) {
    stated.append(
      StatedSizes(
        nodeIndex: index, input: input, attribute: attribute, channels: track.channels,
        counts: counts))
  }

  /// The channels of an input that an operator reads along `axis`; those along another axis freeze.
  mutating func channels(_ node: Node, input: Int, axis: Int) -> [ChannelUnion.Channel]? {
    guard let value = node.input(input), let track = tracks[value] else { return nil }
    if track.axis == axis { return track.channels }
    freeze(
      value, "node \"\(node.displayName)\" (\(node.op)) reads its channels as something else")
    return nil
  }
}
