internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Attention and the rotation of its inputs by position.
  static let attentionFamily: [OperatorDefinition] = [attention, rotaryEmbedding]

  /// Values averaged with the softmax of the products of queries and keys as weights; several heads,
  /// which may share keys and values.
  ///
  /// Source: Vaswani et al., *Attention Is All You Need*, 2017, section 3.2; shared heads: Ainslie et
  /// al., *GQA*, 2023.
  private static let attention = OperatorDefinition(
    "Attention", inputs: 3...7, outputs: 1...4,
    attributes: [
      .int("is_causal"), .int("kv_num_heads"), .int("q_num_heads"), .int("qk_matmul_output_mode"),
      .float("scale"), .float("softcap"), .int("softmax_precision"), .int("left_window_size"),
      .int("right_window_size"),
    ],
    infer: { (context) throws(GraphError) in
      let types = [
        try context.floatingPoint(0), try context.floatingPoint(1), try context.floatingPoint(2),
      ]
      let shapes =
        try AttentionShape(ifKnown: context)?.outputs ?? AttentionShape.outputs(ofUnknown: types)
      return zip([0, 1, 2, 0], shapes).map { ValueType(types[$0].elementType, $1) }
    },
    evaluate: evaluateAttention)

}

/// The sizes of an Attention node.
struct AttentionShape {
  /// True for `[batch, steps, heads · size]`, false for `[batch, heads, steps, size]`.
  let isFlat: Bool
  let queryHeads: Int
  let keyHeads: Int
  let batch: Dimension
  let queries: Dimension
  let keys: Dimension
  let past: Dimension
  let total: Dimension
  let keySize: Int
  let valueSize: Int

  init(_ context: NodeContext) throws(GraphError) {
    guard let shape = try AttentionShape(ifKnown: context) else {
      throw context.wrongShape(0, expected: "fixed numbers of heads and channels")
    }
    self = shape
  }

  /// Nil as long as the numbers of heads or channels follow from sizes that are not known yet.
  init?(ifKnown context: NodeContext) throws(GraphError) {
    let query = try context.floatingPoint(0).shape
    let key = try context.floatingPoint(1).shape
    let value = try context.floatingPoint(2).shape
    isFlat = query.count == 3
    guard query.count == 3 || query.count == 4, key.count == query.count, value.count == query.count
    else { throw context.incompatible(0, 1, expected: "three or four axes") }
    let statedQueries = context.node.int("q_num_heads", default: 0)
    let statedKeys = context.node.int("kv_num_heads", default: 0)
    guard let last = query.last?.size, let lastKey = key.last?.size,
      let lastValue = value.last?.size,
      let queryHeads = isFlat ? statedQueries : query[1].size,
      let keyHeads = isFlat ? statedKeys : key[1].size
    else { return nil }
    guard queryHeads > 0, keyHeads > 0, queryHeads % keyHeads == 0,
      !isFlat || (last % queryHeads == 0 && lastKey % keyHeads == 0 && lastValue % keyHeads == 0)
    else {
      throw context.wrongAttribute(
        "q_num_heads", queryHeads, expected: "a multiple of the \(keyHeads) heads of the keys")
    }
    self.queryHeads = queryHeads
    self.keyHeads = keyHeads
    keySize = isFlat ? lastKey / keyHeads : lastKey
    valueSize = isFlat ? lastValue / keyHeads : lastValue
    (batch, queries, keys) = (query[0], query[isFlat ? 1 : 2], key[isFlat ? 1 : 2])
    guard keySize == (isFlat ? last / queryHeads : last), !key[0].contradicts(batch),
      !value[0].contradicts(batch), !value[isFlat ? 1 : 2].contradicts(keys),
      isFlat || !value[1].contradicts(.fixed(keyHeads))
    else {
      throw context.incompatible(0, 1, expected: "queries, keys and values that fit together")
    }
    past = context.optionalType(4)?.shape.dropFirst(2).first ?? 0
    for (index, size) in [(4, keySize), (5, valueSize)] {
      guard let shape = context.optionalType(index)?.shape else { continue }
      let expected = [batch, .fixed(keyHeads), past, .fixed(size)]
      guard shape.count == 4, zip(shape, expected).allSatisfy({ !$0.contradicts($1) }) else {
        throw context.wrongShape(index, expected: "\(expected)")
      }
    }
    if let old = past.size, let new = keys.size {
      total = .fixed(try context.sum(old, new))
    } else {
      total = .symbolic("")
    }
    if let mask = context.optionalType(3)?.shape {
      let full = [batch, .fixed(queryHeads), queries, total]
      let fits =
        mask.count <= 4
        && zip(mask.reversed(), full.reversed()).enumerated().allSatisfy { axis, pair in
          pair.0 == 1 || !pair.0.contradicts(pair.1)
            || (axis == 0 && (pair.0.size ?? 0) < (pair.1.size ?? .max))
        }
      guard fits else { throw context.wrongShape(3, expected: "a shape that spreads to \(full)") }
    }
    if context.optionalType(6) != nil {
      _ = try context.indices(6)
      try context.vector(6, count: batch)
    }
  }

