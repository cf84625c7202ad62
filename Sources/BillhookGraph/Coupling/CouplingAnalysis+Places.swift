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

  /// Parts of other axes than that of the channels, such as the last step or all but the padding.
  mutating func visitPick(_ node: Node) {
    for input in node.inputs.dropFirst() {
      freeze(input, "node \"\(node.displayName)\" (\(node.op)) reads it as places")
    }
    guard let value = node.input(0), var track = tracks[value] else { return }
    let rank = shape(value).count
    guard let axes = pickedAxes(node),
      !axes.contains(where: { $0 == track.axis || $0 + rank == track.axis })
    else { return freezeInputs(node, "takes some of its channels") }
    if node.op == "Gather", (axes[0] < 0 ? axes[0] + rank : axes[0]) < track.axis {
      // The axes of the indices stand in the place of one.
      track.axis += shape(node.inputs[1]).count - 1
    }
    for output in node.outputs where !output.isEmpty { tracks[output] = track }
  }

  /// The axes along which a Slice, Split or Gather takes parts, negative ones counted from the end;
  /// nil where they are computed.
  private func pickedAxes(_ node: Node) -> [Int]? {
    guard node.op == "Slice" else { return [node.int("axis", default: 0)] }
    if let name = node.input(3) { return constants[name]?.integers() }
    if let axes = node.ints("axes") { return axes }
    let count = node.ints("starts")?.count ?? node.input(1).flatMap { shape($0).first?.size }
    return count.map { Array(0..<$0) }
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
