internal import BillhookTensor
internal import OrderedCollections

extension OperatorDefinition {
  /// A subgraph once for each slice of its scanned inputs, with carried values as Loop has.
  static let scan = OperatorDefinition(
    "Scan", inputs: 0...Int.max, outputs: 1...Int.max,
    attributes: [
      .graph("body"), .int("num_scan_inputs", required: true), .ints("directions"),
      .ints("scan_input_axes"), .ints("scan_input_directions"), .ints("scan_output_axes"),
      .ints("scan_output_directions"),
    ],
    dependence: .subgraphs,
    infer: { (context) throws(GraphError) in
      let scanned = try context.scannedCount()
      guard context.opset >= 9 else {
        throw .notConstant(op: context.op, node: context.name, value: context.valueName(0))
      }
      var (states, slices): ([ValueType], [ValueType]) = ([], [])
      var count = Dimension.symbolic("")
      for index in context.inputs.indices {
        var type = try context.type(index)
        if index < context.inputs.count - scanned {
          states.append(type)
        } else {
          let place = index - (context.inputs.count - scanned)
          let axis = try context.scanAxis("scan_input_axes", place, rank: type.shape.count)
          count = count.merged(with: type.shape.remove(at: axis))
          slices.append(type)
        }
      }
      let types = try context.bodyTypes("body", states + slices)
      guard types.count >= states.count else { throw context.wrongBody("body") }
      var result = try context.widened(states, Array(types.prefix(states.count)))
      for (place, slice) in types.dropFirst(states.count).enumerated() {
        var type = slice
        let axis = try context.scanAxis("scan_output_axes", place, rank: type.shape.count + 1)
        type.shape.insert(count, at: axis)
        result.append(type)
      }
      return result
    },
    evaluate: { (context, _) throws(GraphError) in
      var inputs: [Tensor] = []
      // Before operator set 9: lengths first, which may be left out, and a batch axis.
      for index in context.inputs.indices.dropFirst(context.opset < 9 ? 1 : 0) {
        inputs.append(try context.tensor(index))
      }
      guard context.opset < 9 else { return try Scan(context).run(inputs) }
      let batch = inputs.first?.shape.first ?? 0
      var rows: [[Tensor]] = []
      for row in 0..<batch {
        var own: [Tensor] = []
        for (index, input) in inputs.enumerated() {
          guard input.rank > 0, input.shape[0] == batch else {
            throw context.wrongShape(index + 1, expected: "a batch of \(batch)")
          }
          own.append(input.rows(row..<row + 1).reshaped(Array(input.shape.dropFirst())))
        }
        rows.append(try Scan(context).run(own))
      }
      var outputs: [Tensor] = []
      for index in 0..<(rows.first?.count ?? 0) {
        outputs.append(
          try context.stacked(rows.map { $0[index] }, axis: 0, ValueInfo("", shape: nil)))
      }
      return outputs
    })
}

/// A Scan node's slices and what becomes of them.
private struct Scan {
  private let context: NodeContext
  private let body: Body
  private let scanned: Int

  init(_ context: NodeContext) throws(GraphError) {
    self.context = context
    body = try Body(context, "body")
    scanned = try context.scannedCount()
  }

  func run(_ inputs: [Tensor]) throws(GraphError) -> [Tensor] {
    let stateCount = inputs.count - scanned
    guard stateCount >= 0, body.graph.inputs.count == inputs.count,
      body.graph.outputs.count >= stateCount
    else { throw context.wrongBody("body") }
    var states = Array(inputs[..<stateCount])
    // The scanned axis in front, so that a slice is a row.
    var sources: [Tensor] = []
    for (place, input) in inputs[stateCount...].enumerated() {
      let axis = try context.scanAxis("scan_input_axes", place, rank: input.rank)
      let order = [axis] + (0..<input.rank).filter { $0 != axis }
      sources.append(axis == 0 ? input : input.transposed(order))
    }
    let count = sources.first?.shape[0] ?? 0
    guard sources.allSatisfy({ $0.shape[0] == count }) else {
      throw context.wrongShape(stateCount, expected: "\(count) slices of each scanned input")
    }
    var slices = [[Tensor]](repeating: [], count: body.graph.outputs.count - stateCount)
    let directions =
      context.node.ints("scan_input_directions") ?? context.node.ints("directions") ?? []
    for turn in 0..<count {
      let rows = sources.enumerated().map { place, source in
        let isBackwards = place < directions.count && directions[place] == 1
        let row = isBackwards ? count - 1 - turn : turn
        return source.rows(row..<row + 1).reshaped(Array(source.shape.dropFirst()))
      }
      let results = try body.run(states + rows)
      states = Array(results[..<stateCount])
      for index in slices.indices { slices[index].append(results[stateCount + index]) }
    }
    let outputDirections = context.node.ints("scan_output_directions") ?? []
    var outputs = states
    for (place, parts) in slices.enumerated() {
      let isBackwards = place < outputDirections.count && outputDirections[place] == 1
      let declared = body.graph.outputs[stateCount + place]
      let rank = (parts.first?.rank ?? declared.shape?.count ?? 0) + 1
      outputs.append(
        try context.stacked(
          isBackwards ? parts.reversed() : parts,
          axis: try context.scanAxis("scan_output_axes", place, rank: rank), declared))
    }
    return outputs
  }
}

extension NodeContext {
  func scannedCount() throws(GraphError) -> Int {
    let count = node.int("num_scan_inputs", default: 0)
    let given = inputs.count - (opset < 9 ? 1 : 0)
    guard count >= 1, count <= given else {
      throw wrongAttribute("num_scan_inputs", count, expected: "1...\(given)")
    }
    return count
  }

  func scanAxis(_ key: String, _ place: Int, rank: Int) throws(GraphError) -> Int {
    let axes = node.ints(key) ?? []
    return try axis(place < axes.count ? axes[place] : 0, rank: rank, of: key)
  }
}
