import BillhookKernels
import Foundation
import Testing

@Suite struct IntegerConvolutionTests {
  /// Channels on both sides of pairs and vectors, sizes on both sides of tiles of 4.
  static let cases: [ConvolutionCase] = [
    .init(inputs: 8, outputs: 8, size: (8, 8), operation: "ConvWinogradInteger"),
    .init(inputs: 16, outputs: 16, size: (9, 7), operation: "ConvWinogradInteger"),
    .init(inputs: 13, outputs: 21, size: (11, 14), operation: "ConvWinogradInteger"),
    .init(
      inputs: 17, outputs: 33, size: (10, 5), begin: (2, 0), end: (0, 2),
      operation: "ConvWinogradInteger"),
    .init(batch: 40, inputs: 16, outputs: 9, size: (6, 6), operation: "ConvWinogradInteger"),
    .init(batch: 1, inputs: 100, outputs: 24, size: (2, 3), operation: "ConvWinogradInteger"),
    .init(batch: 1, inputs: 256, outputs: 8, size: (5, 5), operation: "ConvWinogradInteger"),
    .init(inputs: 3, outputs: 16, size: (9, 9), operation: "ConvInteger"),
    .init(inputs: 16, outputs: 16, size: (9, 9), groups: 2, operation: "ConvInteger"),
    .init(inputs: 16, outputs: 16, size: (9, 9), stride: 2, operation: "ConvInteger"),
    // Every number of vectors in a block of outputs, with and without padding and a batch to share.
    .init(
      batch: 9, inputs: 5, outputs: 70, size: (7, 6), begin: (0, 0), end: (0, 0), stride: 2,
      operation: "ConvInteger"),
    .init(batch: 1, inputs: 6, outputs: 36, size: (13, 9), dilation: 2, operation: "ConvInteger"),
    .init(
      batch: 3, inputs: 19, outputs: 130, size: (8, 5), begin: (0, 0), end: (0, 0), kernel: 1,
      operation: "ConvInteger"),
    // Large enough for the fast way on every CPU.
    .init(inputs: 64, outputs: 64, size: (16, 16), operation: "ConvWinogradInteger"),
  ]

  private struct Run {
    var floats: [Float]
    var bytes: [UInt8]
    var operations: [String]
  }

  /// - Parameters:
  ///   - x: Numbers that are quantized to `type` with scale 1 and `zeroPoint`.
  ///   - w: Bytes of `weightType`, whose zero point is 0.
  ///   - outScale: Makes the result bytes with zero point 9; nil keeps floats.
  private func run<Weight: FixedWidthInteger>(
    _ subject: ConvolutionCase, x: [Float], type: Int32 = BH_TYPE_U8, zeroPoint: Int32,
    w: [Weight], outScale: Float? = nil, scale: Float = 1
  ) -> Run {
    let plan = bh_plan_new()!
    defer { bh_plan_free(plan) }
    let input = bh_plan_input(plan, BH_TYPE_F32, 4, subject.xShape)
    let quantized = bh_plan_quantize(plan, input, type, [1], [zeroPoint], 1, 1)
    var window = subject.window
    let scales = [Float](repeating: scale, count: subject.outputs)
    let output = scales.withUnsafeBufferPointer { scales in
      var form = bh_requantize()
      form.scale = scales.baseAddress
      form.out_type = outScale == nil ? BH_TYPE_F32 : BH_TYPE_U8
      form.out_scale = outScale ?? 1
      form.out_zero_point = 9
      return bh_plan_conv_integer(
        plan, quantized, zeroPoint, BH_PLAN_NONE, w, Weight.isSigned ? BH_TYPE_S8 : BH_TYPE_U8, nil,
        subject.wShape, &window, &form, nil, nil)
    }
    let count = Int(subject.yShape.reduce(1, *))
    var result = Run(
      floats: [Float](repeating: .nan, count: outScale == nil ? count : 0),
      bytes: [UInt8](repeating: 0, count: outScale == nil ? 0 : count),
      operations: (0..<bh_plan_position(plan)).map { String(cString: bh_plan_describe(plan, $0)) })
    _ = bh_plan_keep(plan, output)
    guard output >= 0, bh_plan_finish(plan) == 0 else { return result }
    x.withUnsafeBufferPointer {
      _ = bh_plan_bind(plan, input, $0.baseAddress)
      _ = bh_plan_run(plan, 0, bh_plan_position(plan))
    }
    if outScale == nil {
      _ = bh_plan_read(plan, output, &result.floats)
    } else {
      _ = bh_plan_read(plan, output, &result.bytes)
    }
    return result
  }

