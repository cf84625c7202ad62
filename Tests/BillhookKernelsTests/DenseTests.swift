import BillhookKernels
import Testing

/// Rows, inputs, outputs: both sides of a tile, of a task and of the depth at which sums start anew.
struct DenseCase: CustomStringConvertible, Sendable {
  let rows, inputs, outputs: Int
  var description: String { "\(rows) × \(inputs) × \(outputs)" }
}

@Suite struct DenseTests {
  static let cases: [DenseCase] = [
    (1, 1, 1), (1, 40, 100), (2, 33, 17), (3, 20, 70), (5, 513, 9), (6, 64, 16), (7, 100, 129),
    (13, 1030, 31), (97, 24, 130), (200, 40, 300),
  ].map { DenseCase(rows: $0.0, inputs: $0.1, outputs: $0.2) }

  /// - Parameter weight: Makes the weights a value of a plan, of shape `[outputs, inputs]`.
  private func run(
    _ subject: DenseCase, x: [Float], bias: [Float]? = nil, residual: [Float]? = nil,
    _ functions: [bh_activation] = [], weight: (OpaquePointer) -> Int32
  ) -> [Float] {
    let plan = bh_plan_new()!
    defer { bh_plan_free(plan) }
    func dims(_ sizes: Int...) -> [Int64] { sizes.map(Int64.init) }
    let input = bh_plan_input(plan, BH_TYPE_F32, 2, dims(subject.rows, subject.inputs))
    let weight = weight(plan)
    let offset = bias.map { bh_plan_constant(plan, BH_TYPE_F32, 1, dims(subject.outputs), $0) }
    let other = residual.map {
      bh_plan_constant(plan, BH_TYPE_F32, 2, dims(subject.rows, subject.outputs), $0)
    }
    let output = bh_plan_dense(
      plan, input, weight, offset ?? BH_PLAN_NONE, other ?? BH_PLAN_NONE, functions,
      Int32(functions.count))
    var y = [Float](repeating: .nan, count: subject.rows * subject.outputs)
    _ = bh_plan_keep(plan, output)
    guard output >= 0, bh_plan_finish(plan) == 0 else { return y }
    x.withUnsafeBufferPointer {
      _ = bh_plan_bind(plan, input, $0.baseAddress)
      // Twice: the second run must see nothing of the first.
      for _ in 0..<2 { _ = bh_plan_run(plan, 0, bh_plan_position(plan)) }
    }
    _ = bh_plan_read(plan, output, &y)
    return y
  }

  @Test(arguments: cases, [false, true])
  func `a product equals plain loops, with what follows it`(subject: DenseCase, fused: Bool) {
    let x = uniform(subject.rows * subject.inputs, seed: 1)
    let w = uniform(subject.outputs * subject.inputs, seed: 2)
    let bias = uniform(subject.outputs, seed: 3)
    let residual = uniform(subject.rows * subject.outputs, seed: 4)
    let functions =
      fused
      ? [
        bh_activation(kind: BH_ACTIVATION_LINEAR, alpha: 0.5, beta: 0.25),
        bh_activation(kind: BH_ACTIVATION_GELU, alpha: 0, beta: 0),
      ] : []
    var expected: [Float] = []
    for row in 0..<subject.rows {
      for output in 0..<subject.outputs {
        var sum = 0.0
        for k in 0..<subject.inputs {
          sum += Double(x[row * subject.inputs + k]) * Double(w[output * subject.inputs + k])
        }
        if fused { sum += Double(bias[output]) + Double(residual[row * subject.outputs + output]) }
        expected.append(functions.reduce(Float(sum)) { bh_activate_scalar($1, $0) })
      }
    }
    let runs = onEveryConfiguration {
      run(
        subject, x: x, bias: fused ? bias : nil, residual: fused ? residual : nil, functions
      ) { plan in
        bh_plan_constant(
          plan, BH_TYPE_F32, 2, [Int64(subject.outputs), Int64(subject.inputs)], w)
      }
    }
    // Each of the sums has a rounding of 6e-8 of its size, the root of the number of inputs.
    let tolerance = Float(subject.inputs) * 1.5e-7 + 1e-6
    for found in runs {
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= tolerance, "\(a) \(b)") }
    }
    // The first four have the best instruction set and 1, 2, 3 and 8 threads.
    for found in runs[1..<4] { #expect(sameBits(found, runs[0])) }
  }

  @Test(arguments: cases)
  func `lent weights in the other order give the same bits, and are not read once given back`(
    subject: DenseCase
  ) {
    let x = uniform(subject.rows * subject.inputs, seed: 5)
    let w = uniform(subject.outputs * subject.inputs, seed: 6)
    let sizes = [Int64(subject.outputs), Int64(subject.inputs)]
    let expected = run(subject, x: x) { bh_plan_constant($0, BH_TYPE_F32, 2, sizes, w) }
    var turned = (0..<subject.inputs).flatMap { k in
      (0..<subject.outputs).map { w[$0 * subject.inputs + k] }
    }
    let found = turned.withUnsafeMutableBufferPointer { bytes in
      withUnsafeMutablePointer(to: &bytes) { lender in
        run(subject, x: x) { plan in
          let weight = bh_plan_lent_constant(
            plan, BH_TYPE_F32, 2, sizes.reversed(), lender.pointee.baseAddress,
            {
              $0!.assumingMemoryBound(to: UnsafeMutableBufferPointer<Float>.self)
                .pointee.update(repeating: .nan)
            },
            lender)
          return bh_plan_transpose(plan, weight, [1, 0])
        }
      }
    }
    #expect(sameBits(found, expected))
    #expect(turned.filter { !$0.isNaN }.isEmpty)
  }
}
