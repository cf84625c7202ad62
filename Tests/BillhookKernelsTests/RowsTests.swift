import BillhookKernels
import Testing

@Suite struct RowsTests {
  static let shapes: [[Int]] = [
    [1, 1], [2, 3], [5, 16], [7, 17], [3, 100], [64, 9], [1, 70_001], [131, 33],
  ]

  @Test(arguments: shapes)
  func `products, cosines and distances of rows equal the references`(shape: [Int]) {
    let (rows, columns) = (Int64(shape[0]), Int64(shape[1]))
    let x = uniform(shape[0] * shape[1], seed: 1)
    let y = uniform(shape[0] * shape[1], seed: 2)
    func reference(_ count: Int, _ body: (inout [Float]) -> Void) -> [Float] {
      var out = [Float](repeating: 9, count: count)
      body(&out)
      return out
    }
    let dots = reference(shape[0]) { bh_row_dots_f32_scalar(x, y, rows, columns, &$0) }
    let cosines = reference(shape[0]) { bh_row_cosines_f32_scalar(x, y, rows, columns, &$0) }
    let squares = shape[0] * shape[0]
    let first = reference(squares) { bh_row_distances_f32_scalar(x, rows, columns, 1, &$0) }
    let second = reference(squares) { bh_row_distances_f32_scalar(x, rows, columns, 2, &$0) }
    for found in onEveryConfiguration({
      [
        reference(shape[0]) { bh_row_dots_f32(x, y, rows, columns, &$0) },
        reference(shape[0]) { bh_row_cosines_f32(x, y, rows, columns, &$0) },
        reference(squares) { bh_row_distances_f32(x, rows, columns, 1, &$0) },
        reference(squares) { bh_row_distances_f32(x, rows, columns, 2, &$0) },
      ]
    }) {
      #expect(sameBits(found[0], dots))
      #expect(sameBits(found[1], cosines))
      #expect(sameBits(found[2], first))
      #expect(sameBits(found[3], second))
    }
  }

  @Test func `the distances of a right triangle are its sides`() {
    var out = [Float](repeating: 0, count: 9)
    bh_row_distances_f32([0, 0, 3, 0, 0, 4], 3, 2, 2, &out)
    #expect(out == [0, 3, 4, 3, 0, 5, 4, 5, 0])
    bh_row_distances_f32([0, 0, 3, 0, 0, 4], 3, 2, 1, &out)
    #expect(out == [0, 3, 4, 3, 0, 7, 4, 7, 0])
  }

  @Test func `a row without length has no direction`() {
    var out = [Float](repeating: 9, count: 2)
    bh_row_cosines_f32([0, 0, 1, 1], [1, 2, 2, 2], 2, 2, &out)
    #expect(out[0] == 0)
    #expect(abs(out[1] - 1) < 1e-6)
  }

  @Test(arguments: [[1, 1, 1], [2, 3, 4], [5, 130, 1], [300, 5, 1], [4, 2, 33], [0, 3, 2]])
  func `sums along an axis equal the reference`(shape: [Int]) {
    let (outer, count, inner) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let x = uniform(shape.reduce(1, *), seed: 3)
    var slow = [Float](repeating: 9, count: shape[1])
    bh_axis_sums_f32_scalar(x, outer, count, inner, &slow)
    for found in onEveryConfiguration({
      var fast = [Float](repeating: 9, count: shape[1])
      bh_axis_sums_f32(x, outer, count, inner, &fast)
      return fast
    }) {
      #expect(sameBits(found, slow))
    }
  }

  @Test(arguments: [1, 2, 17, 40_000])
  func `the k-th smallest is where sorting puts it`(count: Int) {
    let x = repetitive(count, seed: 4)
    for rank in Set([1, count / 3 + 1, count]) {
      #expect(
        bh_kth_smallest_f32(x, Int64(count), Int64(rank))
          == bh_kth_smallest_f32_scalar(x, Int64(count), Int64(rank)))
    }
  }
}