  private func sums<Weight: FixedWidthInteger>(
    _ subject: ConvolutionCase, _ x: [Float], _ w: [Weight]
  ) -> [Int] {
    var sums = [Int](repeating: 0, count: Int(subject.yShape.reduce(1, *)))
    subject.forEachProduct { a, b, c in sums[c] += Int(x[a]) * Int(w[b]) }
    return sums
  }

  private func numbers(
    _ subject: ConvolutionCase, zeroPoint: Int32, seed: UInt64
  ) -> (x: [Float], w: [Int8]) {
    let low = Float(-zeroPoint)
    return (
      uniform(Int(subject.xShape.reduce(1, *)), seed: seed, from: low, to: low + 256)
        .map { $0.rounded(.down) },
      uniform(Int(subject.wShape.reduce(1, *)), seed: seed + 1, from: -128, to: 128)
        .map { Int8($0.rounded(.down)) }
    )
  }

  @Test(arguments: cases, [0, 128, 255] as [Int32])
  func `integer sums are exact`(subject: ConvolutionCase, zeroPoint: Int32) {
    let (x, w) = numbers(subject, zeroPoint: zeroPoint, seed: 7)
    let expected = sums(subject, x, w).map { Float($0) }
    let found = onEveryConfiguration { run(subject, x: x, zeroPoint: zeroPoint, w: w) }
    for run in found { #expect(run.floats == expected) }
    // The portable form has no quads, beside which a small layer is no faster by the other way.
    #expect(found.last!.operations.contains(subject.operation))
    let operations = found[0].operations
    #expect(operations.contains(subject.operation) || operations.contains("ConvInteger"))
    if subject.size.0 >= 16 { #expect(operations.contains("ConvWinogradInteger")) }
  }

  @Test(arguments: cases, [-128, -3, 127] as [Int32])
  func `signed inputs and weights of more than seven bits are exact`(
    subject: ConvolutionCase, zeroPoint: Int32
  ) {
    let (x, signed) = numbers(subject, zeroPoint: zeroPoint + 128, seed: 9)
    let found = run(subject, x: x, type: BH_TYPE_S8, zeroPoint: zeroPoint, w: signed)
    #expect(found.floats == sums(subject, x, signed).map { Float($0) })
    // Up to 255, which no signed byte holds.
    let unsigned = signed.map { UInt8(Int($0) + 128) }
    let wide = run(subject, x: x, type: BH_TYPE_S8, zeroPoint: zeroPoint, w: unsigned)
    #expect(wide.floats == sums(subject, x, unsigned).map { Float($0) })
  }

  @Test(arguments: [0, 255] as [Int32], [-128, 127] as [Int8])
  func `the largest inputs and weights do not overflow`(zeroPoint: Int32, weight: Int8) {
    let subject = Self.cases[5]
    let x = [Float](
      repeating: zeroPoint == 0 ? 255 : -255, count: Int(subject.xShape.reduce(1, *)))
    let w = [Int8](repeating: weight, count: Int(subject.wShape.reduce(1, *)))
    let expected = sums(subject, x, w).map { Float($0) }
    let found = onEveryConfiguration { run(subject, x: x, zeroPoint: zeroPoint, w: w) }
    for run in found { #expect(run.floats == expected) }
    #expect(found.last!.operations.contains("ConvWinogradInteger"))
  }

  @Test func `sums that could leave the range of the fast way are made in the plain one`() {
    // 9 * 128 * 128 * 255 is above 2^25.
    let subject = ConvolutionCase(batch: 1, inputs: 128, outputs: 8, size: (5, 5))
    let x = [Float](repeating: 255, count: Int(subject.xShape.reduce(1, *)))
    let w = [Int8](repeating: -128, count: Int(subject.wShape.reduce(1, *)))
    let found = run(subject, x: x, zeroPoint: 0, w: w)
    #expect(found.floats == sums(subject, x, w).map { Float($0) })
    #expect(found.operations.contains("ConvInteger"))
  }

  /// Powers of two make every other sum a tie; the others are no ties but near each other.
  @Test(
    arguments: [0, 2, 7, 8],
    [2, 1024, 0.37, 777.7, 1e-38, .leastNonzeroMagnitude, 3e38] as [Float])
  func `outputs are rounded as a division would be`(index: Int, outScale: Float) {
    let subject = Self.cases[index]
    let (x, w) = numbers(subject, zeroPoint: 3, seed: 8)
    for scale: Float in [1, 0.0123] {
      let found = run(subject, x: x, zeroPoint: 3, w: w, outScale: outScale, scale: scale)
      let expected = sums(subject, x, w).map { sum -> UInt8 in
        let quotient = Float(sum) * scale / outScale
        return UInt8(min(max(quotient, -9), 246).rounded(.toNearestOrEven) + 9)
      }
      #expect(found.bytes == expected)
    }
  }
}
