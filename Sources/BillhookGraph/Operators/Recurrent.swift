internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension OperatorDefinition {
  /// Recurrent layers: forwards, backwards or both ways through sequences.
  static let recurrentFamily: [OperatorDefinition] = [
    recurrent("RNN", .simple, inputs: 3...6, [.int("output_sequence")]),
    recurrent("GRU", .gru, inputs: 3...6, [.int("linear_before_reset"), .int("output_sequence")]),
    recurrent("LSTM", .lstm, inputs: 3...8, [.int("input_forget"), .int("output_sequence")]),
  ]

  private static func recurrent(
    _ name: String, _ kind: RecurrentKind, inputs: ClosedRange<Int>,
    _ attributes: [AttributeDefinition]
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: inputs, outputs: 0...(kind == .lstm ? 3 : 2),
      attributes: attributes + [
        .floats("activation_alpha"), .floats("activation_beta"), .strings("activations"),
        .float("clip"), .string("direction"), .int("hidden_size"), .int("layout"),
      ],
      infer: { (context) throws(GraphError) in
        let layer = try RecurrentLayer(context, kind)
        let type = try context.type(0).elementType
        let (d, h) = (Dimension.fixed(layer.directions), Dimension.fixed(layer.hidden))
        let state = layer.isBatchFirst ? [layer.batch, d, h] : [d, layer.batch, h]
        let sequence =
          layer.isBatchFirst
          ? [layer.batch, layer.steps, d, h] : [layer.steps, d, layer.batch, h]
        return [ValueType(type, sequence), ValueType(type, state), ValueType(type, state)]
      },
      evaluate: { (context, types) throws(GraphError) in
        let layer = try RecurrentLayer(context, kind)
        return try layer.run(context).enumerated().map { index, numbers in
          Tensor(rounding: numbers, shape: types[index].sizes ?? [], types[index].elementType)
        }
      })
  }
}

enum RecurrentKind {
  case simple, gru, lstm

  /// How many blocks of hidden units the weights hold: z, r, h of a GRU; i, o, f, c of an LSTM.
  var gates: Int { self == .simple ? 1 : self == .gru ? 3 : 4 }
  /// The functions of one direction.
  var activations: [String] {
    switch self {
    case .simple: ["Tanh"]
    case .gru: ["Sigmoid", "Tanh"]
    case .lstm: ["Sigmoid", "Tanh", "Tanh"]
    }
  }
}

/// A recurrent node with everything about it checked.
struct RecurrentLayer {
  let kind: RecurrentKind
  let directions: Int
  let hidden: Int
  let inputSize: Int
  let steps: Dimension
  let batch: Dimension
  let isBatchFirst: Bool
  private let startsBackwards: Bool
  private let activations: [RecurrentActivation]
  let limit: Double

  init(_ context: NodeContext, _ kind: RecurrentKind) throws(GraphError) {
    self.kind = kind
    let node = context.node
    let input = try context.floatingPoint(0)
    guard input.shape.count == 3 else { throw context.wrongShape(0, expected: "three axes") }
    isBatchFirst = try context.flag("layout")
    (steps, batch) =
      isBatchFirst
      ? (input.shape[1], input.shape[0]) : (input.shape[0], input.shape[1])
    let direction = node.string("direction", default: "forward")
    guard ["forward", "reverse", "bidirectional"].contains(direction) else {
      throw context.wrongAttribute(
        "direction", "\"\(direction)\"", expected: "forward, reverse or bidirectional")
    }
    directions = direction == "bidirectional" ? 2 : 1
    startsBackwards = direction == "reverse"
    let recurrence = try context.sameElements(2).shape
    guard let hidden = recurrence.last?.size, recurrence.count == 3,
      node.int("hidden_size", default: hidden) == hidden
    else { throw context.wrongShape(2, expected: "[directions, gates × hidden, hidden]") }
    self.hidden = hidden
    let rows = try context.product(hidden, kind.gates)
    guard let inputSize = try context.sameElements(1).shape.last?.size,
      !input.shape[2].contradicts(.fixed(inputSize))
    else { throw context.incompatible(0, 1, expected: "\(input.shape[2]) columns of weights") }
    self.inputSize = inputSize
    let (d, h) = (Dimension.fixed(directions), Dimension.fixed(hidden))
    let state = isBatchFirst ? [batch, d, h] : [d, batch, h]
    let expected: [(index: Int, shape: [Dimension])] = [
      (1, [d, .fixed(rows), .fixed(inputSize)]), (2, [d, .fixed(rows), h]),
      (3, [d, .fixed(try context.product(rows, 2))]), (4, [batch]), (5, state), (6, state),
      (7, [d, .fixed(try context.product(hidden, 3))]),
    ]
    for (index, shape) in expected {
      guard let found = context.optionalType(index) else { continue }
      _ =
        index == 4
        ? try context.type(4, in: [.int32], expected: "int32") : try context.sameElements(index)
      guard found.shape.count == shape.count,
        zip(found.shape, shape).allSatisfy({ !$0.contradicts($1) })
      else { throw context.wrongShape(index, expected: "\(shape)") }
    }
    if let size = steps.size, let lengths = context.optionalTensor(4)?.integers() {
      guard lengths.allSatisfy({ (0...size).contains($0) }) else {
        throw context.wrongShape(4, expected: "lengths in 0...\(size), found \(lengths)")
      }
    }
    limit = Double(node.float("clip", default: .infinity))
    activations = try Self.activations(context, kind, directions)
  }

