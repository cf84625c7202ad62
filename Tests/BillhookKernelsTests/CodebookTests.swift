import BillhookKernels
import Testing

@Suite struct CodebookTests {
  @Test(arguments: edgeLengths, [1, 2, 16, 256])
  func `nearest entries and their values equal the references`(length: Int, entries: Int) {
    let x = repetitive(length, seed: 1, special: true)
    let table = uniform(entries, seed: 2)
    let n = Int64(length)
    var slow = [UInt8](repeating: 9, count: length)
    bh_codebook_nearest_f32_scalar(x, n, table, Int32(entries), &slow)
    var values = [Float](repeating: 9, count: length)
    #expect(bh_codebook_lookup_f32_scalar(slow, n, table, Int32(entries), &values) == 0)
    for found in onEveryConfiguration({
      var fast = [UInt8](repeating: 7, count: length)
      bh_codebook_nearest_f32(x, n, table, Int32(entries), &fast)
      return fast
    }) {
      #expect(found == slow)
    }
    var read = [Float](repeating: 8, count: length)
    #expect(bh_codebook_lookup_f32(slow, n, table, Int32(entries), &read) == 0)
    #expect(sameBits(read, values))
  }

  @Test func `of two entries as near the one with the lower index is taken`() {
    var index = [UInt8](repeating: 9, count: 4)
    bh_codebook_nearest_f32([0.5, 0.4, .nan, -3], 4, [1, 0, 1], 3, &index)
    #expect(index == [0, 1, 0, 1])
  }

  @Test func `an index outside of the table is counted and reads as 0`() {
    var out = [Float](repeating: 9, count: 3)
    #expect(bh_codebook_lookup_f32([0, 2, 1], 3, [5, 6], 2, &out) == 1)
    #expect(out == [5, 0, 6])
  }

  @Test(arguments: [[1, 1, 1], [3, 64, 32], [2, 70, 32], [5, 7, 100], [400, 129, 16]])
  func `scales of blocks equal the references`(shape: [Int]) {
    let (rows, columns, block) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let x = uniform(shape[0] * shape[1], seed: 5)
    let blocks = shape[0] * ((shape[1] + shape[2] - 1) / shape[2])
    var scales = [Float](repeating: 9, count: blocks)
    bh_block_abs_max_f32_scalar(x, rows, columns, block, &scales)
    scales[0] = 0
    var expected: [[Float]] = []
    for multiply in [0, 1] as [Int32] {
      var out = [Float](repeating: 9, count: x.count)
      bh_block_scale_f32_scalar(x, rows, columns, block, scales, multiply, &out)
      expected.append(out)
    }
    for found in onEveryConfiguration({
      var maxima = [Float](repeating: 7, count: blocks)
      bh_block_abs_max_f32(x, rows, columns, block, &maxima)
      maxima[0] = 0
      return [maxima]
        + ([0, 1] as [Int32]).map { multiply in
          var out = [Float](repeating: 7, count: x.count)
          bh_block_scale_f32(x, rows, columns, block, scales, multiply, &out)
          return out
        }
    }) {
      #expect(sameBits(found[0], scales))
      #expect(sameBits(found[1], expected[0]))
      #expect(sameBits(found[2], expected[1]))
    }
  }

  @Test(arguments: 1...8, [0, 1, 7, 8, 9, 31, 70_003])
  func `packed codes equal the reference and come back`(bits: Int, length: Int) {
    let codes = uniform(length, seed: 6, from: 0, to: 256).map { UInt8($0) }
    let n = Int64(length)
    let bytes = (length * bits + 7) / 8
    var slow = [UInt8](repeating: 9, count: bytes)
    bh_pack_bits_scalar(codes, n, Int32(bits), &slow)
    var fast = [UInt8](repeating: 7, count: bytes)
    bh_pack_bits(codes, n, Int32(bits), &fast)
    #expect(fast == slow)
    var back = [UInt8](repeating: 9, count: length)
    bh_unpack_bits(fast, n, Int32(bits), &back)
    #expect(back == codes.map { $0 & UInt8(truncatingIfNeeded: (1 << bits) - 1) })
    var slowBack = [UInt8](repeating: 7, count: length)
    bh_unpack_bits_scalar(fast, n, Int32(bits), &slowBack)
    #expect(slowBack == back)
  }

  @Test func `the first code lies in the lowest bits`() {
    var packed = [UInt8](repeating: 0, count: 2)
    bh_pack_bits([0x1, 0xF, 0x2], 3, 4, &packed)
    #expect(packed == [0xF1, 0x02])
    bh_pack_bits([1, 0, 7, 0, 0], 5, 3, &packed)
    #expect(packed == [0b1100_0001, 0b1])
  }
}
