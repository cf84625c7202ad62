internal import Glibc

/// Writes numbers and bytes one after the other, each at a multiple of 8.
///
/// What does not fit is left out and noted in ``overflowed``, so callers check once, at the end.
struct WireWriter {
  private let area: UnsafeMutableRawBufferPointer
  private(set) var count = 0
  private(set) var overflowed = false

  init(_ area: UnsafeMutableRawBufferPointer) { self.area = area }

  mutating func put(_ value: UInt64) {
    guard let place = reserve(8) else { return }
    place.storeBytes(of: value, as: UInt64.self)
  }

  mutating func put(_ value: Int) { put(UInt64(bitPattern: Int64(value))) }

  /// The bytes alone: the reader must know how many there are.
  mutating func put(_ start: UnsafeRawPointer, count: Int) {
    guard let place = reserve(count) else { return }
    place.copyMemory(from: start, byteCount: count)
  }

  /// Nil and "" are different texts.
  mutating func put(_ text: String?) {
    guard var text else { return put(UInt64.max) }
    text.withUTF8 { bytes in
      put(bytes.count)
      if let start = bytes.baseAddress { put(UnsafeRawPointer(start), count: bytes.count) }
    }
  }

  /// A C string, or null.
  mutating func put(cText: UnsafePointer<CChar>?) {
    guard let cText else { return put(UInt64.max) }
    let length = strlen(cText)
    put(length)
    put(UnsafeRawPointer(cText), count: length)
  }

  private mutating func reserve(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let rounded = (bytes + 7) & ~7
    guard bytes >= 0, !overflowed, rounded <= area.count - count else {
      overflowed = true
      return nil
    }
    defer { count += rounded }
    return area.baseAddress! + count
  }
}

/// Reads what a ``WireWriter`` wrote. The other side may be hostile: nothing is read beyond the
/// area, and what is missing is 0, empty, and noted in ``failed``.
struct WireReader {
  private let area: UnsafeRawBufferPointer
  private(set) var position = 0
  private(set) var failed = false

  init(_ area: UnsafeRawBufferPointer) { self.area = area }

  mutating func number() -> UInt64 {
    guard let place = take(8) else { return 0 }
    return place.loadUnaligned(as: UInt64.self)
  }

  mutating func integer() -> Int { Int(Int64(bitPattern: number())) }

  mutating func bytes(_ count: Int) -> UnsafeRawPointer? { take(count) }

  mutating func text(limit: Int) -> String? {
    let count = number()
    guard count != .max else { return nil }
    guard count <= UInt64(limit) else {
      failed = true
      return nil
    }
    guard count > 0 else { return "" }
    guard let place = take(Int(count)) else { return nil }
    return String(
      decoding: UnsafeRawBufferPointer(start: place, count: Int(count)), as: UTF8.self)
  }

  /// A text as C's, in memory of the call; nil for null.
  mutating func cText(in memory: CallMemory) -> UnsafePointer<CChar>? {
    let count = number()
    guard count != .max, let place = take(Int(clamping: count)) else { return nil }
    return memory.text(UnsafeRawBufferPointer(start: place, count: Int(count)))
  }

  private mutating func take(_ bytes: Int) -> UnsafeRawPointer? {
    let rounded = bytes < 0 ? Int.max : (bytes + 7) & ~7
    guard bytes >= 0, bytes < 1 << 48, !failed, rounded <= area.count - position else {
      failed = true
      return nil
    }
    defer { position += rounded }
    return area.baseAddress! + position
  }
}
