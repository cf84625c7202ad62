internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension PatternSearch {
  /// Turns on the InstanceNormalization: each group of channels as a channel of its own, normalised
  /// without factors and brought back; then a scale and a shift of each channel where there are.
  func groupNorm(_ root: Int) -> FusedPattern? {
    let core = node(root)
    guard core.op == "InstanceNormalization", isAll(core.inputs[1], 1), isAll(core.inputs[2], 0),
      let cut = producer(core.inputs[0], "Reshape"), let back = reader(root, "Reshape"),
      let shape = types[node(cut).inputs[0]]?.sizes, shape.count >= 3,
      let groups = types[core.inputs[0]]?.sizes, groups[0] == shape[0],
      groups[1] > 0, shape[1] % groups[1] == 0, types[node(back).outputs[0]]?.sizes == shape
    else { return nil }
    var members = [root, cut, back]
    var inputs = [node(cut).inputs[0], ""]
    var last = back
    if let scaled = reader(last, "Mul"), let scale = factors(scaled, behind: last, shape) {
      inputs[1] = scale
      members.append(scaled)
      last = scaled
    }
    if let shifted = reader(last, "Add"), let shift = factors(shifted, behind: last, shape) {
      inputs.append(shift)
      members.append(shifted)
    }
    return pattern(
      "GroupNormalization", inputs, members,
      [
        "num_groups": .int(groups[1]), "epsilon": .float(core.float("epsilon", default: 1e-5)),
      ])
  }

  private func isAll(_ name: String, _ number: Float) -> Bool {
    guard let tensor = constant(name), tensor.elementType == .float32 else { return false }
    return tensor.floats().allSatisfy { $0 == number }
  }

  /// The constant operand with one number for each channel of `shape`.
  private func factors(_ index: Int, behind last: Int, _ shape: [Int]) -> String? {
    let channel = [shape[1]] + shape.dropFirst(2).map { _ in 1 }
    guard node(index).attributes["axis"] == nil,
      let name = other(index, than: node(last).outputs[0]), let tensor = constant(name),
      tensor.elementType == .float32, tensor.count == shape[1], tensor.rank <= shape.count,
      Array(tensor.shape.drop { $0 == 1 }) == Array(channel.drop { $0 == 1 })
    else { return nil }
    return name
  }
}
