internal import BillhookTensor

/// Convolutions, whose channels may be read and made in groups.
extension CouplingAnalysis {
  mutating func visitConv(_ index: Int, _ node: Node) {
    guard let weight = node.input(1), let shape = constants[weight]?.shape else {
      return freezeInputs(node, "has a weight that is computed")
    }
    let input = channels(node, input: 0, axis: 1)
    let group = node.int("group", default: 1)
    let output: [ChannelUnion.Channel]
    if group > 1, shape[1] == 1, let input {
      // Depthwise: each input channel makes `multiplier` output channels of its own.
      let multiplier = shape[0] / group
      output = (0..<shape[0]).map { input[$0 / multiplier] }
      record(index, weight, axis: 0, .producer, output)
    } else {
      guard let made = makeChannels(shape[0], of: node) else { return }
      output = made
      record(index, weight, axis: 0, .producer, output, isOrigin: true)
      if group > 1, shape[1] == 1 {
        union.freeze(
          output,
          "node \"\(node.displayName)\" (Conv) makes each of one channel of \"\(node.inputs[0])\", "
            + "which must stay")
      } else {
        tie(output, groups: group)
        if let input {
          tie(input, groups: group)
          record(index, weight, axis: 1, .consumer, Array(input.prefix(shape[1])))
        }
      }
    }
    if let bias = node.input(2) {
      if constants[bias] != nil {
        record(index, bias, axis: 0, .producer, output)
      } else {
        union.freeze(output, "the bias of node \"\(node.displayName)\" (Conv) is computed")
        freeze(bias, "it is the bias of node \"\(node.displayName)\" (Conv)")
      }
    }
    tracks[node.outputs[0]] = ChannelTrack(axis: 1, channels: output)
  }

  /// A transposed convolution reads channels as a convolution does; those that it makes stay.
  mutating func visitTransposedConv(_ index: Int, _ node: Node) {
    let group = node.int("group", default: 1)
    // A weight without elements may state any number of groups.
    guard let weight = node.input(1), let shape = constants[weight]?.shape,
      group <= max(shape[0], 1)
    else { return freezeInputs(node, "has a weight that is computed or empty") }
    if let input = channels(node, input: 0, axis: 1) {
      tie(input, groups: group)
      record(index, weight, axis: 0, .consumer, input)
    }
    let (count, overflows) = shape[1].multipliedReportingOverflow(by: group)
    guard let output = makeChannels(overflows ? nil : count, of: node) else { return }
    union.freeze(output, "node \"\(node.displayName)\" (ConvTranspose) makes them")
    freeze(node.input(2), "it is the bias of node \"\(node.displayName)\" (ConvTranspose)")
    tracks[node.outputs[0]] = ChannelTrack(axis: 1, channels: output)
  }

  /// Ties the channels with the same place in each of several groups, so that all of the groups lose as
  /// many.
  private mutating func tie(_ channels: [ChannelUnion.Channel], groups: Int) {
    guard groups > 1, channels.count >= groups else { return }
    let size = channels.count / groups
    for place in channels.indices.dropFirst(size) {
      union.unite(channels[place % size], channels[place])
    }
  }
}
