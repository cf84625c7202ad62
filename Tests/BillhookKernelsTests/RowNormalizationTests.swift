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

  @Test(arguments: [false, true])
  func `a scale that is not as long as a row is refused`(backward: Bool) throws {
    let plan = try #require(bh_plan_new())
    defer { bh_plan_free(plan) }
    let x = bh_plan_input(plan, BH_TYPE_F32, 2, [3, 4])
    let scale = bh_plan_input(plan, BH_TYPE_F32, 1, [5])
    let result =
      backward
      ? bh_plan_layer_norm_backward(plan, x, x, scale, 1, 1e-5, 1, nil, nil)
      : bh_plan_layer_norm(plan, x, scale, BH_PLAN_NONE, 1, 1e-5, 1)
    #expect(result == BH_PLAN_ERROR)
    #expect(
      String(cString: bh_plan_error(plan)) == "Rows of 4 elements cannot be scaled by 5.")
  }

  @Test func `a row of four numbers is normalised by hand`() {
    var y = [Float](repeating: 9, count: 4)
    // Mean 5, variance 5; the distances are -3, -1, 1, 3.
    bh_layer_norm_f32([2, 4, 6, 8], nil, nil, 1, 4, 0, 1, &y)
    let unit = 1 / Float(5).squareRoot()
    for (a, b) in zip(y, [-3 * unit, -unit, unit, 3 * unit]) { #expect(abs(a - b) < 1e-6) }
  }

  @Test(arguments: shapes, [0, 1] as [Int32])
  func `the gradients of a normalisation equal the reference's`(
    shape: [Int], subtractMean: Int32
  ) {
    let (rows, columns) = (Int64(shape[0]), Int64(shape[1]))
    let x = uniform(shape[0] * shape[1], seed: 1, from: -2, to: 3)
    let dy = uniform(shape[0] * shape[1], seed: 4)
    let scale = uniform(shape[1], seed: 2)
    func gradients(
      _ body: (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, Int64, Int64, Float,
        Int32, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
        UnsafeMutablePointer<Float>
      ) -> Void
    ) -> [Float] {
      var dx = x.map { _ in Float.nan }
      var (dscale, dshift) = (scale, scale)
      body(x, dy, scale, rows, columns, 1e-3, subtractMean, &dx, &dscale, &dshift)
      return dx + dscale + dshift
    }
    let expected = gradients {
      bh_layer_norm_backward_f32_scalar($0, $1, $2, $3, $4, $5, $6, $7, $8, $9)
    }
    let runs = onEveryConfiguration {
      gradients { bh_layer_norm_backward_f32($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) }
    }
    // A row of one number less its mean is 0, and its slope 1 / sqrt(epsilon) beside it: 30.
    for found in runs {
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 2e-5 * (1 + abs(b)), "\(a) \(b)") }
    }
    for (a, b) in zip(runs[..<4], runs[1..<4]) { #expect(sameBits(a, b)) }
  }

  @Test func `gradients that nobody wants are left out`() {
    let x = uniform(60, seed: 1)
    let dy = uniform(60, seed: 2)
    var whole = x
    var shift = [Float](repeating: 9, count: 10)
    bh_layer_norm_backward_f32(x, dy, nil, 6, 10, 1e-5, 1, &whole, nil, nil)
    bh_layer_norm_backward_f32(x, dy, nil, 6, 10, 1e-5, 1, nil, nil, &shift)
    var expected = x
    var sums = shift
    bh_layer_norm_backward_f32_scalar(x, dy, nil, 6, 10, 1e-5, 1, &expected, nil, &sums)
    for (a, b) in zip(whole + shift, expected + sums) { #expect(abs(a - b) <= 1e-5 * (1 + abs(b))) }
  }

  @Test(arguments: shapes)
  func `the gradient of a softmax equals the reference's, in place too`(shape: [Int]) {
    let (rows, columns) = (Int64(shape[0]), Int64(shape[1]))
    let y = uniform(shape[0] * shape[1], seed: 5, from: 0, to: 1).map { $0 / Float(shape[1]) }
    let dy = uniform(shape[0] * shape[1], seed: 6)
    var expected = dy
    bh_softmax_backward_f32_scalar(y, dy, rows, columns, &expected)
    for found in onEveryConfiguration({
      var dx = dy
      dx.withUnsafeMutableBufferPointer {
        bh_softmax_backward_f32(y, $0.baseAddress, rows, columns, $0.baseAddress)
      }
      return dx
    }) {
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-6) }
    }
  }

  /// Images, groups, channels of a group, elements of a channel.
  static let groups = [
    [1, 1, 1, 1], [2, 3, 4, 35], [1, 32, 2, 1000], [3, 5, 1, 16], [2, 1, 7, 9], [2, 4, 3, 33],
  ]

  @Test(arguments: groups, [false, true])
  func `groups of channels are normalised like the reference's`(shape: [Int], isPlain: Bool) {
    let sizes = shape.map(Int64.init)
    let x = uniform(shape.reduce(1, *), seed: 1, from: -2, to: 3)
    let scale = isPlain ? nil : uniform(shape[1] * shape[2], seed: 2)
    let shift = isPlain ? nil : uniform(shape[1] * shape[2], seed: 3)
    let functions =
      isPlain ? [] : [bh_activation(kind: BH_ACTIVATION_SWISH, alpha: 1, beta: 0)]
    let count = Int32(functions.count)
    var expected = x
    bh_group_norm_f32_scalar(
      x, scale, shift, sizes[0], sizes[1], sizes[2], sizes[3], 1e-5, functions, count,
      &expected)
    let runs = onEveryConfiguration {
      var y = x
      y.withUnsafeMutableBufferPointer {
        bh_group_norm_f32(
          $0.baseAddress, scale, shift, sizes[0], sizes[1], sizes[2], sizes[3], 1e-5,
          functions, count, $0.baseAddress)
      }
      return y
    }
    for found in runs {
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 5e-6, "\(a) \(b)") }
    }
    for (a, b) in zip(runs[..<4], runs[1..<4]) { #expect(sameBits(a, b)) }
  }

  @Test func `two channels of a group have a mean together and a scale each by hand`() {
    var y = [Float](repeating: 9, count: 4)
    // Mean 5, variance 5; the distances are -3, -1, 1, 3.
    bh_group_norm_f32([2, 4, 6, 8], [1, 2], [0, 10], 1, 1, 2, 2, 0, nil, 0, &y)
    let unit = 1 / Float(5).squareRoot()
    for (a, b) in zip(y, [-3 * unit, -unit, 2 * unit + 10, 6 * unit + 10]) {
      #expect(abs(a - b) < 2e-6)
    }
  }
}