  private static func activations(
    _ context: NodeContext, _ kind: RecurrentKind, _ directions: Int
  ) throws(GraphError) -> [RecurrentActivation] {
    let defaults = (0..<directions).flatMap { _ in kind.activations }
    var names = defaults
    if case .strings(let stated)? = context.node.attributes["activations"], !stated.isEmpty {
      names = stated.map { String(decoding: $0, as: UTF8.self) }
    }
    guard names.count == defaults.count else {
      throw context.wrongAttribute("activations", names, expected: "\(defaults.count) names")
    }
    var (alphas, betas) = (
      context.node.floats("activation_alpha") ?? [], context.node.floats("activation_beta") ?? []
    )
    var result: [RecurrentActivation] = []
    for name in names {
      // Only the functions that have a parameter take one from the list.
      let kind = name.lowercased()
      guard let standard = RecurrentActivation.standards[kind] else {
        throw context.wrongAttribute("activations", names, expected: "names of ONNX's functions")
      }
      let alpha = standard.alpha.map { alphas.isEmpty ? $0 : Double(alphas.removeFirst()) }
      let beta = standard.beta.map { betas.isEmpty ? $0 : Double(betas.removeFirst()) }
      result.append(RecurrentActivation(kind, alpha: alpha ?? 1, beta: beta ?? 0))
    }
    return result
  }

  /// The functions of a direction.
  func activations(of direction: Int) -> [RecurrentActivation] {
    let count = kind.activations.count
    return Array(activations[direction * count..<(direction + 1) * count])
  }

  /// True for a direction that starts at the end of the sequences.
  func isBackwards(_ direction: Int) -> Bool { startsBackwards || direction == 1 }

  /// Runs all directions: the outputs of all steps, the last ones, and of an LSTM the last cells.
  func run(_ context: NodeContext) throws(GraphError) -> [[Double]] {
    let x = try context.numbers(0)
    let (w, r) = (try context.numbers(1), try context.numbers(2))
    let b = context.optionalTensor(3)?.numbers()
    let peepholes = context.optionalTensor(7)?.numbers()
    let (steps, batch) = (self.steps.size ?? 0, self.batch.size ?? 0)
    let lengths = context.optionalTensor(4)?.integers() ?? [Int](repeating: steps, count: batch)
    let (first, firstCell) = (
      context.optionalTensor(5)?.numbers(), context.optionalTensor(6)?.numbers()
    )
    let isLinearFirst = context.node.int("linear_before_reset", default: 0) != 0
    let isCoupled = context.node.int("input_forget", default: 0) != 0
    let rows = kind.gates * hidden
    var all = [Double](repeating: 0, count: steps * directions * batch * hidden)
    var last = [Double](repeating: 0, count: directions * batch * hidden)
    var lastCell = last
    for d in 0..<directions {
      let functions = activations(of: d).map(\.function)
      let isBackwards = isBackwards(d)
      for n in 0..<batch {
        let stateStart = (isBatchFirst ? n * directions + d : d * batch + n) * hidden
        var state =
          first.map { Array($0[stateStart..<stateStart + hidden]) }
          ?? [Double](repeating: 0, count: hidden)
        var cell =
          firstCell.map { Array($0[stateStart..<stateStart + hidden]) }
          ?? [Double](repeating: 0, count: hidden)
        for step in 0..<lengths[n] {
          let t = isBackwards ? lengths[n] - 1 - step : step
          let xStart = (isBatchFirst ? n * steps + t : t * batch + n) * inputSize
          var fromInput = [Double](repeating: 0, count: rows)
          var fromState = fromInput
          for row in 0..<rows {
            var sum = b?[d * 2 * rows + row] ?? 0
            let line = (d * rows + row) * inputSize
            for k in 0..<inputSize { sum += w[line + k] * x[xStart + k] }
            fromInput[row] = sum
            sum = b?[d * 2 * rows + rows + row] ?? 0
            let stateLine = (d * rows + row) * hidden
            for k in 0..<hidden { sum += r[stateLine + k] * state[k] }
            fromState[row] = sum
          }
          switch kind {
          case .simple:
            for k in 0..<hidden { state[k] = functions[0](clipped(fromInput[k] + fromState[k])) }
          case .gru:
            gru(&state, fromInput, fromState, functions, isLinearFirst) { row, gated in
              let stateLine = (d * rows + row) * hidden
              return (0..<hidden).reduce(b?[d * 2 * rows + rows + row] ?? 0) {
                $0 + r[stateLine + $1] * gated[$1]
              }
            }
          case .lstm:
            let peephole = peepholes.map { Array($0[d * 3 * hidden..<(d + 1) * 3 * hidden]) }
            lstm(&state, &cell, fromInput, fromState, functions, peephole, isCoupled)
          }
          let place =
            isBatchFirst
            ? ((n * steps + t) * directions + d) * hidden
            : ((t * directions + d) * batch + n) * hidden
          all.replaceSubrange(place..<place + hidden, with: state)
        }
        last.replaceSubrange(stateStart..<stateStart + hidden, with: state)
        lastCell.replaceSubrange(stateStart..<stateStart + hidden, with: cell)
      }
    }
    return kind == .lstm ? [all, last, lastCell] : [all, last]
  }

