internal import BillhookTensor
internal import OrderedCollections

extension GradientRule {
  /// Recurrent layers, through time.
  ///
  /// Source: Werbos, *Backpropagation Through Time*, 1990. No deviation.
  static let recurrentFamily: [String: GradientRule] = [
    "RNN": recurrent(.simple), "GRU": recurrent(.gru), "LSTM": recurrent(.lstm),
  ]

  private static func recurrent(_ kind: RecurrentKind) -> GradientRule {
    composed { (context, tape, inputs) throws(GraphError) in
      let layer = try RecurrentLayer(context.forward, kind)
      var x = inputs[0]
      if layer.isBatchFirst { x = try tape.apply("Transpose", [x], ["perm": .ints([1, 0, 2])]) }
      var (sequences, states, cells): ([Tape.Value], [Tape.Value], [Tape.Value]) = ([], [], [])
      for direction in 0..<layer.directions {
        var unrolled = try UnrolledLayer(context, layer, direction, inputs, &tape)
        let steps = try unrolled.run(&tape, x)
        sequences.append(try tape.apply("Unsqueeze", [steps, tape.integers([1])]))
        let axis = tape.integers([layer.isBatchFirst ? 1 : 0])
        states.append(try tape.apply("Unsqueeze", [unrolled.state, axis]))
        cells.append(try tape.apply("Unsqueeze", [unrolled.cell, axis]))
      }
      let axis = Attribute.int(layer.isBatchFirst ? 1 : 0)
      var all = try tape.apply("Concat", sequences, ["axis": .int(1)])
      if layer.isBatchFirst {
        all = try tape.apply("Transpose", [all], ["perm": .ints([2, 0, 1, 3])])
      }
      return [
        all, try tape.apply("Concat", states, ["axis": axis]),
        try tape.apply("Concat", cells, ["axis": axis]),
      ]
    }
  }
}

/// One direction of a recurrent layer on a tape.
private struct UnrolledLayer {
  /// `[batch, hidden]`.
  var state: Tape.Value
  var cell: Tape.Value
  private let kind: RecurrentKind
  private let layer: RecurrentLayer
  private let isBackwards: Bool
  private let functions: [RecurrentActivation]
  /// Turned, so that they stand on the right of a product.
  private let inputWeights: Tape.Value
  private let stateWeights: [Tape.Value]
  private var inputBias: Tape.Value?
  private var stateBias: [Tape.Value?]
  private var peepholes: [Tape.Value]?
  private let lengths: [Int]
  private let steps: Int
  private let isLinearFirst: Bool
  private let isCoupled: Bool

  init(
    _ context: GradientContext, _ layer: RecurrentLayer, _ direction: Int,
    _ inputs: [Tape.Value?], _ tape: inout Tape
  ) throws(GraphError) {
    self.layer = layer
    kind = layer.kind
    isBackwards = layer.isBackwards(direction)
    functions = layer.activations(of: direction)
    let batch = layer.batch.size ?? 0
    steps = layer.steps.size ?? 0
    lengths =
      context.forward.optionalTensor(4)?.integers() ?? [Int](repeating: steps, count: batch)
    isLinearFirst = context.node.int("linear_before_reset", default: 0) != 0
    isCoupled = context.node.int("input_forget", default: 0) != 0
    let index = tape.add(Tensor(scalar: Int64(direction)))
    func own(
      _ position: Int, axis: Int = 0, _ tape: inout Tape
    ) throws(GraphError) -> Tape.Value? {
      guard position < inputs.count, let value = inputs[position] else { return nil }
      return try tape.apply("Gather", [value, index], ["axis": .int(axis)])
    }
    inputWeights = try tape.apply("Transpose", [try own(1, &tape)])
    let turned = try tape.apply("Transpose", [try own(2, &tape)])
    // A GRU multiplies the rows of its last gate by another state.
    let gates = kind.gates
    stateWeights = try tape.apply("Split", [turned], ["axis": .int(1)], outputs: gates)
    stateBias = [Tape.Value?](repeating: nil, count: gates)
    if let both = try own(3, &tape) {
      let parts = try tape.apply("Split", [both], outputs: 2 * gates)
      inputBias = try tape.apply("Concat", Array(parts[..<gates]), ["axis": .int(0)])
      stateBias = Array(parts[gates...])
    }
    if let all = try own(7, &tape) { peepholes = try tape.apply("Split", [all], outputs: 3) }
    let axis = layer.isBatchFirst ? 1 : 0
    let zeros = Tensor(
      [Double](repeating: 0, count: batch * layer.hidden), shape: [batch, layer.hidden])
    state = try own(5, axis: axis, &tape) ?? tape.add(zeros)
    cell = try own(6, axis: axis, &tape) ?? tape.add(zeros)
  }

