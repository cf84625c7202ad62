internal import BillhookTensor

/// What each operator does to the channels of its inputs.
extension CouplingAnalysis {
  /// Functions of each element on its own that are finite at zero, where a masked channel is.
  static let elementwise: Set<String> = [
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Mish", "Neg", "Relu", "Round", "Selu",
    "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
  ]

  mutating func visit(_ index: Int) {
    let node = graph.nodes[index]
    // The rules below count axes, which they can only where the number of axes is known.
    guard node.outputs.allSatisfy({ $0.isEmpty || types[$0] != nil }) else {
      return freezeInputs(node, "gives it a shape that is known only while it runs")
    }
    switch node.op {
    case "Conv": visitConv(index, node)
    case "Gemm": visitGemm(index, node)
    case "MatMul": visitMatMul(index, node)
    case "BatchNormalization", "InstanceNormalization": visitNormalization(index, node)
    case let op where Self.elementwise.contains(op): pass(node)
    case "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool":
      if channels(node, input: 0, axis: 1) != nil { pass(node) }
    case "Resize", "Upsample", "Pad": visitResizing(index, node)
    case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
      "ReduceSumSquare":
      visitReduction(node)
    case "Shape": visitShape(node)
    case "Slice", "Split", "Gather": visitPick(index, node)
    case "QuantizeLinear", "DequantizeLinear": visitQuantization(index, node)
    case "Add", "Sub", "Mul", "PRelu": visitArithmetic(index, node)
    case let op where ["Max", "Min", "Sum"].contains(op) && node.inputs.count == 2:
      visitArithmetic(index, node)
    case "Where": visitChoice(index, node)
    case "Div":
      // What is divided by may become zero where a channel is masked.
      guard node.input(1).flatMap({ tracks[$0] }) == nil else {
        return freezeInputs(node, "divides by it")
      }
      visitArithmetic(index, node)
    case "ConvTranspose": visitTransposedConv(index, node)
    case "Concat": visitConcat(index, node)
    case "Flatten", "Reshape", "Squeeze", "Unsqueeze": visitReshape(index, node)
    case "Transpose": visitTranspose(node)
    case "Softmax", "LogSoftmax": visitSoftmax(node)
    case "Pow": visitPower(node)
    case "LSTM", "GRU", "RNN": visitRecurrence(index, node)
    case "LayerNormalization", "RMSNormalization", "GroupNormalization", "LpNormalization":
      freezeInputs(node, "normalises over its channels, so each of them counts for all others")
    case "Constant": break
    default: freezeInputs(node, "may mix its channels")
    }
  }

  /// The output has the channels of the first input.
  private mutating func pass(_ node: Node) {
    guard let input = node.input(0), let track = tracks[input] else { return }
    for output in node.outputs where !output.isEmpty { tracks[output] = track }
  }

  /// What changes the size of images but not the number of channels.
  private mutating func visitResizing(_ index: Int, _ node: Node) {
    guard let value = node.input(0), let track = tracks[value] else { return }
    guard shape(node.outputs[0])[track.axis] == .fixed(track.channels.count) else {
      return freezeInputs(node, "may change how many there are")
    }
    if node.op == "Resize", let sizes = node.input(3), constants[sizes] != nil {
      let rank = shape(value).count
      let axes = node.ints("axes")?.map { $0 < 0 ? $0 + rank : $0 } ?? Array(0..<rank)
      if let place = axes.firstIndex(of: track.axis) {
        state(index, 3, "sizes", track, [(place, track.channels.indices)])
      }
    }
    pass(node)
  }

  private mutating func visitGemm(_ index: Int, _ node: Node) {
    guard let weight = node.input(1), let shape = constants[weight]?.shape,
      node.int("transA", default: 0) == 0
    else { return freezeInputs(node, "multiplies two computed matrices") }
    let isTransposed = node.int("transB", default: 0) != 0
    if let input = channels(node, input: 0, axis: 1) {
      record(index, weight, axis: isTransposed ? 1 : 0, .consumer, input)
    }
    let axis = isTransposed ? 0 : 1
    guard let output = makeChannels(shape[axis], of: node) else { return }
    record(index, weight, axis: axis, .producer, output, isOrigin: true)
    if let bias = node.input(2) {
      if let tensor = constants[bias] {
        if let last = tensor.shape.last, last == output.count {
          record(index, bias, axis: tensor.rank - 1, .producer, output)
        }
      } else {
        union.freeze(output, "the bias of node \"\(node.displayName)\" (Gemm) is computed")
        freeze(bias, "it is the bias of node \"\(node.displayName)\" (Gemm)")
      }
    }
    tracks[node.outputs[0]] = ChannelTrack(axis: 1, channels: output)
  }

