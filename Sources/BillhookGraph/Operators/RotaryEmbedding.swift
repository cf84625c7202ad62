internal import BillhookTensor

extension OperatorDefinition {
  /// Pairs of channels of each head turned by angles that grow with the position.
  ///
  /// Source: Su et al., *RoFormer: Enhanced Transformer with Rotary Position Embedding*, 2021,
  /// section 3.2.
  static let rotaryEmbedding = OperatorDefinition(
    "RotaryEmbedding", inputs: 3...4,
    attributes: [.int("interleaved"), .int("num_heads"), .int("rotary_embedding_dim")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      for index in 1...2 { _ = try context.sameElements(index) }
      guard input.shape.count == 4 || input.shape.count == 3 else {
        throw context.wrongShape(0, expected: "three or four axes")
      }
      guard input.sizes != nil, let cosines = try context.type(1).sizes,
        try context.type(2).sizes == cosines
      else { return [input] }
      let layout = try RotaryLayout(context, input.sizes ?? [])
      let expected =
        context.optionalType(3) == nil
        ? [layout.batch, layout.steps, layout.rotated / 2]
        : [cosines.first ?? 0, layout.rotated / 2]
      guard cosines == expected else { throw context.wrongShape(1, expected: "\(expected)") }
      if let positions = context.optionalTensor(3) {
        guard positions.count == layout.batch * layout.steps,
          try context.integers(3).allSatisfy({ (0..<expected[0]).contains($0) })
        else { throw context.wrongShape(3, expected: "positions in 0..<\(expected[0])") }
      }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      var x = try context.numbers(0)
      let layout = try RotaryLayout(context, try context.sizes(0))
      let (cosines, sines) = (try context.numbers(1), try context.numbers(2))
      let positions = context.optionalTensor(3)?.integers()
      let half = layout.rotated / 2
      let isInterleaved = try context.flag("interleaved")
      for n in 0..<layout.batch {
        for step in 0..<layout.steps {
          let row = n * layout.steps + step
          let angles = (positions?[row] ?? row) * half
          for head in 0..<layout.heads {
            let start = layout.start(n, head, step)
            for k in 0..<half {
              let first = start + (isInterleaved ? 2 * k : k)
              let second = isInterleaved ? first + 1 : first + half
              let (real, imaginary) = (x[first], x[second])
              let (cosine, sine) = (cosines[angles + k], sines[angles + k])
              x[first] = cosine * real - sine * imaginary
              x[second] = sine * real + cosine * imaginary
            }
          }
        }
      }
      return [Tensor(rounding: x, shape: types[0].sizes ?? [], types[0].elementType)]
    })
}

/// Where the heads of a RotaryEmbedding's input lie.
struct RotaryLayout {
  let batch: Int
  let heads: Int
  let steps: Int
  let size: Int
  /// How many channels of each head are turned.
  let rotated: Int
  private let headsFirst: Bool

  init(_ context: NodeContext, _ shape: [Int]) throws(GraphError) {
    headsFirst = shape.count == 4
    batch = shape[0]
    heads = headsFirst ? shape[1] : context.node.int("num_heads", default: 0)
    steps = headsFirst ? shape[2] : shape[1]
    guard heads > 0, headsFirst || shape[2] % heads == 0 else {
      throw context.wrongAttribute("num_heads", heads, expected: "a divisor of \(shape.last ?? 0)")
    }
    size = headsFirst ? shape[3] : shape[2] / heads
    let stated = context.node.int("rotary_embedding_dim", default: 0)
    rotated = stated == 0 ? size : stated
    guard rotated >= 0, rotated <= size, rotated % 2 == 0 else {
      throw context.wrongAttribute("rotary_embedding_dim", rotated, expected: "even, up to \(size)")
    }
  }

  func start(_ n: Int, _ head: Int, _ step: Int) -> Int {
    (headsFirst ? (n * heads + head) * steps + step : (n * steps + step) * heads + head) * size
  }
}
