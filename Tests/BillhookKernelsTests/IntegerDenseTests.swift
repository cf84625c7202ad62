import BillhookKernels
import Testing

@Suite struct IntegerDenseTests {
  struct Case: CustomStringConvertible, Sendable {
    var rows: Int
    var inputs: Int
    var outputs: Int

    var description: String { "\(rows)x\(inputs) to \(outputs)" }
  }

  /// Inputs on both sides of groups and of parts, outputs on both sides of vectors and blocks.
  static let cases: [Case] = [
    .init(rows: 1, inputs: 1, outputs: 1), .init(rows: 3, inputs: 7, outputs: 17),
    .init(rows: 12, inputs: 64, outputs: 64), .init(rows: 25, inputs: 30, outputs: 130),
    .init(rows: 1, inputs: 9001, outputs: 10), .init(rows: 14, inputs: 4100, outputs: 33),
    .init(rows: 60, inputs: 5000, outputs: 100),
  ]

  private func run(
    _ subject: Case, x: [Float], type: Int32, zeroPoint: Int32, w: [Int8], quantizes: Bool
  ) -> [Float] {
    let plan = bh_plan_new()!
    defer { bh_plan_free(plan) }
    let input = bh_plan_input(plan, BH_TYPE_F32, 2, [Int64(subject.rows), Int64(subject.inputs)])
    let quantized = bh_plan_quantize(plan, input, type, [1], [zeroPoint], 1, 1)
    let scales = [Float](repeating: 1, count: subject.outputs)
    let output = scales.withUnsafeBufferPointer { scales in
      var form = bh_requantize()
      form.scale = scales.baseAddress
      form.out_type = quantizes ? BH_TYPE_S8 : BH_TYPE_F32
      form.out_scale = 1000
      form.out_zero_point = -7
      return bh_plan_dense_integer(
        plan, quantized, zeroPoint, BH_PLAN_NONE, w, BH_TYPE_S8, nil, Int64(subject.outputs), &form)
    }
    let count = subject.rows * subject.outputs
    var floats = [Float](repeating: .nan, count: count)
    var bytes = [Int8](repeating: 0, count: count)
    _ = bh_plan_keep(plan, output)
    guard output >= 0, bh_plan_finish(plan) == 0 else { return [] }
    x.withUnsafeBufferPointer {
      _ = bh_plan_bind(plan, input, $0.baseAddress)
      _ = bh_plan_run(plan, 0, bh_plan_position(plan))
    }
    guard quantizes else {
      _ = bh_plan_read(plan, output, &floats)
      return floats
    }
    _ = bh_plan_read(plan, output, &bytes)
    return bytes.map { Float($0) }
  }

  @Test(arguments: cases, [BH_TYPE_U8, BH_TYPE_S8])
  func `sums are exact for any number of threads`(subject: Case, type: Int32) {
    let zeroPoint: Int32 = type == BH_TYPE_U8 ? 200 : -3
    let low: Float = type == BH_TYPE_U8 ? -200 : -125
    let x = uniform(subject.rows * subject.inputs, seed: 1, from: low, to: low + 256)
      .map { $0.rounded(.down) }
    let w = uniform(subject.inputs * subject.outputs, seed: 2, from: -128, to: 128)
      .map { Int8($0.rounded(.down)) }
    let sums = (0..<subject.rows * subject.outputs).map { index in
      let (row, output) = index.quotientAndRemainder(dividingBy: subject.outputs)
      return (0..<subject.inputs).reduce(0) {
        $0 + Int(x[row * subject.inputs + $1]) * Int(w[output * subject.inputs + $1])
      }
    }
    for quantizes in [false, true] {
      let expected = sums.map { sum -> Float in
        guard quantizes else { return Float(sum) }
        return min(max((Float(sum) / 1000).rounded(.toNearestOrEven) - 7, -128), 127)
      }
      let found = onEveryConfiguration {
        run(subject, x: x, type: type, zeroPoint: zeroPoint, w: w, quantizes: quantizes)
      }
      for run in found { #expect(run == expected) }
    }
  }
}
