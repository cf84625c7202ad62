import BillhookKernels
import Testing

@Suite struct RowNormalizationTests {
  static let shapes: [[Int]] = [
    [1, 1], [2, 3], [5, 7], [4, 8], [3, 17], [9, 31], [2, 100], [40, 120], [512, 384], [1, 5000],
  ]

  @Test(arguments: shapes, [0, 1] as [Int32])
  func `rows are normalised like the reference's`(shape: [Int], subtractMean: Int32) {
    let (rows, columns) = (Int64(shape[0]), Int64(shape[1]))
    let x = uniform(shape[0] * shape[1], seed: 1, from: -2, to: 3)
    let scale = uniform(shape[1], seed: 2)
    let shift = uniform(shape[1], seed: 3)
    var expected = x
    bh_layer_norm_f32_scalar(x, scale, shift, rows, columns, 1e-5, subtractMean, &expected)
    let runs = onEveryConfiguration {
      var y = x
      bh_layer_norm_f32(x, scale, shift, rows, columns, 1e-5, subtractMean, &y)
      return y
    }
    for found in runs {
      // x - mean is exact to 1e-7 times 3, which a small deviation may enlarge a little.
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 5e-6, "\(a) \(b)") }
    }
    for (a, b) in zip(runs[..<4], runs[1..<4]) { #expect(sameBits(a, b)) }
  }

  @Test func `a row of four numbers is normalised by hand`() {
    var y = [Float](repeating: 9, count: 4)
    // Mean 5, variance 5; the distances are -3, -1, 1, 3.
    bh_layer_norm_f32([2, 4, 6, 8], nil, nil, 1, 4, 0, 1, &y)
    let unit = 1 / Float(5).squareRoot()
    for (a, b) in zip(y, [-3 * unit, -unit, unit, 3 * unit]) { #expect(abs(a - b) < 1e-6) }
  }
}
