internal import BillhookTensor
internal import OrderedCollections

extension GradientRule {
  static let attentionFamily: [String: GradientRule] = ["Attention": attention]

  /// Stands for minus infinity where a row of nothing else must not become NaN.
  private static let hidden = -1e30

  private static let attention = composed { (context, tape, inputs) throws(GraphError) in
    let shape = try AttentionShape(context.forward)
    let node = context.node
    var (q, k, v) = (inputs[0], inputs[1], inputs[2])
    if shape.isFlat {
      q = try heads(&tape, q, shape.queryHeads)
      k = try heads(&tape, k, shape.keyHeads)
      v = try heads(&tape, v, shape.keyHeads)
    }
    func optional(_ index: Int) -> Tape.Value? { index < inputs.count ? inputs[index] : nil }
    if let past = optional(4) { k = try tape.apply("Concat", [past, k], ["axis": .int(2)]) }
    if let past = optional(5) { v = try tape.apply("Concat", [past, v], ["axis": .int(2)]) }
    let present = [k, v].compactMap { $0 }
    if shape.queryHeads != shape.keyHeads {
      let sharing = shape.queryHeads / shape.keyHeads
      let owners = tape.integers((0..<shape.queryHeads).map { $0 / sharing })
      k = try tape.apply("Gather", [k, owners], ["axis": .int(1)])
      v = try tape.apply("Gather", [v, owners], ["axis": .int(1)])
    }
    let standard = 1 / Double(shape.keySize).squareRoot()
    let scale = Double(node.float("scale", default: Float(standard)))
    let turned = try tape.apply("Transpose", [k], ["perm": .ints([0, 1, 3, 2])])
    var scores = try tape.apply("MatMul", [q, turned])
    scores = try tape.apply("Mul", [scores, tape.scalar(scale)])
    var products = [scores]
    let cap = Double(node.float("softcap", default: 0))
    if cap > 0 {
      let bound = tape.scalar(cap)
      let bent = try tape.apply("Tanh", [try tape.apply("Div", [scores, bound])])
      scores = try tape.apply("Mul", [bent, bound])
    }
    products.append(scores)
    if let mask = optional(3) {
      scores = try tape.apply("Add", [scores, try bias(&tape, mask, tape[scores].shape)])
    }
    scores = try tape.apply("Add", [scores, tape.add(try reach(context, shape))])
    products.append(scores)
    var weights = try tape.apply("Softmax", [scores], ["axis": .int(-1)])
    // A query that may look at nothing gets zeros.
    let rows = tape[scores].shape
    let numbers = tape[scores].numbers()
    let visible = stride(from: 0, to: numbers.count, by: max(rows[3], 1)).map { start in
      numbers[start..<start + rows[3]].contains { $0 > hidden / 2 } ? 1.0 : 0
    }
    weights = try tape.apply(
      "Mul", [weights, tape.add(Tensor(visible, shape: Array(rows.dropLast()) + [1]))])
    products.append(weights)
    var y = try tape.apply("MatMul", [weights, v])
    if shape.isFlat {
      y = try tape.apply("Transpose", [y], ["perm": .ints([0, 2, 1, 3])])
      y = try tape.apply("Reshape", [y, tape.integers(context.outputShape)])
    }
    let mode = node.int("qk_matmul_output_mode", default: 0)
    return [y] + present + [products[min(max(mode, 0), 3)]]
  }

  /// `[batch, steps, heads · size]` as `[batch, heads, steps, size]`.
  private static func heads(
    _ tape: inout Tape, _ value: Tape.Value?, _ count: Int
  ) throws(GraphError) -> Tape.Value {
    let split = try tape.apply("Reshape", [value, tape.integers([0, 0, count, -1])])
    return try tape.apply("Transpose", [split], ["perm": .ints([0, 2, 1, 3])])
  }

  /// A mask as numbers to add to scores of a shape.
  private static func bias(
    _ tape: inout Tape, _ mask: Tape.Value, _ scores: [Int]
  ) throws(GraphError) -> Tape.Value {
    var mask = mask
    let tensor = tape[mask]
    if tensor.elementType == .bool {
      mask = tape.add(Tensor(tensor.numbers().map { $0 != 0 ? 0 : hidden }, shape: tensor.shape))
    }
    let length = tensor.shape.last ?? 1
    if length != 1, length < scores[3] {
      // A mask shorter than the keys hides those that it does not reach.
      let none = [Int](repeating: 0, count: tensor.rank)
      let pads = tape.integers(none + none.dropLast() + [scores[3] - length])
      mask = try tape.apply("Pad", [mask, pads, tape.scalar(hidden)])
    }
    return try tape.apply("Max", [mask, tape.scalar(hidden)])
  }

  /// What keeps queries from keys before and behind them: zeros, and ``hidden``.
  private static func reach(
    _ context: GradientContext, _ shape: AttentionShape
  ) throws(GraphError) -> Tensor {
    let node = context.node
    let isCausal = try context.forward.flag("is_causal")
    let left = node.int("left_window_size", default: -1)
    let right = node.int("right_window_size", default: -1)
    let valid = context.forward.optionalTensor(6)?.integers()
    let hasPast = context.forward.optionalTensor(4) != nil
    let (batch, queries) = (shape.batch.size ?? 0, shape.queries.size ?? 0)
    let (total, past) = (shape.total.size ?? 0, shape.past.size ?? 0)
    var numbers: [Double] = []
    for n in 0..<batch {
      let offset = hasPast ? past : valid.map { $0[n] - queries } ?? 0
      for query in 0..<queries {
        for key in 0..<total {
          let distance = query + offset - key
          let isHidden =
            (isCausal && distance < 0) || (valid.map { key >= $0[n] } ?? false)
            || (left >= 0 && distance > left) || (right >= 0 && -distance > right)
          numbers.append(isHidden ? hidden : 0)
        }
      }
    }
    return Tensor(numbers, shape: [batch, 1, queries, total])
  }
}
