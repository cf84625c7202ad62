import BillhookKernels
import Testing

@Suite struct BroadcastTests {
  /// Shapes of the values, 1 where one is spread, that need each way through a row and each turn of
  /// the axes.
  private static let shapes: [(a: [Int], b: [Int])] = [
    ([7], [7]), ([1], [1]), ([5, 33], [5, 33]), ([5, 33], [1, 33]), ([5, 33], [5, 1]),
    ([1, 33], [5, 1]), ([1, 1], [5, 33]), ([2, 3, 1, 37], [2, 1, 5, 37]),
    ([2, 3, 5, 19], [1, 3, 1, 1]), ([1, 64, 3, 7, 7], [1, 64, 1, 7, 7]),
    ([4, 1, 6, 1, 5], [1, 3, 1, 2, 5]), ([3, 1, 1], [1, 1, 40_000]),
  ]

  private static func form(_ kind: Int32, _ a: [Int], _ b: [Int]) -> (bh_broadcast, Int) {
    var form = bh_broadcast()
    form.kind = kind
    form.rank = Int32(a.count)
    let dims = zip(a, b).map { max($0, $1) }
    func steps(_ shape: [Int]) -> [Int64] {
      shape.indices.map { shape[$0] == 1 ? 0 : Int64(shape[($0 + 1)...].reduce(1, *)) }
    }
    func put(_ values: [Int64], _ bytes: UnsafeMutableRawBufferPointer) {
      values.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
    withUnsafeMutableBytes(of: &form.dims) { put(dims.map { Int64($0) }, $0) }
    withUnsafeMutableBytes(of: &form.a_steps) { put(steps(a), $0) }
    withUnsafeMutableBytes(of: &form.b_steps) { put(steps(b), $0) }
    return (form, dims.reduce(1, *))
  }

  @Test(
    arguments: shapes.indices, [BH_BINARY_ADD, BH_BINARY_MUL, BH_BINARY_SUB, BH_BINARY_DIV])
  func `values spread over axes give the reference's bits, in place too`(index: Int, kind: Int32) {
    let (shapeA, shapeB) = Self.shapes[index]
    let a = uniform(shapeA.reduce(1, *), seed: 1)
    let b = uniform(shapeB.reduce(1, *), seed: 2)
    let (form, count) = Self.form(kind, shapeA, shapeB)
    var expected = [Float](repeating: .nan, count: count)
    var own = form
    bh_broadcast_f32_scalar(&own, a, b, &expected)
    #expect(!expected.contains { $0.isNaN })
    let runs = onEveryConfiguration {
      var own = form
      var y = [Float](repeating: .nan, count: count)
      bh_broadcast_f32(&own, a, b, &y)
      if a.count == count {
        var inPlace = a
        inPlace.withUnsafeMutableBufferPointer {
          bh_broadcast_f32(&own, $0.baseAddress, b, $0.baseAddress)
        }
        #expect(sameBits(inPlace, y))
      }
      return y
    }
    for found in runs { #expect(sameBits(found, expected)) }
  }

  @Test func `a column and a row are spread by hand`() {
    var (form, count) = Self.form(BH_BINARY_SUB, [2, 1], [1, 3])
    var y = [Float](repeating: .nan, count: count)
    bh_broadcast_f32(&form, [10, 20], [1, 2, 3], &y)
    #expect(y == [9, 8, 7, 19, 18, 17])
  }
}
