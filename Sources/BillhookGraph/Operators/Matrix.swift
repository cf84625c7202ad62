internal import BillhookTensor

extension OperatorDefinition {
  /// Matrix products and determinants.
  static let matrixFamily: [OperatorDefinition] = [
    gemm, matMul, matMulInteger, qLinearMatMul, einsum, det,
  ]

  /// `Y[M, N] = alpha · A'[M, K] · B'[K, N] + beta · C`, where `'` is an optional transposition.
  private static let gemm = OperatorDefinition(
    "Gemm", inputs: 2...3,
    attributes: [
      .float("alpha"), .float("beta"), .int("transA"), .int("transB"), .int("broadcast"),
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
  private static let matMul = OperatorDefinition(
    "MatMul", inputs: 2...2,
    infer: { (context) throws(GraphError) in
      let left = try context.type(
        0, in: [.float32, .float16, .float64, .bfloat16, .int32, .int64, .uint32, .uint64],
        expected: "floating-point numbers or 32- or 64-bit integers")
      _ = try context.sameElements(1)
      return [ValueType(left.elementType, try context.matrixProduct(0, 1))]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (left, right) = (try context.tensor(0), try context.tensor(1))
      let product = MatrixProduct(left.shape, right.shape)
      let shape = types[0].sizes ?? []
      if let x = left.integers(), let y = right.integers() {
        let sums = product.map(x, y, zero: 0) { $0 &+ $1 &* $2 }
        return [Tensor(truncating: sums, shape: shape, types[0].elementType)]
      }
      let sums = product.map(left.numbers(), right.numbers(), zero: 0.0) { $0 + $1 * $2 }
      return [Tensor(rounding: sums, shape: shape, types[0].elementType)]
    })

  /// The determinant of each matrix on the last two axes.
  private static let det = OperatorDefinition(
    "Det", inputs: 1...1,
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let rank = input.shape.count
      guard rank >= 2, !input.shape[rank - 1].contradicts(input.shape[rank - 2]) else {
        throw context.wrongShape(0, expected: "square matrices on the last two axes")
      }
      return [ValueType(input.elementType, Array(input.shape.dropLast(2)))]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, size) = (try context.numbers(0), try context.sizes(0).last ?? 0)
      let shape = types[0].sizes ?? []
      let results = (0..<shape.reduce(1, *)).map { matrix in
        determinant(Array(x[matrix * size * size..<(matrix + 1) * size * size]), size)
      }
      return [Tensor(rounding: results, shape: shape, types[0].elementType)]
    })
}

private func matrix(
  _ context: NodeContext, _ index: Int, transposed: Bool
) throws(GraphError) -> [Dimension] {
  let type = index == 0 ? try context.floatingPoint(0) : try context.sameElements(index)
  guard type.shape.count == 2 else { throw context.wrongShape(index, expected: "a matrix") }
  return transposed ? type.shape.reversed() : type.shape
}

/// A determinant by elimination with the largest pivot of each column.
func determinant(_ matrix: [Double], _ size: Int) -> Double {
  var (a, result) = (matrix, 1.0)
  for column in 0..<size {
    let pivot = (column..<size).max { abs(a[$0 * size + column]) < abs(a[$1 * size + column]) }
    guard let pivot, a[pivot * size + column] != 0 else { return 0 }
    if pivot != column {
      for k in 0..<size { a.swapAt(pivot * size + k, column * size + k) }
      result = -result
    }
    result *= a[column * size + column]
    for row in (column + 1)..<max(size, column + 1) {
      let factor = a[row * size + column] / a[column * size + column]
      for k in column..<size { a[row * size + k] -= factor * a[column * size + k] }
    }
  }
  return result
}

/// A vector on the left is a row, on the right a column; the axis added for it is dropped again.
private func matrices<Size>(_ left: [Size], _ right: [Size], one: Size) -> ([Size], [Size]) {
  (left.count == 1 ? [one] + left : left, right.count == 1 ? right + [one] : right)
}

extension NodeContext {
  /// The shape of a product of two inputs by the rules of NumPy's `matmul`.
  func matrixProduct(_ leftIndex: Int, _ rightIndex: Int) throws(GraphError) -> [Dimension] {
    let (left, right) = (try type(leftIndex).shape, try type(rightIndex).shape)
    for index in [leftIndex, rightIndex] where try type(index).shape.isEmpty {
      throw wrongShape(index, expected: "at least one axis")
    }
    let (a, b) = matrices(left, right, one: 1)
    guard !a[a.count - 1].contradicts(b[b.count - 2]) else {
      throw incompatible(
        leftIndex, rightIndex,
        expected:
          "\(a[a.count - 1]) columns on the left to meet \(b[b.count - 2]) rows on the right"
      )
    }
    guard var shape = broadcast(Array(a.dropLast(2)), Array(b.dropLast(2))) else {
      throw incompatible(leftIndex, rightIndex, expected: "leading axes that are equal or 1")
    }
    if left.count > 1 { shape.append(a[a.count - 2]) }
    if right.count > 1 { shape.append(b[b.count - 1]) }
    return shape
  }
}

/// Which elements meet in a product of matrices whose leading axes broadcast.
struct MatrixProduct {
  private let rows: Int
  private let depth: Int
  private let columns: Int
  private let left: [Int]
  private let right: [Int]

  /// - Parameters: Shapes that ``NodeContext/matrixProduct(_:_:)`` has checked.
  init(_ leftShape: [Int], _ rightShape: [Int]) {
    let (a, b) = matrices(leftShape, rightShape, one: 1)
    (rows, depth, columns) = (a[a.count - 2], a[a.count - 1], b[b.count - 1])
    let (aLead, bLead) = (Array(a.dropLast(2)), Array(b.dropLast(2)))
    let batch = broadcast(aLead.map { .fixed($0) }, bLead.map { .fixed($0) }) ?? []
    left = Broadcast(aLead, to: batch.compactMap(\.size)).source
    right = Broadcast(bLead, to: batch.compactMap(\.size)).source
  }

  /// Calls `body` with the flat indices of each product: what it is added to, and its factors.
  func forEachProduct(_ body: (_ result: Int, _ left: Int, _ right: Int) -> Void) {
    var place = 0
    for (xBatch, yBatch) in zip(left, right) {
      for row in 0..<rows {
        for column in 0..<columns {
          for k in 0..<depth {
            body(
              place, (xBatch * rows + row) * depth + k, (yBatch * depth + k) * columns + column)
          }
          place += 1
        }
      }
    }
  }

  /// Sums over the products, `add(sum, left, right)` one after the other.
  func map<Number>(
    _ x: [Number], _ y: [Number], zero: Number, _ add: (Number, Number, Number) -> Number
  ) -> [Number] {
    var result: [Number] = []
    result.reserveCapacity(left.count * rows * columns)
    for (xBatch, yBatch) in zip(left, right) {
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
}
