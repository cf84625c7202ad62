import BillhookTensor
import Testing

@testable import BillhookCompression

@Suite struct BitPackingTests {
  static let words = [8, 16, 32]

  @Test func `numbers are packed as by hand`() {
    // 1, 2, 3 in three bits, low first: 011 010 001 = 0xD1 and a 0; high first: 001 010 01, 1.
    #expect(BitPacking(bits: 3).pack([1, 2, 3], rowCount: 3) == [0xD1, 0x00])
    let high = BitPacking(bits: 3, isHighFirst: true)
    #expect(high.pack([1, 2, 3], rowCount: 3) == [0b0010_1001, 0b1000_0000])
    #expect(BitPacking(bits: 4, wordBits: 16).pack([1, 2, 3], rowCount: 3) == [0x21, 0x03])
    // Each row begins a word.
    #expect(BitPacking(bits: 4).pack([1, 2, 3, 4], rowCount: 1) == [1, 2, 3, 4])
  }

  @Test(arguments: 1...8, words)
  func `unpacking is the way back for every width and odd rows`(bits: Int, wordBits: Int) {
    var random = CounterRandom(seed: UInt64(bits))
    for isHighFirst in [false, true] {
      for rowCount in [1, 7, 8, 33] {
        let packing = BitPacking(bits: bits, wordBits: wordBits, isHighFirst: isHighFirst)
        let numbers = (0..<3 * rowCount).map { _ in UInt8(random.integer(below: 1 << bits)) }
        let bytes = packing.pack(numbers, rowCount: rowCount)
        #expect(bytes.count == 3 * packing.byteCount(rowCount))
        #expect(packing.unpack(bytes, rows: 3, rowCount: rowCount) == numbers)
        #expect(packing.unpack(bytes.dropLast(), rows: 3, rowCount: rowCount) == nil)
      }
    }
  }
}

extension BitPacking {
  func unpack(_ bytes: ArraySlice<UInt8>, rows: Int, rowCount: Int) -> [UInt8]? {
    unpack(Array(bytes), rows: rows, rowCount: rowCount)
  }
}