  /// Of the outputs, in their order.
  var outputs: [[Dimension]] { [output, presentKey, presentValue, products] }

  /// The same as far as it is known without the numbers of heads or channels.
  ///
  /// - Parameter types: Of queries, keys and values.
  static func outputs(ofUnknown types: [ValueType]) -> [[Dimension]] {
    let (query, key, value) = (types[0].shape, types[1].shape, types[2].shape)
    let any = Dimension.symbolic("")
    let isFlat = query.count == 3
    let heads = isFlat ? any : key[1]
    return [
      query.dropLast() + [isFlat ? any : value[3]], [query[0], heads, any, isFlat ? any : key[3]],
      [query[0], heads, any, isFlat ? any : value[3]],
      [query[0], isFlat ? any : query[1], isFlat ? query[1] : query[2], any],
    ]
  }

  private var output: [Dimension] {
    isFlat
      ? [batch, queries, .fixed(queryHeads * valueSize)]
      : [batch, .fixed(queryHeads), queries, .fixed(valueSize)]
  }
  private var presentKey: [Dimension] { [batch, .fixed(keyHeads), total, .fixed(keySize)] }
  private var presentValue: [Dimension] { [batch, .fixed(keyHeads), total, .fixed(valueSize)] }
  private var products: [Dimension] { [batch, .fixed(queryHeads), queries, total] }
}

