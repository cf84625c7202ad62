internal import BillhookKernels
internal import BillhookTensor

/// What moves elements, and mixes them when an image gets another size.
extension KernelPlan {
  func reshape(_ x: PlanValue, _ shape: [Int]) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_reshape(plan, x.id, Int32(shape.count), shape.int64), shape, x.elementType)
  }

  func transpose(_ x: PlanValue, _ permutation: [Int]) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_transpose(plan, x.id, permutation.map { Int32($0) }),
      permutation.map { x.shape[$0] }, x.elementType)
  }

  func concat(_ xs: [PlanValue], axis: Int, _ shape: [Int]) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_concat(plan, xs.map(\.id), Int32(xs.count), Int32(axis)), shape, xs[0].elementType)
  }

  func slice(_ x: PlanValue, from begin: [Int], _ shape: [Int]) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_slice(plan, x.id, begin.int64, shape.int64), shape, x.elementType)
  }

  /// - Parameter places: For each element of the result its place in `x`, negative for `fill`.
  func pick(
    _ x: PlanValue, _ places: [Int], _ shape: [Int], fill: Float
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_pick(plan, x.id, Int32(shape.count), shape.int64, places.int64, fill), shape)
  }

  func pickBackward(
    _ dy: PlanValue, _ y: PlanValue, _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_pick_backward(plan, dy.id, y.id), shape)
  }

  /// - Parameter axes: For the last two axes the input's places, and their weights, that make each
  ///   place of the output; at least one.
  func resize(
    _ x: PlanValue, _ axes: [[[(index: Int, weight: Double)]]], _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    var indices: [[Int32]] = []
    var weights: [[Float]] = []
    var taps: [Int] = []
    for rows in axes {
      let count = rows.map(\.count).max() ?? 1
      taps.append(count)
      indices.append(
        rows.flatMap { row in (0..<count).map { Int32(row[min($0, row.count - 1)].index) } })
      weights.append(
        rows.flatMap { row in (0..<count).map { $0 < row.count ? Float(row[$0].weight) : 0 } })
    }
    let id = indices[0].withUnsafeBufferPointer { rowIndices in
      indices[1].withUnsafeBufferPointer { columnIndices in
        weights[0].withUnsafeBufferPointer { rowWeights in
          weights[1].withUnsafeBufferPointer { columnWeights in
            let forms = [
              bh_resize_axis(
                out: Int64(axes[0].count), taps: Int64(taps[0]), indices: rowIndices.baseAddress,
                weights: rowWeights.baseAddress),
              bh_resize_axis(
                out: Int64(axes[1].count), taps: Int64(taps[1]),
                indices: columnIndices.baseAddress, weights: columnWeights.baseAddress),
            ]
            return bh_plan_resize(plan, x.id, forms)
          }
        }
      }
    }
    return try made(id, shape)
  }
}
