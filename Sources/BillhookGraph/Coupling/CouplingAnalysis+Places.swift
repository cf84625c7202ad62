internal import BillhookTensor

/// Operators that take parts of a value, sum over parts of it, or ask for its shape.
extension CouplingAnalysis {
  /// A reduction over other axes than that of the channels.
  mutating func visitReduction(_ node: Node) {
    guard let value = node.input(0), let track = tracks[value] else { return }
    let rank = shape(value).count
    guard let axes = node.ints("axes") ?? node.input(1).flatMap({ constants[$0]?.integers() }),
      !axes.isEmpty, !axes.contains(where: { $0 == track.axis || $0 + rank == track.axis })
    else { return freezeInputs(node, "reduces over its channels") }
    var moved = track
    if node.int("keepdims", default: 1) == 0 {
      moved.axis -= axes.count { ($0 < 0 ? $0 + rank : $0) < track.axis }
    }
    tracks[node.outputs[0]] = moved
  }

  /// Parts of a value: the last step, all but the padding, or the halves of its channels.
  mutating func visitPick(_ index: Int, _ node: Node) {
    for input in node.inputs.dropFirst() {
      freeze(input, "node \"\(node.displayName)\" (\(node.op)) reads it as places")
    }
    guard let value = node.input(0), var track = tracks[value] else { return }
    let rank = shape(value).count
    guard let axes = pickedAxes(node, rank: rank) else {
      return freezeInputs(node, "takes some of its channels")
    }
    if let entry = axes.firstIndex(of: track.axis) {
      return takeChannels(index, node, track, entry: entry)
    }
    if node.op == "Gather", axes[0] < track.axis {
      // The axes of the indices stand in the place of one.
      track.axis += shape(node.inputs[1]).count - 1
    }
    for output in node.outputs where !output.isEmpty { tracks[output] = track }
  }

  /// The axes along which a Slice, Split or Gather takes parts, counted from the front; nil where they
  /// are computed.
  func pickedAxes(_ node: Node, rank: Int) -> [Int]? {
    func counted(_ axes: [Int]?) -> [Int]? { axes?.map { $0 < 0 ? $0 + rank : $0 } }
    guard node.op == "Slice" else { return counted([node.int("axis", default: 0)]) }
    if let name = node.input(3) { return counted(constants[name]?.integers()) }
    if let axes = node.ints("axes") { return counted(axes) }
    let count = node.ints("starts")?.count ?? node.input(1).flatMap { shape($0).first?.size }
    return count.map { Array(0..<min($0, rank)) }
  }

  /// Runs of channels, the mirror image of Concat: each output has those that it takes, and the node
  /// states how many they are.
  ///
  /// - Parameter entry: The place of the channels' axis among those that a Slice names.
  private mutating func takeChannels(
    _ index: Int, _ node: Node, _ track: ChannelTrack, entry: Int
  ) {
    let count = track.channels.count
    let taken: [Range<Int>]
    switch node.op {
    case "Split":
      guard let parts = splitParts(node, of: count) else {
        return freezeInputs(node, "takes parts of its channels whose sizes are computed")
      }
      taken = parts
      state(index, 1, "split", track, parts.enumerated().map { ($0, $1) })
    case "Slice":
      guard let run = slicedRun(node, entry: entry, of: count) else {
        return freezeInputs(node, "takes some of its channels, by computed places or in steps")
      }
      taken = [run]
      state(index, 1, "starts", track, [(entry, 0..<run.lowerBound)])
      state(index, 2, "ends", track, [(entry, 0..<run.upperBound)])
    default: return freezeInputs(node, "takes some of its channels")
    }
    for (output, range) in zip(node.outputs, taken) where !output.isEmpty && !range.isEmpty {
      tracks[output] = ChannelTrack(axis: track.axis, channels: Array(track.channels[range]))
    }
  }

  /// Where the parts of a Split lie; nil where that is computed.
  private func splitParts(_ node: Node, of count: Int) -> [Range<Int>]? {
    let outputs = node.outputs.count
    let equal = count / outputs + (count % outputs == 0 ? 0 : 1)
    // Equal parts but for the last, which may be smaller.
    var sizes = (0..<outputs).map { max(0, min(equal, count - $0 * equal)) }
    if let name = node.input(1) {
      guard let stated = constants[name]?.integers() else { return nil }
      sizes = stated
    } else if let stated = node.ints("split") {
      sizes = stated
    }
    var parts: [Range<Int>] = []
    for size in sizes {
      let start = parts.last?.upperBound ?? 0
      guard size >= 0, size <= count - start else { return nil }
      parts.append(start..<start + size)
    }
    return parts.count == outputs && parts.last?.upperBound == count ? parts : nil
  }

  /// The channels that a Slice takes, all from a constant start to a constant end; nil where they are
  /// computed, or none, or not all of a run.
  private func slicedRun(_ node: Node, entry: Int, of count: Int) -> Range<Int>? {
    func number(_ input: Int, _ attribute: String) -> Int? {
      let found = node.input(input).map { constants[$0]?.integers() } ?? node.ints(attribute)
      guard let found, found.indices.contains(entry) else { return nil }
      return found[entry]
    }
    guard let start = number(1, "starts"), let end = number(2, "ends"),
      node.input(4) == nil || number(4, "steps") == 1
    else { return nil }
    let bounds = [start, end].map { min(max($0 < 0 ? $0 + count : $0, 0), count) }
    return bounds[0] < bounds[1] ? bounds[0]..<bounds[1] : nil
  }

  /// Whoever asks for other sizes than the number of channels lets them go.
  mutating func visitShape(_ node: Node) {
    guard let value = node.input(0), let track = tracks[value] else { return }
    let count = shape(value).count
    func place(_ stated: Int) -> Int { min(max(stated < 0 ? stated + count : stated, 0), count) }
    let start = place(node.int("start", default: 0))
    guard (start..<max(start, place(node.int("end", default: count)))).contains(track.axis) else {
      return
    }
    let isOutput = graph.outputs.contains { $0.name == node.outputs[0] }
    let sizes = shape(node.outputs[0])[0].size ?? 0
    let isRead =
      isOutput
      || (readers[node.outputs[0]] ?? []).contains {
        graph.nodes[$0].picks(track.axis - start, of: sizes, constants) != false
      }
    if isRead { freezeInputs(node, "tells how many there are") }
  }
}

extension Node {
  /// Whether a Gather or a Slice of a vector of `count` elements takes the one at `place`; nil where
  /// that cannot be told.
  fileprivate func picks(_ place: Int, of count: Int, _ constants: [String: Tensor]) -> Bool? {
    func integers(_ index: Int) -> [Int]? { input(index).flatMap { constants[$0]?.integers() } }
    switch op {
    case "Gather":
      return integers(1)?.contains { ($0 < 0 ? $0 + count : $0) == place }
    case "Slice":
      let (starts, ends) = (integers(1) ?? ints("starts"), integers(2) ?? ints("ends"))
      guard let start = starts?.first, let end = ends?.first, starts?.count == 1,
        input(4) == nil || integers(4) == [1]
      else { return nil }
      let bounds = [start, end].map { min(max($0 < 0 ? $0 + count : $0, 0), count) }
      return bounds[0] <= place && place < bounds[1]
    default: return nil
    }
  }
}
