import BillhookKernels
import Testing

@Suite struct OptimizerTests {
  static let sizes = edgeLengths + [40_000]

  private static func mask(_ count: Int) -> [UInt8] {
    uniform(count, seed: 60).map { $0 < 0 ? 0 : 1 }
  }

  @Test(arguments: sizes)
  func `SGD equals the reference bit for bit`(length: Int) {
    let n = Int64(length)
    let gradient = uniform(length, seed: 61)
    let start = (uniform(length, seed: 62), uniform(length, seed: 63))
    for (momentum, nesterov): (Float, Int32) in [(0, 0), (0.9, 0), (0.9, 1)] {
      var options = bh_sgd(
        learning_rate: 0.1, momentum: momentum, weight_decay: 0.01, nesterov: nesterov)
      for keep in [nil, Self.mask(length)] {
        var slow = start
        if momentum == 0 {
          bh_sgd_step_f32_scalar(&options, 0.5, gradient, keep, &slow.0, nil, n)
        } else {
          bh_sgd_step_f32_scalar(&options, 0.5, gradient, keep, &slow.0, &slow.1, n)
        }
        for fast in onEveryConfiguration({
          var fast = start
          if momentum == 0 {
            bh_sgd_step_f32(&options, 0.5, gradient, keep, &fast.0, nil, n)
          } else {
            bh_sgd_step_f32(&options, 0.5, gradient, keep, &fast.0, &fast.1, n)
          }
          return fast
        }) {
          #expect(sameBits(fast.0, slow.0) && sameBits(fast.1, slow.1))
        }
      }
    }
  }

  @Test(arguments: sizes, [Int32(0), 1])
  func `Adam equals the reference bit for bit`(length: Int, decoupled: Int32) {
    let n = Int64(length)
    let gradient = uniform(length, seed: 64)
    let start = (
      uniform(length, seed: 65), uniform(length, seed: 66),
      uniform(length, seed: 67, from: 0, to: 1)
    )
    var options = bh_adam(
      learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1,
      decoupled: decoupled, step: 3)
    for keep in [nil, Self.mask(length)] {
      var slow = start
      bh_adam_step_f32_scalar(&options, 2, gradient, keep, &slow.0, &slow.1, &slow.2, n)
      for fast in onEveryConfiguration({
        var fast = start
        bh_adam_step_f32(&options, 2, gradient, keep, &fast.0, &fast.1, &fast.2, n)
        return fast
      }) {
        #expect(
          sameBits(fast.0, slow.0) && sameBits(fast.1, slow.1) && sameBits(fast.2, slow.2))
      }
    }
  }

  @Test func `two steps with momentum by hand`() {
    // v: 1 then 0.5 * 1 + 1 = 1.5; w: 1 - 0.25 * 1, then - 0.25 * 1.5.
    var options = bh_sgd(learning_rate: 0.25, momentum: 0.5, weight_decay: 0, nesterov: 0)
    var w: [Float] = [1]
    var v: [Float] = [0]
    for _ in 0..<2 { bh_sgd_step_f32(&options, 1, [1], nil, &w, &v, 1) }
    #expect(w == [0.375] && v == [1.5])
  }

  @Test func `the first step of Adam is the learning rate against the gradient's sign`() {
    var options = bh_adam(
      learning_rate: 0.125, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0,
      decoupled: 0, step: 1)
    var w: [Float] = [1, 1]
    var m: [Float] = [0, 0]
    var v: [Float] = [0, 0]
    bh_adam_step_f32(&options, 1, [3, -0.01], nil, &w, &m, &v, 2)
    #expect(abs(w[0] - 0.875) < 1e-5 && abs(w[1] - 1.125) < 1e-5)
  }

  @Test func `a pruned element stays zero and loses its state`() {
    var options = bh_sgd(learning_rate: 1, momentum: 0.5, weight_decay: 0, nesterov: 0)
    var w: [Float] = [2, 2]
    var v: [Float] = [3, 3]
    bh_sgd_step_f32(&options, 1, [1, 1], [0, 1], &w, &v, 2)
    #expect(w == [0, -0.5] && v == [0, 2.5])
  }
}
