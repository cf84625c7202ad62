internal import BillhookTensor

extension OperatorDefinition {
  /// `Y[M, N] = alpha · A'[M, K] · B'[K, N] + beta · C`, where `'` is an optional transposition.
  static let gemm = OperatorDefinition(
    "Gemm", inputs: 2...3,
    attributes: [
      AttributeDefinition("alpha", .float), AttributeDefinition("beta", .float),
      AttributeDefinition("transA", .int), AttributeDefinition("transB", .int),
    ],
    infer: { (context) throws(GraphError) in
      let a = try matrix(context, 0, transposed: try context.flag("transA"))
      let b = try matrix(context, 1, transposed: try context.flag("transB"))
      guard !a[1].contradicts(b[0]) else {
        throw context.incompatible(
          0, 1, expected: "\(a[1]) columns on the left to meet \(b[0]) rows on the right")
      }
      let shape = [a[0], b[1]]
      if context.optionalType(2) != nil {
        let bias = try context.sameElements(2).shape
        let fits =
          bias.count <= 2
          && zip(bias.reversed(), shape.reversed()).allSatisfy {
            $0 == .fixed(1) || !$0.contradicts($1)
          }
        guard fits else {
          throw context.wrongShape(2, expected: "a shape that spreads to \(shape)")
        }
      }
      return [ValueType(try context.type(0).elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let a = try context.numbers(0)
      let b = try context.numbers(1)
      let aShape = try context.tensor(0).shape
      let bShape = try context.tensor(1).shape
      let transA = try context.flag("transA")
      let transB = try context.flag("transB")
      let (rows, depth) = transA ? (aShape[1], aShape[0]) : (aShape[0], aShape[1])
      let columns = transB ? bShape[0] : bShape[1]
      let alpha = Double(context.node.float("alpha", default: 1))
      let beta = Double(context.node.float("beta", default: 1))
      let bias = context.optionalTensor(2)
      let c = bias?.numbers()
      let spread = Broadcast(bias?.shape ?? [], to: [rows, columns])
      var y = [Double](repeating: 0, count: rows * columns)
      for row in 0..<rows {
        for column in 0..<columns {
          var sum = 0.0
          for k in 0..<depth {
            sum +=
              a[transA ? k * rows + row : row * depth + k]
              * b[transB ? column * depth + k : k * columns + column]
          }
          let at = row * columns + column
          y[at] = alpha * sum
          if let c { y[at] += beta * c[spread.source[at]] }
        }
      }
      return [Tensor(rounding: y, shape: [rows, columns], types[0].elementType)]
    })

  /// NumPy's `matmul`: the last two axes are matrices, those before them broadcast.
  static let matMul = OperatorDefinition(
    "MatMul", inputs: 2...2, infer: inferMatMul, evaluate: evaluateMatMul)
}

private func matrix(
  _ context: NodeContext, _ index: Int, transposed: Bool
) throws(GraphError) -> [Dimension] {
  let type = index == 0 ? try context.floatingPoint(0) : try context.sameElements(index)
  guard type.shape.count == 2 else { throw context.wrongShape(index, expected: "a matrix") }
  return transposed ? type.shape.reversed() : type.shape
}

/// A vector on the left is a row, on the right a column; the axis added for it is dropped again.
private func matrices(_ left: [Dimension], _ right: [Dimension]) -> ([Dimension], [Dimension]) {
  (left.count == 1 ? [1] + left : left, right.count == 1 ? right + [1] : right)
}

@Sendable private func inferMatMul(_ context: NodeContext) throws(GraphError) -> [ValueType] {
  let left = try context.type(
    0, in: [.float32, .float16, .float64, .bfloat16, .int32, .int64, .uint32, .uint64],
    expected: "floating-point numbers or 32- or 64-bit integers")
  let right = try context.sameElements(1)
  for index in 0..<2 where try context.type(index).shape.isEmpty {
    throw context.wrongShape(index, expected: "at least one axis")
  }
  let (a, b) = matrices(left.shape, right.shape)
  guard !a[a.count - 1].contradicts(b[b.count - 2]) else {
    throw context.incompatible(
      0, 1,
      expected: "\(a[a.count - 1]) columns on the left to meet \(b[b.count - 2]) rows on the right")
  }
  guard var shape = broadcast(Array(a.dropLast(2)), Array(b.dropLast(2))) else {
    throw context.incompatible(0, 1, expected: "leading axes that are equal or 1")
  }
  if left.shape.count > 1 { shape.append(a[a.count - 2]) }
  if right.shape.count > 1 { shape.append(b[b.count - 1]) }
  return [ValueType(left.elementType, shape)]
}

@Sendable private func evaluateMatMul(
  _ context: NodeContext, _ types: [ValueType]
) throws(GraphError) -> [Tensor] {
  let (left, right) = (try context.tensor(0), try context.tensor(1))
  let (a, b) = matrices(left.shape.map { .fixed($0) }, right.shape.map { .fixed($0) })
  let (aShape, bShape) = (a.compactMap(\.size), b.compactMap(\.size))
  let (rows, depth, columns) = (aShape[a.count - 2], aShape[a.count - 1], bShape[b.count - 1])
  let batch = (broadcast(Array(a.dropLast(2)), Array(b.dropLast(2))) ?? []).compactMap(\.size)
  let aSource = Broadcast(Array(aShape.dropLast(2)), to: batch).source
  let bSource = Broadcast(Array(bShape.dropLast(2)), to: batch).source
  let outShape = types[0].sizes ?? []

  func product<Number>(
    _ x: [Number], _ y: [Number], zero: Number, add: (Number, Number, Number) -> Number
  ) -> [Number] {
    var result: [Number] = []
    for (xBatch, yBatch) in zip(aSource, bSource) {
      for row in 0..<rows {
        for column in 0..<columns {
          var sum = zero
          for k in 0..<depth {
            sum = add(
              sum, x[(xBatch * rows + row) * depth + k], y[(yBatch * depth + k) * columns + column])
          }
          result.append(sum)
        }
      }
    }
    return result
  }
  if let x = left.integers(), let y = right.integers() {
    let sums = product(x, y, zero: 0) { $0 &+ $1 &* $2 }
    return [Tensor(truncating: sums, shape: outShape, types[0].elementType)]
  }
  let sums = product(left.numbers(), right.numbers(), zero: 0.0) { $0 + $1 * $2 }
  return [Tensor(rounding: sums, shape: outShape, types[0].elementType)]
}
