/// Reads integers out of a file's bytes, and says where the file ends too early.
struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  let path: String
  let format: FileFormat

  /// The little-endian integer at `offset`, which may lie anywhere.
  func integer<Value: FixedWidthInteger>(
    _ type: Value.Type = Value.self, at offset: Int, _ what: String
  ) throws(FormatError) -> Value {
    try require(offset..<(offset + MemoryLayout<Value>.size), what)
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// The 64-bit length or offset at `offset`.
  func length(at offset: Int, _ what: String) throws(FormatError) -> Int {
    let value = try integer(UInt64.self, at: offset, what)
    guard let length = Int(exactly: value) else {
      throw malformed("byte \(offset) (\(what))", "\(value)", "a number below 2^63")
    }
    return length
  }

  /// The bytes of a range that must lie inside the file.
  func slice(_ range: Range<Int>, _ what: String) throws(FormatError) -> UnsafeRawBufferPointer {
    try require(range, what)
    return UnsafeRawBufferPointer(rebasing: bytes[range])
  }

  /// The text in a range that must lie inside the file.
  func text(_ range: Range<Int>, _ what: String) throws(FormatError) -> String {
    guard let text = String(validating: try slice(range, what), as: UTF8.self) else {
      throw malformed(
        "byte \(range.lowerBound) (\(what))", "bytes that are not UTF-8", "UTF-8 text")
    }
    return text
  }

  func malformed(_ location: String, _ found: String, _ expected: String) -> FormatError {
    .malformed(path: path, format: format, location: location, found: found, expected: expected)
  }

  func unsupported(_ location: String, _ found: String, _ supported: String) -> FormatError {
    .unsupported(
      path: path, format: format, location: location, found: found, supported: supported)
  }

  private func require(_ range: Range<Int>, _ what: String) throws(FormatError) {
    guard range.lowerBound >= 0, range.upperBound <= bytes.count else {
      throw malformed(
        "byte \(range.lowerBound) (\(what))", "the end of the file at byte \(bytes.count)",
        "\(range.count) bytes")
    }
  }
}

extension FixedWidthInteger {
  /// The bytes of the integer, the lowest first.
  var littleEndianBytes: [UInt8] {
    Swift.withUnsafeBytes(of: littleEndian) { [UInt8]($0) }
  }
}