@Sendable private func evaluateAttention(
  _ context: NodeContext, _ types: [ValueType]
) throws(GraphError) -> [Tensor] {
  let shape = try AttentionShape(context)
  let node = context.node
  /// A tensor as `[batch, heads, steps, size]`.
  func heads(_ index: Int, _ count: Int) throws(GraphError) -> Tensor {
    let tensor = try context.tensor(index)
    guard shape.isFlat else { return tensor }
    let (batch, steps) = (tensor.shape[0], tensor.shape[1])
    return tensor.reshaped([batch, steps, count, tensor.shape[2] / count]).transposed([0, 2, 1, 3])
  }
  /// What was there before, and the new steps behind it.
  func present(_ past: Int, _ new: Tensor, _ sizes: [Int]) -> Tensor {
    guard let old = context.optionalTensor(past) else { return new }
    let (oldRun, newRun) = (old.shape[2] * old.shape[3], new.shape[2] * new.shape[3])
    var source: [Int] = []
    for head in 0..<sizes[0] * sizes[1] {
      source += (0..<oldRun).map { head * oldRun + $0 }
      source += (0..<newRun).map { old.count + head * newRun + $0 }
    }
    let both = Tensor(
      bytes: old.withUnsafeBytes { Array($0) } + new.withUnsafeBytes { Array($0) },
      shape: [old.count + new.count], new.elementType)
    return both.gathered(source, shape: sizes)
  }
  let keyTensor = present(4, try heads(1, shape.keyHeads), types[1].sizes ?? [])
  let valueTensor = present(5, try heads(2, shape.keyHeads), types[2].sizes ?? [])
  let (q, k, v) = (
    try heads(0, shape.queryHeads).numbers(), keyTensor.numbers(), valueTensor.numbers()
  )
  let (batch, queries) = (shape.batch.size ?? 0, shape.queries.size ?? 0)
  let (total, past) = (shape.total.size ?? 0, shape.past.size ?? 0)
  let standard = 1 / Double(shape.keySize).squareRoot()
  let scale = Double(node.float("scale", default: Float(standard)))
  let cap = Double(node.float("softcap", default: 0))
  let mode = node.int("qk_matmul_output_mode", default: 0)
  let isCausal = try context.flag("is_causal")
  let windows = (
    node.int("left_window_size", default: -1), node.int("right_window_size", default: -1)
  )
  let valid = context.optionalTensor(6)?.integers()
  let mask = try context.attentionMask([batch, shape.queryHeads, queries, total])
  let sharing = shape.queryHeads / shape.keyHeads
  var y = [Double](repeating: 0, count: batch * shape.queryHeads * queries * shape.valueSize)
  var products = [Double](repeating: 0, count: batch * shape.queryHeads * queries * total)
  for n in 0..<batch {
    // How many keys lie before the first query.
    let offset = context.optionalTensor(4) != nil ? past : valid.map { $0[n] - queries } ?? 0
    for head in 0..<shape.queryHeads {
      let own = (n * shape.queryHeads + head) * queries
      let keyStart = (n * shape.keyHeads + head / sharing) * total
      for query in 0..<queries {
        let line = (own + query) * total
        var scores = [Double](repeating: 0, count: total)
        for key in 0..<total {
          let (left, right) = ((own + query) * shape.keySize, (keyStart + key) * shape.keySize)
          for channel in 0..<shape.keySize { scores[key] += q[left + channel] * k[right + channel] }
          scores[key] *= scale
        }
        if mode == 0 { products.replaceSubrange(line..<line + total, with: scores) }
        if cap > 0 { scores = scores.map { cap * tanh($0 / cap) } }
        if mode == 1 { products.replaceSubrange(line..<line + total, with: scores) }
        for key in 0..<total {
          let distance = query + offset - key
          var isHidden = isCausal && distance < 0
          if let valid, key >= valid[n] { isHidden = true }
          if windows.0 >= 0, distance > windows.0 { isHidden = true }
          if windows.1 >= 0, -distance > windows.1 { isHidden = true }
          scores[key] += isHidden ? -Double.infinity : (mask?[line + key] ?? 0)
        }
        if mode == 2 { products.replaceSubrange(line..<line + total, with: scores) }
        let largest = scores.reduce(-.infinity, max)
        // A query that may look at nothing gets zeros.
        var weights = scores.map { largest.isFinite ? exp($0 - largest) : 0 }
        let sum = weights.reduce(0, +)
        weights = weights.map { sum > 0 ? $0 / sum : 0 }
        if mode == 3 { products.replaceSubrange(line..<line + total, with: weights) }
        for key in 0..<total {
          let (from, to) = ((keyStart + key) * shape.valueSize, (own + query) * shape.valueSize)
          for channel in 0..<shape.valueSize { y[to + channel] += weights[key] * v[from + channel] }
        }
      }
    }
  }
  var output = Tensor(
    rounding: y, shape: [batch, shape.queryHeads, queries, shape.valueSize], types[0].elementType)
  if shape.isFlat { output = output.transposed([0, 2, 1, 3]).reshaped(types[0].sizes ?? []) }
  return [
    output, keyTensor, valueTensor,
    Tensor(rounding: products, shape: types[3].sizes ?? [], types[3].elementType),
  ]
}

extension NodeContext {
  /// The mask as numbers to add, spread to `[batch, heads, queries, keys]`; nil without one.
  fileprivate func attentionMask(_ shape: [Int]) throws(GraphError) -> [Double]? {
    guard let mask = optionalTensor(3) else { return nil }
    let isBool = mask.elementType == .bool
    let numbers = mask.numbers().map { isBool ? ($0 != 0 ? 0 : -.infinity) : $0 }
    // A mask shorter than the keys hides those that it does not reach.
    let length = mask.shape.last ?? 1
    let reach = length == 1 ? shape[3] : length
    var near = shape
    near[3] = min(reach, shape[3])
    let source = Broadcast(mask.shape, to: near).source
    return (0..<shape.reduce(1, *)).map { place in
      let (row, key) = (place / shape[3], place % shape[3])
      return key < near[3] ? numbers[source[row * near[3] + key]] : -.infinity
    }
  }
}
