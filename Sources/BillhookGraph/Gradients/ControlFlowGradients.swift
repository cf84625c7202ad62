internal import BillhookTensor
internal import OrderedCollections

extension GradientRule {
  /// Operators that run subgraphs: what was run is run again on a tape, turn by turn.
  static let controlFlowFamily: [String: GradientRule] = [
    "If": ifOperator, "Loop": loop, "Scan": scan,
  ]

  private static let ifOperator = GradientRule(named: { (context) throws(GraphError) in
    var replay = Replay(context)
    let choice = try context.forward.tensor(0).integers()?.first != 0
    let outputs = try replay.run(try context.body(choice ? "then_branch" : "else_branch"), [])
    return try replay.gradients(
      outputs.enumerated().compactMap { index, value in
        context.has(index) ? (value, context.dy(index)) : nil
      })
  })

  private static let loop = GradientRule(named: { (context) throws(GraphError) in
    var replay = Replay(context)
    let body = try context.body("body")
    let limit = try context.forward.optionalInteger(0) ?? .max
    var carried = context.node.inputs.dropFirst(2).compactMap { replay.scope[$0] }
    let first = context.forward.optionalTensor(1) ?? Tensor(scalar: true)
    var condition = replay.tape.add(first)
    var seeds: [(Tape.Value, [Double])] = []
    var turn = 0
    while turn < limit, replay.tape[condition].integers()?.first != 0 {
      let counter = replay.tape.add(Tensor(scalar: Int64(turn)))
      let results = try replay.run(body, [counter, condition] + carried)
      condition = results[0]
      carried = Array(results[1..<carried.count + 1])
      for (slice, value) in results[(carried.count + 1)...].enumerated() {
        guard context.has(carried.count + slice) else { continue }
        let count = replay.tape[value].count
        let gradient = context.dy(carried.count + slice)
        seeds.append((value, Array(gradient[turn * count..<(turn + 1) * count])))
      }
      turn += 1
    }
    for (index, value) in carried.enumerated() where context.has(index) {
      seeds.append((value, context.dy(index)))
    }
    return try replay.gradients(seeds)
  })

  private static let scan = GradientRule(named: { (context) throws(GraphError) in
    guard context.forward.opset >= 9 else {
      throw context.noGradient("its form before operator set 9 has none")
    }
    var replay = Replay(context)
    let body = try context.body("body")
    let scanned = try context.forward.scannedCount()
    let inputs = context.node.inputs.compactMap { replay.scope[$0] }
    let stateCount = inputs.count - scanned
    var states = Array(inputs[..<stateCount])
    let sources = Array(inputs[stateCount...])
    var axes: [Int] = []
    for (place, source) in sources.enumerated() {
      axes.append(
        try context.forward.scanAxis(
          "scan_input_axes", place, rank: replay.tape[source].rank))
    }
    func isBackwards(_ key: String, _ place: Int) -> Bool {
      let directions = context.node.ints(key) ?? []
      return place < directions.count && directions[place] == 1
    }
    let count = sources.isEmpty ? 0 : replay.tape[sources[0]].shape[axes[0]]
    var seeds: [(Tape.Value, [Double])] = []
    for turn in 0..<count {
      var rows: [Tape.Value] = []
      for (place, source) in sources.enumerated() {
        let row = isBackwards("scan_input_directions", place) ? count - 1 - turn : turn
        rows.append(
          try replay.tape.apply(
            "Gather", [source, replay.tape.add(Tensor(scalar: Int64(row)))],
            ["axis": .int(axes[place])]))
      }
      let results = try replay.run(body, states + rows)
      states = Array(results[..<stateCount])
      for (place, value) in results[stateCount...].enumerated() {
        let output = stateCount + place
        guard context.has(output) else { continue }
        let shape = context.outputs[output].shape
        let axis = try context.forward.scanAxis("scan_output_axes", place, rank: shape.count)
        let row = isBackwards("scan_output_directions", place) ? count - 1 - turn : turn
        let lines = Lines(shape, axis: axis)
        let gradient = context.dy(output)
        seeds.append((value, lines.starts.map { gradient[$0 + row * lines.stride] }))
      }
    }
    for (index, value) in states.enumerated() where context.has(index) {
      seeds.append((value, context.dy(index)))
    }
    return try replay.gradients(seeds)
  })
}

/// A node's subgraphs run on a tape that starts with what the node reads.
private struct Replay {
  var tape = Tape()
  /// What the node reads, by name.
  private(set) var scope: [String: Tape.Value] = [:]
  private let opset: Int
  private let wanted: [String]

  init(_ context: GradientContext) {
    opset = context.forward.opset
    wanted = context.wanted.sorted()
    for name in context.node.reads where !name.isEmpty && scope[name] == nil {
      if let tensor = context.forward.scope.constants[name] { scope[name] = tape.add(tensor) }
    }
  }

  mutating func run(_ body: Graph, _ inputs: [Tape.Value]) throws(GraphError) -> [Tape.Value] {
    try tape.run(body: body, opset: opset, inputs, outer: scope)
  }

  /// The gradients of what the node reads.
  func gradients(_ seeds: [(Tape.Value, [Double])]) throws(GraphError) -> [String: [Double]] {
    let found = try tape.gradients(seeds, of: wanted.compactMap { scope[$0] })
    var result: [String: [Double]] = [:]
    for name in wanted { result[name] = scope[name].flatMap { found[$0] } }
    return result
  }
}

extension GradientContext {
  fileprivate func body(_ key: String) throws(GraphError) -> Graph {
    guard let graph = node.graph(key) else { throw forward.wrongBody(key) }
    return graph
  }
}
