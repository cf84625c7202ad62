internal import BillhookTensor

extension GradientRule {
  /// Matrix products and determinants.
  static let matrixFamily: [String: GradientRule] = [
    "MatMul": matMul, "Gemm": gemm, "Einsum": einsum, "Det": det,
  ]

  private static let matMul = GradientRule { (context) throws(GraphError) in
    let (x, w, dy) = (try context.x(0), try context.x(1), context.dy())
    let product = MatrixProduct(try context.shape(0), try context.shape(1))
    var dx = [Double](repeating: 0, count: context.wants(0) ? x.count : 0)
    var dw = [Double](repeating: 0, count: context.wants(1) ? w.count : 0)
    if !dx.isEmpty { product.forEachProduct { dx[$1] += dy[$0] * w[$2] } }
    if !dw.isEmpty { product.forEachProduct { dw[$2] += dy[$0] * x[$1] } }
    return [context.wants(0) ? dx : nil, context.wants(1) ? dw : nil]
  }

  private static let gemm = GradientRule { (context) throws(GraphError) in
    let (a, b, dy) = (try context.x(0), try context.x(1), context.dy())
    let (rows, columns) = (context.outputShape[0], context.outputShape[1])
    let transA = try context.forward.flag("transA")
    let transB = try context.forward.flag("transB")
    let depth = try context.shape(0)[transA ? 0 : 1]
    let alpha = Double(context.node.float("alpha", default: 1))
    let beta = Double(context.node.float("beta", default: 1))
    var da = [Double](repeating: 0, count: a.count)
    var db = [Double](repeating: 0, count: b.count)
    for row in 0..<rows {
      for column in 0..<columns {
        let gradient = alpha * dy[row * columns + column]
        for k in 0..<depth {
          let left = transA ? k * rows + row : row * depth + k
          let right = transB ? column * depth + k : k * columns + column
          da[left] += gradient * b[right]
          db[right] += gradient * a[left]
        }
      }
    }
    let bias = context.forward.optionalTensor(2)?.shape
    return [da, db, bias.map { summed(dy.map { $0 * beta }, context.outputShape, to: $0) }]
  }

  private static let einsum = GradientRule { (context) throws(GraphError) in
    var operands: [[Double]] = []
    for index in context.node.inputs.indices { operands.append(try context.x(index)) }
    let dy = context.dy()
    var result = operands.map { [Double](repeating: 0, count: $0.count) }
    try EinsumTerms(context.forward).forEachProduct { place, offsets in
      for own in operands.indices {
        var product = dy[place]
        for other in operands.indices where other != own {
          product *= operands[other][offsets[other]]
        }
        result[own][offsets[own]] += product
      }
    }
    return result
  }

  /// By the determinants of what is left without a row and a column, which exist for singular
  /// matrices too.
  private static let det = GradientRule { (context) throws(GraphError) in
    let (x, size) = (try context.x(0), try context.shape(0).last ?? 0)
    let dy = context.dy()
    return [
      x.indices.map { index in
        let (matrix, place) = (index / (size * size), index % (size * size))
        let (row, column) = (place / size, place % size)
        let rest = (0..<size * size).filter { $0 / size != row && $0 % size != column }
        let minor = determinant(rest.map { x[matrix * size * size + $0] }, size - 1)
        return dy[matrix] * ((row + column) % 2 == 0 ? minor : -minor)
      }
    ]
  }
}