  private mutating func visitMatMul(_ index: Int, _ node: Node) {
    guard let weight = node.input(1), let shape = constants[weight]?.shape, shape.count == 2,
      let value = node.input(0)
    else { return visitProduct(node) }
    let last = self.shape(value).count - 1
    if let input = channels(node, input: 0, axis: last) {
      record(index, weight, axis: 0, .consumer, input)
    }
    guard let output = makeChannels(shape[1], of: node) else { return }
    record(index, weight, axis: 1, .producer, output, isOrigin: true)
    tracks[node.outputs[0]] = ChannelTrack(axis: last, channels: output)
  }

  /// A product of two computed values, as in attention: channels along an axis that both have side by
  /// side stay (the heads), those along the axis that is summed over go together.
  private mutating func visitProduct(_ node: Node) {
    guard let left = node.input(0), let right = node.input(1) else { return }
    let ranks = (shape(left).count, shape(right).count)
    guard tracks[left] != nil || tracks[right] != nil else { return }
    guard ranks.0 >= 2, ranks.1 >= 2 else {
      return freezeInputs(node, "multiplies two computed matrices")
    }
    // Axes counted from the end, 1 being the last: what is summed over is 1 of the left and 2 of the
    // right.
    let from = (
      tracks[left].map { ranks.0 - $0.axis }, tracks[right].map { ranks.1 - $0.axis }
    )
    let outputRank = shape(node.outputs[0]).count
    switch from {
    case (let a?, let b?) where (a == b && a > 2) || (a == 1 && b == 2):
      let (first, second) = (tracks[left]!.channels, tracks[right]!.channels)
      guard first.count == second.count else {
        return freezeInputs(node, "spreads one of its inputs over the other")
      }
      union.unite(first, second)
      if a > 2 {
        tracks[node.outputs[0]] = ChannelTrack(axis: outputRank - a, channels: first)
      }
    case (let a?, nil) where a == 2 || (a > 2 && (a > ranks.1 || shape(right)[ranks.1 - a] == 1)):
      tracks[node.outputs[0]] = ChannelTrack(
        axis: outputRank - a, channels: tracks[left]!.channels)
    case (nil, let b?) where b == 1 || (b > 2 && (b > ranks.0 || shape(left)[ranks.0 - b] == 1)):
      tracks[node.outputs[0]] = ChannelTrack(
        axis: outputRank - b, channels: tracks[right]!.channels)
    default: freezeInputs(node, "multiplies two computed matrices")
    }
  }

  /// A power with a fixed exponent above 0, which is finite at zero.
  private mutating func visitPower(_ node: Node) {
    guard let exponent = node.input(1).flatMap({ constants[$0] }), exponent.count == 1,
      exponent.rank <= 1, exponent.numbers()[0] > 0
    else { return freezeInputs(node, "raises it to a power that is computed, or not above 0") }
    pass(node)
  }

  /// A recurrent layer reads channels as a fully connected layer does. Those that it makes are its
  /// state too, which it reads again and whose first value has a shape of its own, so they stay.
  private mutating func visitRecurrence(_ index: Int, _ node: Node) {
    for input in node.inputs.dropFirst() {
      freeze(input, "node \"\(node.displayName)\" (\(node.op)) has it as a weight or state")
    }
    guard let input = channels(node, input: 0, axis: 2) else { return }
    guard let weight = node.input(1), constants[weight]?.rank == 3 else {
      return freezeInputs(node, "has a weight that is computed")
    }
    record(index, weight, axis: 2, .consumer, input)
  }

  private mutating func visitNormalization(_ index: Int, _ node: Node) {
    guard let channels = channels(node, input: 0, axis: 1) else { return }
    for parameter in node.op == "BatchNormalization" ? 1...4 : 1...2 {
      guard let name = node.input(parameter), constants[name] != nil else {
        union.freeze(channels, "a parameter of node \"\(node.displayName)\" is computed")
        continue
      }
      record(index, name, axis: 0, .follower, channels)
    }
    tracks[node.outputs[0]] = ChannelTrack(axis: 1, channels: channels)
    // In training: the statistics of the channels.
    for output in node.outputs.dropFirst() where !output.isEmpty {
      tracks[output] = ChannelTrack(axis: 0, channels: channels)
    }
  }

