import BillhookKernels
import Testing

@Suite struct ReduceTests {
  static let shapes: [[Int]] = [
    [1, 1, 1], [3, 5, 1], [2, 16, 1], [2, 33, 1], [4, 700, 1], [2, 3, 4], [2, 9, 16], [1, 40, 33],
    [3, 1, 7], [1, 70_001, 1], [2, 30, 64], [3, 17, 130], [1, 900, 256],
  ]

  @Test(arguments: shapes, 0...BH_REDUCE_SQUARES)
  func `a reduction equals its scalar form`(shape: [Int], kind: Int32) {
    let (outer, count, inner) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let x = uniform(shape.reduce(1, *), seed: 1)
    var expected = [Float](repeating: 9, count: shape[0] * shape[2])
    bh_reduce_f32_scalar(kind, x, outer, count, inner, inner, &expected)
    for found in onEveryConfiguration({
      var y = expected.map { _ in Float.nan }
      bh_reduce_f32(kind, x, outer, count, inner, inner, &y)
      return y
    }) {
      // Sums in double, in another order: the last bit of a float at most.
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= max(b.ulp, 1e-9)) }
    }
  }

  @Test func `the largest of numbers with a NaN is NaN`() {
    var y: [Float] = [0]
    for kind in [BH_REDUCE_MAX, BH_REDUCE_MIN] {
      for place in 0..<40 {
        var x = uniform(40, seed: 2)
        x[place] = .nan
        bh_reduce_f32(kind, x, 1, 40, 1, 1, &y)
        #expect(y[0].isNaN)
      }
    }
  }
}
