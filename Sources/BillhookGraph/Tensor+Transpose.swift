public import BillhookTensor

extension Tensor {
  /// The same elements with the axes in another order.
  ///
  /// - Parameter order: Which axis of this tensor each axis of the result is; a permutation.
  public func transposed(_ order: [Int]) -> Tensor {
    precondition(order.sorted() == Array(0..<rank), "\(order) does not reorder \(rank) axes")
    var strides = [Int](repeating: 1, count: rank)
    for axis in (0..<max(rank - 1, 0)).reversed() {
      strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    let newShape = order.map { shape[$0] }
    var result = Tensor(zeros: newShape, elementType)
    guard count > 0 else { return result }
    // The last axes that stay where they are move in one piece.
    var moved = rank
    while moved > 0, order[moved - 1] == moved - 1 { moved -= 1 }
    let run = shape[moved...].reduce(1, *)
    let (size, runSize) = (elementType.byteCount, run * elementType.byteCount)
    let steps = order[..<moved].map { strides[$0] }
    withUnsafeBytes { source in
      result.withUnsafeMutableBytes { target in
        // Counts through the result's indices, the last moved axis fastest.
        var index = steps.map { _ in 0 }
        var from = 0
        for to in 0..<count / run {
          (target.baseAddress! + to * runSize).copyMemory(
            from: source.baseAddress! + from * size, byteCount: runSize)
          var axis = moved - 1
          while axis >= 0 {
            index[axis] += 1
            from += steps[axis]
            if index[axis] < newShape[axis] { break }
            from -= newShape[axis] * steps[axis]
            index[axis] = 0
            axis -= 1
          }
        }
      }
    }
    return result
  }
}
