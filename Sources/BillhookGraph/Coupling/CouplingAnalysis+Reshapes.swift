internal import BillhookTensor

/// Operators that lay channels out anew.
extension CouplingAnalysis {
  mutating func visitReshape(_ index: Int, _ node: Node) {
    guard let value = node.input(0), let track = tracks[value] else { return }
    let (old, new) = (shape(value), shape(node.outputs[0]))
    if !new.isEmpty, new.allSatisfy({ $0 == .symbolic("") }) {
      return freezeInputs(node, "gives it a shape that is known only while it runs")
    }
    guard let moved = track.reshaped(from: old, to: new) ?? laidOut(node, track, from: old, to: new)
    else {
      return freezeInputs(node, "mixes its channels: \(shape(value)) to \(shape(node.outputs[0]))")
    }
    if node.op == "Reshape" {
      let target = node.input(1).map { constants[$0]?.integers() } ?? node.ints("shape")
      guard let target else { return freezeInputs(node, "has a target that is computed") }
      // A 0 or a -1 follows by itself.
      if target.indices.contains(moved.axis), target[moved.axis] > 0 {
        state(index, 1, "shape", moved, [(moved.axis, moved.channels.indices)])
      }
    }
    tracks[node.outputs[0]] = moved
  }

  /// Channels that a reshape lays out along several axes, as it does for the heads of attention: all
  /// channels with the same place on one of these axes become one unit.
  private mutating func laidOut(
    _ node: Node, _ track: ChannelTrack, from old: [Dimension], to new: [Dimension]
  ) -> ChannelTrack? {
    guard let axes = track.laidOut(from: old, to: new) else { return nil }
    let axis = followed(axes, behind: node)
    let inner = axes.filter { $0 > axis }.reduce(1) { $0 * (new[$1].size ?? 1) }
    let count = new[axis].size ?? 1
    let units = (0..<count).map { track.channels[$0 * inner] }
    for (position, channel) in track.channels.enumerated() {
      union.unite(units[position / inner % count], channel)
    }
    return ChannelTrack(axis: axis, channels: units)
  }

  /// Which of several new axes holds the units: the first, as of heads, unless what follows shows that
  /// it only groups them. Where the second comes to lie right in front of it, channels are shuffled; a
  /// node that takes it apart parts the queries, keys and values of one layer.
  private func followed(_ axes: [Int], behind node: Node) -> Int {
    var value = node.outputs[0]
    // Where the first two of the axes go.
    var (first, second) = (axes[0], axes[1])
    while let next = readers[value], next.count == 1 {
      let reader = graph.nodes[next[0]]
      guard let output = reader.outputs.first, let a = moved(first, value, reader, output),
        let b = moved(second, value, reader, output)
      else { break }
      (first, second, value) = (a, b, output)
    }
    if second + 1 == first { return axes[1] }
    let isTakenApart = (readers[value] ?? []).contains { index in
      let reader = graph.nodes[index]
      return ["Gather", "Slice", "Split"].contains(reader.op) && reader.input(0) == value
        && pickedAxes(reader, rank: shape(value).count)?.contains(first) == true
    }
    return isTakenApart ? axes[1] : axes[0]
  }

  /// Where an axis of a value is in what a node that only orders axes makes of it; nil for others.
  private func moved(_ axis: Int, _ value: String, _ node: Node, _ output: String) -> Int? {
    let old = shape(value)
    switch node.op {
    case "Transpose": return node.order(rank: old.count).firstIndex(of: axis)
    case "Squeeze", "Unsqueeze":
      guard old.indices.contains(axis), let size = old[axis].size else { return nil }
      return ChannelTrack(axis: axis, channels: Array(0..<size))
        .reshaped(from: old, to: shape(output))?.axis
    default: return nil
    }
  }

  mutating func visitTranspose(_ node: Node) {
    guard let value = node.input(0), var track = tracks[value] else { return }
    guard let axis = node.order(rank: shape(value).count).firstIndex(of: track.axis) else { return }
    track.axis = axis
    tracks[node.outputs[0]] = track
  }
}

extension Node {
  /// The order of axes of a Transpose.
  fileprivate func order(rank: Int) -> [Int] { ints("perm") ?? Array((0..<rank).reversed()) }
}
