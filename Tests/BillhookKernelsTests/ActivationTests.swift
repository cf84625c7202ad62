import BillhookKernels
import Testing

@Suite struct ActivationTests {
  /// Every function of the table, and arguments that bring all of its branches.
  static let functions: [bh_activation] = (1..<BH_ACTIVATION_COUNT).map { kind in
    switch kind {
    case BH_ACTIVATION_CLIP: bh_activation(kind: kind, alpha: -1, beta: 2)
    case BH_ACTIVATION_HARD_SIGMOID, BH_ACTIVATION_HARD_SWISH:
      bh_activation(kind: kind, alpha: 1.0 / 6, beta: 0.5)
    case BH_ACTIVATION_POWER: bh_activation(kind: kind, alpha: 2, beta: 0)
    default: bh_activation(kind: kind, alpha: 0.3, beta: -0.7)
    }
  }

  static let numbers: [Float] =
    uniform(3000, seed: 1, from: -12, to: 12) + uniform(500, seed: 2, from: -90, to: 90)
    + uniform(500, seed: 3, from: -1e-3, to: 1e-3)
    + [0, -0.0, 1, -1, 4, -4, .infinity, -.infinity, .nan, 1e-30, -1e-30, 3e38, -3e38]

  @Test(arguments: functions)
  func `a function equals its scalar form on every CPU and number of threads`(
    function: bh_activation
  ) {
    let expected = Self.numbers.map { bh_activate_scalar(function, $0) }
    let runs = onEveryConfiguration {
      var y = Self.numbers
      bh_activate_f32([function], 1, Self.numbers, &y, Int64(y.count))
      return y
    }
    for found in runs {
      for (x, (a, b)) in zip(Self.numbers, zip(found, expected)) {
        if a == b || a.isNaN && b.isNaN { continue }
        // 1 + erf(x) of GELU and the argument of an exponential lose digits where the result is
        // small beside x: half a unit of x, doubled for the other roundings.
        let tolerance = max(4 * b.ulp, (1 + min(abs(x), 100)) * 2.4e-7)
        #expect(abs(a - b) <= tolerance, "x \(x): \(a) instead of \(b)")
      }
    }
  }

  @Test func `the error function is within four units in the last place`() {
    let x = uniform(20_000, seed: 4, from: -5, to: 5)
    var y = x
    bh_activate_f32([bh_activation(kind: BH_ACTIVATION_ERF, alpha: 0, beta: 0)], 1, x, &y, 20_000)
    for (a, b) in zip(x, y) {
      let expected = bh_activate_scalar(
        bh_activation(kind: BH_ACTIVATION_ERF, alpha: 0, beta: 0), a)
      #expect(abs(expected - b) <= 4 * expected.ulp)
    }
  }

  @Test(arguments: edgeLengths)
  func `functions are applied one after the other, to every length and in place`(length: Int) {
    let functions = [
      bh_activation(kind: BH_ACTIVATION_LINEAR, alpha: 2, beta: 1),
      bh_activation(kind: BH_ACTIVATION_ABS, alpha: 0, beta: 0),
      bh_activation(kind: BH_ACTIVATION_SQRT, alpha: 0, beta: 0),
    ]
    let x = uniform(length, seed: 5)
    let expected = x.map { number in
      functions.reduce(number) { bh_activate_scalar($1, $0) }
    }
    for found in onEveryConfiguration({
      var y = x
      y.withUnsafeMutableBufferPointer {
        bh_activate_f32(functions, 3, $0.baseAddress, $0.baseAddress, Int64(length))
      }
      return y
    }) {
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 2 * b.ulp) }
    }
  }

  /// The numbers of the slopes' tests: no infinities, where slopes are limits.
  static let finite = numbers.filter(\.isFinite)

  @Test(arguments: functions)
  func `a slope equals its scalar form on every CPU and number of threads`(
    function: bh_activation
  ) {
    let given = uniform(Self.finite.count, seed: 6, from: 0.5, to: 2)
    let runs = onEveryConfiguration {
      var dx = given.map { _ in Float.nan }
      bh_activation_gradient_f32(function, Self.finite, given, &dx, Int64(dx.count))
      return dx
    }
    for found in runs {
      for (index, x) in Self.finite.enumerated() {
        let slope = bh_activation_slope_scalar(function, x)
        let (a, b) = (found[index], given[index] * slope)
        if a == b || a.isNaN && b.isNaN { continue }
        #expect(abs(a - b) <= 2e-6 * (1 + abs(slope)), "x \(x): \(a) instead of \(b)")
      }
    }
  }

  @Test(arguments: functions)
  func `a slope is what the function's differences tell`(function: bh_activation) {
    let isOfPositives = [BH_ACTIVATION_LOG, BH_ACTIVATION_SQRT, BH_ACTIVATION_RECIPROCAL]
      .contains(function.kind)
    for x in uniform(200, seed: 7, from: isOfPositives ? 0.5 : -4, to: 4) {
      let h: Float = 1.0 / 256
      func at(_ x: Float) -> Double { Double(bh_activate_scalar(function, x)) }
      // Straight pieces meet at corners, and steps are cliffs: not between the two numbers.
      let sides = [x - h, x + h].map { bh_activation_slope_scalar(function, $0) }
      let numeric = (at(x + h) - at(x - h)) / (Double(x + h) - Double(x - h))
      guard abs(sides[0] - sides[1]) < 0.1, abs(numeric) < 20 else { continue }
      let slope = Double(bh_activation_slope_scalar(function, x))
      #expect(abs(slope - numeric) <= 2e-3 * (1 + abs(slope)), "x \(x)")
    }
  }

  @Test func `no gradient stays none where the slope is infinite`() {
    for kind in [BH_ACTIVATION_SQRT, BH_ACTIVATION_LOG, BH_ACTIVATION_RECIPROCAL] {
      var dx = [Float](repeating: 9, count: 40)
      let zeros = [Float](repeating: 0, count: 40)
      bh_activation_gradient_f32(
        bh_activation(kind: kind, alpha: 0, beta: 0), zeros, zeros, &dx, 40)
      #expect(dx == zeros)
    }
  }
}
