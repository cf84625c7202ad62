import BillhookKernels
import Testing

@Suite struct HalfTests {
  @Test func `every 16-bit float converts there and back`() {
    let all = (0...65535).map { UInt16($0) }
    var wide = [Float](repeating: 0, count: all.count)
    var expected = wide
    var narrow = [UInt16](repeating: 0, count: all.count)
    bh_f16_to_f32(all, 65536, &wide)
    bh_f16_to_f32_scalar(all, 65536, &expected)
    #expect(sameBits(wide, expected))
    bh_f32_to_f16(wide, 65536, &narrow)
    #expect(
      zip(all, narrow).allSatisfy { $0 == $1 || ($0 & 0x7FFF > 0x7C00 && $1 & 0x7FFF == 0x7E00) })

    bh_bf16_to_f32(all, 65536, &wide)
    bh_bf16_to_f32_scalar(all, 65536, &expected)
    #expect(sameBits(wide, expected))
    bh_f32_to_bf16(wide, 65536, &narrow)
    #expect(
      zip(all, narrow).allSatisfy { $0 == $1 || ($0 & 0x7FFF > 0x7F80 && $1 & 0x7FFF == 0x7FC0) })
  }

  @Test(arguments: edgeLengths + [200_000], 0..<2 as Range<UInt64>)
  func `rounding equals the reference`(length: Int, seed: UInt64) {
    // Any bit pattern at all.
    var bits = [UInt32](repeating: 0, count: length)
    bh_random_u32_scalar(seed, 70, 0, &bits, Int64(length))
    for x in [
      bits.map(Float.init(bitPattern:)), uniform(length, seed: seed, from: -1e-5, to: 1e-5),
    ] {
      var expected = [[UInt16]](repeating: [UInt16](repeating: 1, count: length), count: 2)
      bh_f32_to_f16_scalar(x, Int64(length), &expected[0])
      bh_f32_to_bf16_scalar(x, Int64(length), &expected[1])
      for result in onEveryConfiguration({
        var out = [[UInt16]](repeating: [UInt16](repeating: 2, count: length), count: 2)
        bh_f32_to_f16(x, Int64(length), &out[0])
        bh_f32_to_bf16(x, Int64(length), &out[1])
        return out
      }) {
        #expect(result == expected)
      }
    }
  }

  @Test func `ties go to even, large values to infinity, small ones to subnormal numbers`() {
    let x: [Float] = [1, 2049, 2051, 65519, 65520, -65536, 0x1p-24, 0x1p-25, 0x1.8p-25, -0.0]
    var half = [UInt16](repeating: 0, count: x.count)
    bh_f32_to_f16(x, Int64(x.count), &half)
    #expect(
      half == [0x3C00, 0x6800, 0x6802, 0x7BFF, 0x7C00, 0xFC00, 0x0001, 0x0000, 0x0001, 0x8000])
    #if !arch(x86_64)
      #expect(half == x.map { Float16($0).bitPattern })
    #endif
    var brain = [UInt16](repeating: 0, count: 3)
    bh_f32_to_bf16([1, 1.00390625, 1.01171875], 3, &brain)
    #expect(brain == [0x3F80, 0x3F80, 0x3F82])
  }
}
