internal import BillhookTensor

extension OperatorDefinition {
  /// Sums of products of elements whose axes have the same letter, as NumPy's `einsum`.
  static let einsum = OperatorDefinition(
    "Einsum", inputs: 1...Int.max, attributes: [.string("equation", required: true)],
    infer: { (context) throws(GraphError) in
      let input = try context.numeric(0)
      for index in context.inputs.indices { _ = try context.sameElements(index) }
      let equation = try EinsumEquation(context)
      return [
        ValueType(input.elementType, equation.output.map { equation.sizes[$0] ?? .symbolic("") })
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = types[0].sizes ?? []
      let terms = try EinsumTerms(context)
      var operands: [[Double]] = []
      for index in context.inputs.indices { operands.append(try context.numbers(index)) }
      var y = [Double](repeating: 0, count: shape.reduce(1, *))
      terms.forEachProduct { place, offsets in
        var product = 1.0
        for (operand, offset) in zip(operands, offsets) { product *= operand[offset] }
        y[place] += product
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })
}

/// The products that an Einsum adds up.
struct EinsumTerms {
  private let extents: [Int]
  private let inner: Int
  private let count: Int
  /// For each operand how far one step of each letter goes; a letter that it lacks stands still.
  private let steps: [[Int]]

  init(_ context: NodeContext) throws(GraphError) {
    let equation = try EinsumEquation(context)
    let summed = equation.sizes.keys.filter { !equation.output.contains($0) }.sorted()
    let letters = equation.output + summed
    let extents = letters.map { equation.sizes[$0]?.size ?? 1 }
    count = Tensor.elementCount(of: extents, elementType: .uint8) ?? .max
    guard count <= 1 << 32 else {
      throw .valueTooLarge(
        value: context.node.outputs.first ?? "", shape: extents, maximumByteCount: 1 << 32)
    }
    var steps: [[Int]] = []
    for (index, axes) in equation.inputs.enumerated() {
      let shape = try context.sizes(index)
      let strides = rowMajorStrides(shape)
      steps.append(
        letters.map { letter in
          axes.indices.reduce(0) { $0 + (axes[$1] == letter && shape[$1] > 1 ? strides[$1] : 0) }
        })
    }
    self.extents = extents
    self.steps = steps
    inner = extents[equation.output.count...].reduce(1, *)
  }

  /// Calls `body` with each product: the flat index of what it is added to, and those of its factors.
  func forEachProduct(_ body: (_ result: Int, _ factors: [Int]) -> Void) {
    var position = extents.map { _ in 0 }
    var offsets = steps.map { _ in 0 }
    for step in 0..<count {
      body(step / inner, offsets)
      var axis = extents.count - 1
      while axis >= 0 {
        position[axis] += 1
        let isOver = position[axis] == extents[axis]
        for index in steps.indices {
          offsets[index] += steps[index][axis] * (isOver ? 1 - extents[axis] : 1)
        }
        if !isOver { break }
        position[axis] = 0
        axis -= 1
      }
    }
  }
}

/// A parsed equation of an Einsum; the axes of an ellipsis have letters of their own.
struct EinsumEquation {
  var inputs: [[String]] = []
  var output: [String] = []
  var sizes: [String: Dimension] = [:]

  init(_ context: NodeContext) throws(GraphError) {
    let text = context.node.string("equation", default: "").filter { $0 != " " }
    func wrong(_ expected: String) -> GraphError {
      context.wrongAttribute("equation", "\"\(text)\"", expected: expected)
    }
    let sides = text.split(separator: "-", omittingEmptySubsequences: false)
    let terms = (sides.first ?? "").split(separator: ",", omittingEmptySubsequences: false)
    guard terms.count == context.inputs.count, sides.count <= 2,
      sides.count == 1 || sides[1].hasPrefix(">")
    else { throw wrong("\(context.inputs.count) terms") }
    var ellipsisRank = 0
    for (index, term) in terms.enumerated() {
      let shape = try context.type(index).shape
      let letters = Self.letters(term)
      let free = shape.count - letters.count { $0 != "…" }
      let hasEllipsis = letters.contains("…")
      guard hasEllipsis ? free >= 0 : free == 0 else { throw wrong("a letter for each axis") }
      ellipsisRank = max(ellipsisRank, hasEllipsis ? free : 0)
      // Counted from the last axis, so that operands of different rank meet at the end.
      let axes = letters.flatMap { letter in
        letter == "…" ? (0..<free).map { "…\(100 - free + $0)" } : [letter]
      }
      for (letter, size) in zip(axes, shape) {
        let known = sizes[letter] ?? 1
        guard known == 1 || size == 1 || !known.contradicts(size) else {
          throw context.wrongShape(index, expected: "size \(known) on the axis \"\(letter)\"")
        }
        sizes[letter] = known == 1 ? size : size == 1 ? known : known.merged(with: size)
      }
      inputs.append(axes)
    }
    let ellipsis = (0..<ellipsisRank).map { "…\(100 - ellipsisRank + $0)" }
    if sides.count == 2 {
      output = Self.letters(sides[1].dropFirst()).flatMap { $0 == "…" ? ellipsis : [$0] }
      guard output.allSatisfy({ sizes[$0] != nil }), Set(output).count == output.count else {
        throw wrong("an output of different letters of the inputs")
      }
    } else {
      // Without an output: the letters that occur once, in alphabetical order.
      let all = inputs.flatMap { $0 }.filter { !$0.hasPrefix("…") }
      output = ellipsis + Set(all).filter { letter in all.count { $0 == letter } == 1 }.sorted()
    }
  }

  private static func letters(_ term: Substring) -> [String] {
    var result: [String] = []
    for character in term {
      if character != "." {
        result.append(String(character))
      } else if result.last != "…" {
        result.append("…")
      }
    }
    return result
  }
}
