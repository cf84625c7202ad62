internal import BillhookTensor
internal import OrderedCollections

/// Numbers of channels that a node has as constants: the target of a Reshape, the sizes of a Split,
/// where a Slice starts and ends.
struct StatedSizes {
  var nodeIndex: Int
  /// The input that holds the numbers, and the attribute that does in earlier operator sets.
  var input: Int
  var attribute: String
  /// The channels along the axis that is spoken of.
  var channels: [ChannelUnion.Channel]
  /// Which of the numbers count channels, and the range of `channels` that each counts. All of them
  /// where the node has no numbers yet, as a Split into equal parts.
  var counts: [(place: Int, range: Range<Int>)]
}

extension Graph {
  /// Gives a node the numbers of channels that are left; other nodes keep theirs.
  ///
  /// - Parameters:
  ///   - removed: Channels as they stand in `stated`.
  ///   - readers: How many nodes read each value, and the graph's outputs.
  mutating func restate(
    _ stated: StatedSizes, without removed: Set<ChannelUnion.Channel>,
    readers: inout [String: Int], names: inout NamePool
  ) {
    guard stated.channels.contains(where: removed.contains) else { return }
    let node = nodes[stated.nodeIndex]
    let old = node.input(stated.input).flatMap { constant($0) }
    var numbers =
      old?.integers() ?? node.ints(stated.attribute) ?? stated.counts.map(\.range.count)
    for (place, range) in stated.counts where numbers.indices.contains(place) {
      numbers[place] = stated.channels[range].count { !removed.contains($0) }
    }
    let isAttribute = node.attributes[stated.attribute] != nil || opset < 13
    guard old != nil || !isAttribute else {
      nodes[stated.nodeIndex].attributes[stated.attribute] = .ints(numbers)
      return
    }
    let tensor = Tensor(
      truncating: numbers, shape: old?.shape ?? [numbers.count], old?.elementType ?? .int64)
    if let name = node.input(stated.input) {
      guard readers[name, default: 0] > 1 else {
        setConstant(name, tensor)
        return
      }
      readers[name]! -= 1
    }
    let name = names.unused("\(node.displayName)_\(stated.attribute)")
    initializers[name] = Initializer(tensor)
    var inputs = node.inputs
    while inputs.count <= stated.input { inputs.append("") }
    inputs[stated.input] = name
    nodes[stated.nodeIndex].inputs = inputs
    // A Split has its sizes or the number of equal parts, not both.
    nodes[stated.nodeIndex].attributes["num_outputs"] = nil
  }
}