  private mutating func visitQuantization(_ index: Int, _ node: Node) {
    guard let value = node.input(0), let track = tracks[value] else { return }
    let rank = shape(value).count
    let stated = node.int("axis", default: 1)
    for parameter in 1...2 {
      guard let name = node.input(parameter), let tensor = constants[name], tensor.count > 1,
        (stated < 0 ? stated + rank : stated) == track.axis
      else { continue }
      record(index, name, axis: 0, .follower, track.channels)
    }
    pass(node)
  }

  /// One of two values at each place, for all channels alike, as where a mask hides tokens.
  private mutating func visitChoice(_ index: Int, _ node: Node) {
    freeze(
      node.inputs[0], "node \"\(node.displayName)\" (Where) reads its channels as conditions")
    visitArithmetic(index, node, operands: 1...2)
    guard let track = tracks[node.outputs[0]] else { return }
    let condition = shape(node.inputs[0])
    let axis = track.axis - (shape(node.outputs[0]).count - condition.count)
    guard axis < 0 || condition[axis] == 1 else {
      return freezeInputs(node, "chooses channel by channel")
    }
  }

  private mutating func visitArithmetic(
    _ index: Int, _ node: Node, operands places: ClosedRange<Int> = 0...1
  ) {
    let operands = places.map { node.inputs[$0] }
    let outputRank = shape(node.outputs[0]).count
    /// The track of an operand, counted in the output's axes.
    func aligned(_ value: String) -> ChannelTrack? {
      guard var track = tracks[value] else { return nil }
      track.axis += outputRank - shape(value).count
      return track
    }
    let known = operands.compactMap(aligned)
    guard let first = known.first else { return }
    if known.count == 2 {
      guard known[0].axis == known[1].axis,
        known[0].channels.count == known[1].channels.count
      else { return freezeInputs(node, "spreads one of its inputs over the other") }
      union.unite(known[0].channels, known[1].channels)
      tracks[node.outputs[0]] = first
      return
    }
    let other = tracks[operands[0]] == nil ? operands[0] : operands[1]
    let otherShape = shape(other)
    let axis = first.axis - (outputRank - otherShape.count)
    guard shape(node.outputs[0])[first.axis] == .fixed(first.channels.count) else {
      return freezeInputs(node, "spreads it over another value")
    }
    if axis < 0 || otherShape[axis] == 1 {
      // One number for all channels.
    } else if constants[other] != nil {
      record(index, other, axis: axis, .follower, first.channels)
    } else {
      return freezeInputs(node, "joins it with \"\(other)\", whose channels must stay")
    }
    tracks[node.outputs[0]] = first
  }

  private mutating func visitConcat(_ index: Int, _ node: Node) {
    let rank = shape(node.outputs[0]).count
    let stated = node.int("axis", default: 0)
    let axis = stated < 0 ? stated + rank : stated
    let known = node.inputs.compactMap { tracks[$0] }
    guard let first = known.first else { return }
    if known.allSatisfy({ $0.axis == axis }) {
      var joined: [ChannelUnion.Channel] = []
      for input in node.inputs {
        if let track = tracks[input] {
          joined += track.channels
          continue
        }
        guard let size = shape(input)[axis].size else {
          return freezeInputs(node, "joins it with \"\(input)\", whose size is not known")
        }
        guard let fixed = makeChannels(size, of: node) else { return }
        union.freeze(fixed, "node \"\(node.displayName)\" (Concat) joins it with \"\(input)\"")
        joined += fixed
      }
      tracks[node.outputs[0]] = ChannelTrack(axis: axis, channels: joined)
    } else if known.count == node.inputs.count, known.allSatisfy({ $0.axis == first.axis }) {
      for track in known.dropFirst() { union.unite(first.channels, track.channels) }
      tracks[node.outputs[0]] = first
    } else {
      freezeInputs(node, "joins it with a value whose channels must stay")
    }
  }

  private mutating func visitSoftmax(_ node: Node) {
    guard let value = node.input(0), let track = tracks[value] else { return }
    let rank = shape(value).count
    let isOld = graph.opset < 13
    let stated = node.int("axis", default: isOld ? 1 : -1)
    let axis = stated < 0 ? stated + rank : stated
    if isOld ? track.axis >= axis : track.axis == axis {
      return freezeInputs(node, "normalises over its channels")
    }
    pass(node)
  }
}