  /// Runs all steps of `[steps, batch, input]`; gives the states after each, `[steps, batch, hidden]`.
  mutating func run(
    _ tape: inout Tape, _ x: Tape.Value?
  ) throws(GraphError) -> Tape.Value {
    let order: OrderedDictionary<String, Attribute> = ["time_axis": .int(0), "batch_axis": .int(1)]
    let ends = tape.integers(lengths)
    let ordered = isBackwards ? try tape.apply("ReverseSequence", [x, ends], order) : x
    var projected = try tape.apply("MatMul", [ordered, inputWeights])
    if let inputBias { projected = try tape.apply("Add", [projected, inputBias]) }
    var states: [Tape.Value] = []
    let zeros = tape.scalar(0)
    for step in 0..<steps {
      let row = try tape.apply("Gather", [projected, tape.add(Tensor(scalar: Int64(step)))])
      let gates = try tape.apply("Split", [row], ["axis": .int(1)], outputs: kind.gates)
      let (oldState, oldCell) = (state, cell)
      try advance(&tape, gates)
      var output = state
      if lengths.contains(where: { $0 <= step }) {
        // A sequence that is over keeps its state, and gives zeros.
        let isOn = tape.add(Tensor(lengths.map { $0 > step }, shape: [lengths.count, 1]))
        output = try tape.apply("Where", [isOn, state, zeros])
        state = try tape.apply("Where", [isOn, state, oldState])
        cell = try tape.apply("Where", [isOn, cell, oldCell])
      }
      states.append(try tape.apply("Unsqueeze", [output, tape.integers([0])]))
    }
    guard !states.isEmpty else {
      return tape.add(Tensor([Double](), shape: [0, lengths.count, layer.hidden]))
    }
    let all = try tape.apply("Concat", states, ["axis": .int(0)])
    return isBackwards ? try tape.apply("ReverseSequence", [all, ends], order) : all
  }

  /// One step, from what the input gives to each gate.
  private mutating func advance(
    _ tape: inout Tape, _ input: [Tape.Value]
  ) throws(GraphError) {
    func recurrence(
      _ gate: Int, of state: Tape.Value, _ tape: inout Tape
    ) throws(GraphError) -> Tape.Value {
      let product = try tape.apply("MatMul", [state, stateWeights[gate]])
      guard let bias = stateBias[gate] else { return product }
      return try tape.apply("Add", [product, bias])
    }
    func gate(
      _ index: Int, _ function: Int, _ tape: inout Tape, peeped: Tape.Value? = nil
    ) throws(GraphError) -> Tape.Value {
      var sum = try tape.apply("Add", [input[index], try recurrence(index, of: state, &tape)])
      if let peeped { sum = try tape.apply("Add", [sum, peeped]) }
      return try functions[function].apply(&tape, try clipped(&tape, sum))
    }
    func peep(
      _ index: Int, _ cell: Tape.Value, _ tape: inout Tape
    ) throws(GraphError) -> Tape.Value? {
      guard let peepholes else { return nil }
      return try tape.apply("Mul", [peepholes[index], cell])
    }
    switch kind {
    case .simple: state = try gate(0, 0, &tape)
    case .gru:
      let update = try gate(0, 0, &tape)
      let reset = try gate(1, 0, &tape)
      let term: Tape.Value
      if isLinearFirst {
        term = try tape.apply("Mul", [reset, try recurrence(2, of: state, &tape)])
      } else {
        term = try recurrence(2, of: try tape.apply("Mul", [reset, state]), &tape)
      }
      let sum = try tape.apply("Add", [input[2], term])
      let candidate = try functions[1].apply(&tape, try clipped(&tape, sum))
      let rest = try tape.apply("Sub", [tape.scalar(1), update])
      state = try tape.apply(
        "Add",
        [
          try tape.apply("Mul", [rest, candidate]), try tape.apply("Mul", [update, state]),
        ])
    case .lstm:
      let entering = try peep(0, cell, &tape)
      let keeping = try peep(2, cell, &tape)
      let enter = try gate(0, 0, &tape, peeped: entering)
      let keep =
        isCoupled
        ? try tape.apply("Sub", [tape.scalar(1), enter])
        : try gate(2, 0, &tape, peeped: keeping)
      let candidate = try gate(3, 1, &tape)
      cell = try tape.apply(
        "Add",
        [try tape.apply("Mul", [keep, cell]), try tape.apply("Mul", [enter, candidate])])
      let leaving = try peep(1, cell, &tape)
      let leave = try gate(1, 0, &tape, peeped: leaving)
      state = try tape.apply("Mul", [leave, try functions[2].apply(&tape, cell)])
    }
  }

  private func clipped(
    _ tape: inout Tape, _ value: Tape.Value
  ) throws(GraphError) -> Tape.Value {
    guard layer.limit.isFinite else { return value }
    return try tape.apply("Clip", [value, tape.scalar(-layer.limit), tape.scalar(layer.limit)])
  }
}

extension RecurrentActivation {
  /// The function of a value on a tape.
  func apply(_ tape: inout Tape, _ x: Tape.Value) throws(GraphError) -> Tape.Value {
    let alpha = Attribute.float(Float(self.alpha))
    switch name {
    case "sigmoid": return try tape.apply("Sigmoid", [x])
    case "relu": return try tape.apply("Relu", [x])
    case "softsign": return try tape.apply("Softsign", [x])
    case "softplus": return try tape.apply("Softplus", [x])
    case "affine":
      let product = try tape.apply("Mul", [x, tape.scalar(self.alpha)])
      return try tape.apply("Add", [product, tape.scalar(beta)])
    case "leakyrelu": return try tape.apply("LeakyRelu", [x], ["alpha": alpha])
    case "thresholdedrelu": return try tape.apply("ThresholdedRelu", [x], ["alpha": alpha])
    case "scaledtanh":
      let bent = try tape.apply("Tanh", [try tape.apply("Mul", [x, tape.scalar(beta)])])
      return try tape.apply("Mul", [bent, tape.scalar(self.alpha)])
    case "hardsigmoid":
      return try tape.apply(
        "HardSigmoid", [x], ["alpha": alpha, "beta": .float(Float(beta))])
    case "elu": return try tape.apply("Elu", [x], ["alpha": alpha])
    default: return try tape.apply("Tanh", [x])
    }
  }
}
