import BillhookKernels
import Testing

@Suite struct RandomTests {
  // Known answers of Philox4x32-10 from the authors' test vectors.
  @Test func `the blocks are those of the paper's generator`() {
    var words = [UInt32](repeating: 0, count: 4)
    bh_random_u32(0, 0, 0, &words, 4)
    #expect(words == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
  }

  @Test(arguments: edgeLengths + [70_000], [0, 1, 2, 3, 5, (1 << 34) - 3] as [UInt64])
  func `words equal the reference from any position`(length: Int, first: UInt64) {
    let (seed, stream) = (0x0123_4567_89AB_CDEF as UInt64, 0xFEDC_BA98_7654_3210 as UInt64)
    let n = Int64(length)
    var words = [UInt32](repeating: 1, count: length)
    var floats = [Float](repeating: 1, count: length)
    var keep = [UInt8](repeating: 9, count: length)
    bh_random_u32_scalar(seed, stream, first, &words, n)
    bh_random_uniform_f32_scalar(seed, stream, first, &floats, n)
    bh_random_keep_u8_scalar(seed, stream, first, 0.25, &keep, n)
    for fast in onEveryConfiguration({
      var fast = (
        [UInt32](repeating: 0, count: length), [Float](repeating: 0, count: length),
        [UInt8](repeating: 0, count: length)
      )
      bh_random_u32(seed, stream, first, &fast.0, n)
      bh_random_uniform_f32(seed, stream, first, &fast.1, n)
      bh_random_keep_u8(seed, stream, first, 0.25, &fast.2, n)
      return fast
    }) {
      #expect(fast.0 == words)
      #expect(fast.1 == floats)
      #expect(fast.2 == keep)
    }
  }

  @Test func `a quarter is dropped at probability a quarter`() {
    var keep = [UInt8](repeating: 9, count: 100_000)
    bh_random_keep_u8(7, 8, 0, 0.25, &keep, 100_000)
    let dropped = keep.count { $0 == 0 }
    // Five standard deviations of the binomial distribution are 685.
    #expect(abs(dropped - 25_000) < 685)
    bh_random_keep_u8(7, 8, 0, 0, &keep, 100_000)
    #expect(keep.allSatisfy { $0 == 1 })
    bh_random_keep_u8(7, 8, 0, 1, &keep, 100_000)
    #expect(keep.allSatisfy { $0 == 0 })
  }
}
