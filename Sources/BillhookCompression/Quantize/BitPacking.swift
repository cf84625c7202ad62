/// Small numbers without gaps in words, row by row; words are little-endian bytes.
struct BitPacking: Equatable {
  /// Bits of a number, 1...8.
  var bits: Int
  /// 8, 16 or 32.
  var wordBits = 8
  /// Whether the first number takes the high bits of a word; else the low ones.
  var isHighFirst = false

  /// The bytes of `count` numbers in one row.
  func byteCount(_ count: Int) -> Int { (count * bits + wordBits - 1) / wordBits * (wordBits / 8) }

  /// Packs rows of `rowCount` numbers, each below 2^bits.
  func pack(_ numbers: [UInt8], rowCount: Int) -> [UInt8] {
    guard rowCount > 0 else { return [] }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(numbers.count / rowCount * byteCount(rowCount))
    let mask: UInt64 = 1 << UInt64(wordBits) - 1
    func emit(_ word: UInt64) {
      for byte in 0..<wordBits / 8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * byte))) }
    }
    for start in stride(from: 0, to: numbers.count, by: rowCount) {
      var waiting: UInt64 = 0
      var held = 0
      for number in numbers[start..<start + rowCount] {
        if isHighFirst {
          waiting = waiting << bits | UInt64(number)
          held += bits
          while held >= wordBits {
            emit(waiting >> (held - wordBits) & mask)
            held -= wordBits
            waiting &= 1 << held - 1
          }
        } else {
          waiting |= UInt64(number) << held
          held += bits
          while held >= wordBits {
            emit(waiting & mask)
            waiting >>= wordBits
            held -= wordBits
          }
        }
      }
      if held > 0 { emit(isHighFirst ? waiting << (wordBits - held) & mask : waiting) }
    }
    return bytes
  }

  /// The numbers of `rows` rows of `rowCount`; nil when the bytes are not as many as they make.
  func unpack(_ bytes: [UInt8], rows: Int, rowCount: Int) -> [UInt8]? {
    let rowBytes = byteCount(rowCount)
    guard bytes.count == rows * rowBytes else { return nil }
    var numbers: [UInt8] = []
    numbers.reserveCapacity(rows * rowCount)
    let mask: UInt64 = 1 << bits - 1
    let wordBytes = wordBits / 8
    for row in 0..<rows {
      var position = row * rowBytes
      var waiting: UInt64 = 0
      var held = 0
      for _ in 0..<rowCount {
        if held < bits {
          var word: UInt64 = 0
          for byte in 0..<wordBytes { word |= UInt64(bytes[position + byte]) << (8 * byte) }
          position += wordBytes
          waiting = isHighFirst ? waiting << wordBits | word : waiting | word << held
          held += wordBits
        }
        held -= bits
        if isHighFirst {
          numbers.append(UInt8(waiting >> held & mask))
          waiting &= 1 << held - 1
        } else {
          numbers.append(UInt8(waiting & mask))
          waiting >>= bits
        }
      }
    }
    return numbers
  }
}
