/// Writes protobuf's wire format by hand, so that tests can make files that no library would write.
struct WireBytes {
  var bytes: [UInt8] = []

  static func message(_ fill: (inout WireBytes) -> Void) -> [UInt8] {
    var wire = WireBytes()
    fill(&wire)
    return wire.bytes
  }

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func integer(_ field: UInt64, _ value: Int) {
    varint(field << 3)
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func float(_ field: UInt64, _ value: Float) {
    varint(field << 3 | 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func data(_ field: UInt64, _ content: [UInt8]) {
    varint(field << 3 | 2)
    varint(UInt64(content.count))
    bytes += content
  }

  mutating func text(_ field: UInt64, _ content: String) { data(field, Array(content.utf8)) }

  mutating func message(_ field: UInt64, _ fill: (inout WireBytes) -> Void) {
    data(field, Self.message(fill))
  }

  /// The outermost fields of a message that has only numbers and lengths of fewer than 2^63.
  static func fields(of bytes: [UInt8]) -> [(number: Int, range: Range<Int>)] {
    var position = 0
    func varint() -> Int {
      var value = 0
      var shift = 0
      while bytes[position] >= 0x80 {
        value |= Int(bytes[position] & 0x7F) << shift
        shift += 7
        position += 1
      }
      position += 1
      return value | Int(bytes[position - 1]) << shift
    }
    var result: [(number: Int, range: Range<Int>)] = []
    while position < bytes.count {
      let start = position
      let tag = varint()
      let value = varint()
      if tag & 7 == 2 { position += value }
      result.append((tag >> 3, start..<position))
    }
    return result
  }

  /// A model of IR version 8 and opset 17 around a graph; the graph comes last, so that no shorter
  /// file is whole.
  static func model(ir: Int = 8, opset: Int? = 17, graph: (inout WireBytes) -> Void) -> [UInt8] {
    message {
      $0.integer(1, ir)
      if let opset { $0.message(8) { $0.integer(2, opset) } }
      $0.message(7, graph)
    }
  }

  /// A tensor's value info.
  mutating func value(
    _ field: UInt64, _ name: String, type: Int = 1, _ extra: (inout WireBytes) -> Void = { _ in }
  ) {
    message(field) {
      $0.text(1, name)
      $0.message(2) { $0.message(1) { $0.integer(1, type) } }
      extra(&$0)
    }
  }

  /// An initializer named `w`.
  mutating func initializer(
    type: Int, dims: [Int], name: String = "w", _ data: (inout WireBytes) -> Void = { _ in }
  ) {
    message(5) {
      for size in dims { $0.integer(1, size) }
      $0.integer(2, type)
      $0.text(8, name)
      data(&$0)
    }
  }
}