  private func clipped(_ x: Double) -> Double { min(max(x, -limit), limit) }

  private func gru(
    _ state: inout [Double], _ input: [Double], _ recurrence: [Double],
    _ f: [@Sendable (Double) -> Double], _ isLinearFirst: Bool,
    _ product: (_ row: Int, _ gated: [Double]) -> Double
  ) {
    let update = (0..<hidden).map { f[0](clipped(input[$0] + recurrence[$0])) }
    let reset = (hidden..<2 * hidden).map { f[0](clipped(input[$0] + recurrence[$0])) }
    let gated = (0..<hidden).map { reset[$0] * state[$0] }
    state = (0..<hidden).map { k in
      let row = 2 * hidden + k
      let term = isLinearFirst ? reset[k] * recurrence[row] : product(row, gated)
      let candidate = f[1](clipped(input[row] + term))
      return (1 - update[k]) * candidate + update[k] * state[k]
    }
  }

  private func lstm(
    _ state: inout [Double], _ cell: inout [Double], _ input: [Double], _ recurrence: [Double],
    _ f: [@Sendable (Double) -> Double], _ peephole: [Double]?, _ isCoupled: Bool
  ) {
    for k in 0..<hidden {
      func gate(_ block: Int, _ peeped: Double) -> Double {
        clipped(input[block * hidden + k] + recurrence[block * hidden + k] + peeped)
      }
      let enter = f[0](gate(0, (peephole?[k] ?? 0) * cell[k]))
      let keep = isCoupled ? 1 - enter : f[0](gate(2, (peephole?[2 * hidden + k] ?? 0) * cell[k]))
      cell[k] = keep * cell[k] + enter * f[1](gate(3, 0))
      let leave = f[0](gate(1, (peephole?[hidden + k] ?? 0) * cell[k]))
      state[k] = leave * f[2](cell[k])
    }
  }
}

/// A function of a recurrent layer.
struct RecurrentActivation: Sendable {
  let name: String
  let alpha: Double
  let beta: Double
  let function: @Sendable (Double) -> Double

  /// The parameters that functions have, by their names in small letters, with their usual values.
  static let standards: [String: (alpha: Double?, beta: Double?)] = [
    "tanh": (nil, nil), "sigmoid": (nil, nil), "relu": (nil, nil), "softsign": (nil, nil),
    "softplus": (nil, nil), "affine": (1, 0), "leakyrelu": (0.01, nil),
    "thresholdedrelu": (1, nil), "scaledtanh": (1, 1), "hardsigmoid": (0.2, 0.5), "elu": (1, nil),
  ]

  init(_ name: String, alpha: Double, beta: Double) {
    self.name = name
    self.alpha = alpha
    self.beta = beta
    switch name {
    case "sigmoid": function = { 1 / (1 + exp(-$0)) }
    case "relu": function = { max($0, 0) }
    case "softsign": function = { $0 / (1 + abs($0)) }
    case "softplus": function = { log1p(exp($0)) }
    case "affine": function = { alpha * $0 + beta }
    case "leakyrelu": function = { $0 < 0 ? alpha * $0 : $0 }
    case "thresholdedrelu": function = { $0 > alpha ? $0 : 0 }
    case "scaledtanh": function = { alpha * tanh(beta * $0) }
    case "hardsigmoid": function = { max(0, min(1, alpha * $0 + beta)) }
    case "elu": function = { $0 < 0 ? alpha * expm1($0) : $0 }
    default: function = { tanh($0) }
    }
  }
}
