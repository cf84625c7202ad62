internal import BillhookTensor
internal import OrderedCollections

/// The header of an NPY array.
///
/// Source: NumPy Enhancement Proposal 1, *A Simple File Format for NumPy Arrays*, versions 1.0, 2.0
/// and 3.0. Our deviation: little-endian numbers only, no structured types and no objects.
struct NumpyHeader {
  var elementType: ElementType
  /// True when the first axis runs fastest in the file.
  var isFortranOrder: Bool
  var shape: [Int]
  var count: Int

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// NumPy's own limit.
  private static let maximumRank = 64
  /// A header that holds 64 sizes is a hundred times smaller.
  private static let maximumByteCount = 1 << 16

  /// Reads the header off the front of a file, and checks that the elements can follow it.
  ///
  /// - Parameter entry: What precedes locations in errors; empty for a file of its own.
  init(
    from source: inout some ByteSource, path: String, format: FileFormat, entry: String
  ) throws(FormatError) {
    func malformed(_ location: String, _ found: String, _ expected: String) -> FormatError {
      .malformed(
        path: path, format: format, location: entry + location, found: found, expected: expected)
    }
    let start = try source.bytes(8)
    guard start.starts(with: Self.magic) else {
      throw malformed("byte 0 (magic)", "\(Array(start[..<6]))", "\(Self.magic) (\"\\x93NUMPY\")")
    }
    guard (1...3).contains(start[6]), start[7] == 0 else {
      throw FormatError.unsupported(
        path: path, format: format, location: entry + "byte 6 (version)",
        found: "version \(start[6]).\(start[7])", supported: "versions 1.0, 2.0 and 3.0")
    }
    let lengthBytes = try source.bytes(start[6] == 1 ? 2 : 4)
    let length = lengthBytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    let most = min(source.limit, Self.maximumByteCount)
    guard length <= most else {
      throw malformed("byte 8 (header length)", "\(length)", "at most \(most)")
    }
    let offset = source.position
    var literal = PythonLiteral(bytes: try source.bytes(length))
    let fields: OrderedDictionary<String, PythonLiteral.Value>
    switch literal.dictionary() {
    case .success(let found): fields = found
    case .failure(let fault):
      throw malformed("byte \(offset + fault.offset) (header)", fault.found, fault.expected)
    }

    switch fields["descr"] {
    case .string(let code)?:
      guard let type = Self.elementType(code) else {
        let isBigEndian = code.hasPrefix(">")
        throw FormatError.unsupported(
          path: path, format: format, location: entry + "header field \"descr\"",
          found: isBigEndian ? "the big-endian type \"\(code)\"" : "the type \"\(code)\"",
          supported: isBigEndian
            ? "little-endian types; convert with array.astype(array.dtype.newbyteorder(\"<\"))"
            : Self.typeCodes.values.joined(separator: ", "))
      }
      elementType = type
    case .tuple?:
      throw FormatError.unsupported(
        path: path, format: format, location: entry + "header field \"descr\"",
        found: "a structured type", supported: Self.typeCodes.values.joined(separator: ", "))
    default: throw malformed("header field \"descr\"", "no text", "a type such as \"<f4\"")
    }
    guard case .bool(let isFortranOrder)? = fields["fortran_order"] else {
      throw malformed("header field \"fortran_order\"", "no bool", "True or False")
    }
    self.isFortranOrder = isFortranOrder
    guard case .tuple(let values)? = fields["shape"] else {
      throw malformed("header field \"shape\"", "no tuple", "a tuple of integers")
    }
    shape = []
    for value in values {
      guard case .integer(let size) = value, size >= 0 else {
        throw malformed("header field \"shape\"", "\(value)", "integers of 0 or more")
      }
      shape.append(size)
    }
    guard shape.count <= Self.maximumRank else {
      throw malformed(
        "header field \"shape\"", "\(shape.count) axes", "at most \(Self.maximumRank)")
    }
    guard let count = Tensor.elementCount(of: shape, elementType: elementType),
      count * elementType.byteCount <= source.limit
    else {
      throw malformed(
        "header field \"shape\"", "shape \(shape) of \(elementType)",
        "an array that fits into the \(source.limit) bytes that can follow")
    }
    self.count = count
  }

  /// The bytes in front of a tensor's elements, as NumPy writes them.
  static func encoded(_ tensor: Tensor, format: FileFormat) throws(FormatError) -> [UInt8] {
    guard let code = typeCodes[tensor.elementType] else {
      throw .cannotEncode(
        format: format, location: "the element type", found: "\(tensor.elementType)",
        expected: "one of \(typeCodes.values.joined(separator: ", ")); convert to float32 first")
    }
    guard tensor.rank <= maximumRank else {
      throw .cannotEncode(
        format: format, location: "the shape", found: "\(tensor.rank) axes",
        expected: "at most \(maximumRank)")
    }
    let sizes = tensor.shape.map(String.init).joined(separator: ", ")
    let shape = tensor.rank == 1 ? "(\(sizes),)" : "(\(sizes))"
    var text = Array("{'descr': '\(code)', 'fortran_order': False, 'shape': \(shape), }".utf8)
    // Spaces and a line feed, so that the elements start at a multiple of 64.
    while (10 + text.count + 1) % 64 != 0 { text.append(UInt8(ascii: " ")) }
    text.append(UInt8(ascii: "\n"))
    return magic + [1, 0] + UInt16(text.count).littleEndianBytes + text
  }

  /// NumPy's name of each element type; it has none for bfloat16.
  private static let typeCodes: OrderedDictionary<ElementType, String> = [
    .bool: "|b1", .int8: "|i1", .uint8: "|u1", .int16: "<i2", .uint16: "<u2", .int32: "<i4",
    .uint32: "<u4", .int64: "<i8", .uint64: "<u8", .float16: "<f2", .float32: "<f4",
    .float64: "<f8",
  ]

  private static func elementType(_ code: String) -> ElementType? {
    // "=" means the machine's own order, which is little-endian; one byte has no order.
    let bare = code.drop { $0 == "<" || $0 == "=" || $0 == "|" }
    guard code.count - bare.count <= 1 else { return nil }
    if bare == "?" { return .bool }
    return typeCodes.first { $0.value.dropFirst() == bare }?.key
  }
}

/// Reads the Python dictionary in an NPY header.
private struct PythonLiteral {
  indirect enum Value: CustomStringConvertible {
    case string(String)
    case bool(Bool)
    case integer(Int)
    case tuple([Value])

    /// As Python would write it.
    var description: String {
      switch self {
      case .string(let text): "\"\(text)\""
      case .bool(let truth): truth ? "True" : "False"
      case .integer(let number): "\(number)"
      case .tuple(let values): "(\(values.map(\.description).joined(separator: ", ")))"
      }
    }
  }

  struct Fault: Error {
    var offset: Int
    var found: String
    var expected: String
  }

  let bytes: [UInt8]
  private var position = 0
  // Nested lists occur only in structured types, which are refused.
  private static let maximumDepth = 8

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func dictionary() -> Result<OrderedDictionary<String, Value>, Fault> {
    do throws(Fault) {
      var result: OrderedDictionary<String, Value> = [:]
      try expect("{")
      while !take("}") {
        guard case .string(let key) = try value(depth: 0) else { throw fault("a key in quotes") }
        guard result[key] == nil else { throw fault("each key once") }
        try expect(":")
        result[key] = try value(depth: 0)
        if !take(",") {
          try expect("}")
          break
        }
      }
      skipSpace()
      guard position == bytes.count else { throw fault("the end of the header") }
      return .success(result)
    } catch {
      return .failure(error)
    }
  }

  private mutating func value(depth: Int) throws(Fault) -> Value {
    guard depth < Self.maximumDepth else { throw fault("fewer levels of brackets") }
    skipSpace()
    guard let byte = peek else { throw fault("a value") }
    switch byte {
    case UInt8(ascii: "'"), UInt8(ascii: "\""):
      position += 1
      guard let end = bytes[position...].firstIndex(of: byte) else {
        throw fault("a closing quote")
      }
      defer { position = end + 1 }
      return .string(String(decoding: bytes[position..<end], as: UTF8.self))
    case UInt8(ascii: "("), UInt8(ascii: "["):
      position += 1
      let closing: Character = byte == UInt8(ascii: "(") ? ")" : "]"
      var values: [Value] = []
      while !take(closing) {
        values.append(try value(depth: depth + 1))
        if !take(",") {
          try expect(closing)
          break
        }
      }
      return .tuple(values)
    case UInt8(ascii: "T"):
      for character in "True" { try expect(character, skippingSpace: false) }
      return .bool(true)
    case UInt8(ascii: "F"):
      for character in "False" { try expect(character, skippingSpace: false) }
      return .bool(false)
    default:
      let end =
        bytes[position...].firstIndex {
          !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) && $0 != UInt8(ascii: "-")
        } ?? bytes.count
      guard let number = Int(String(decoding: bytes[position..<end], as: UTF8.self)) else {
        throw fault("a value")
      }
      position = end
      // Python 2 marked long integers.
      if peek == UInt8(ascii: "L") { position += 1 }
      return .integer(number)
    }
  }

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func take(_ character: Character) -> Bool {
    skipSpace()
    guard peek == character.asciiValue else { return false }
    position += 1
    return true
  }

  private mutating func expect(
    _ character: Character, skippingSpace: Bool = true
  ) throws(Fault) {
    if skippingSpace { skipSpace() }
    guard peek == character.asciiValue else { throw fault("\"\(character)\"") }
    position += 1
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x09 || byte == 0x0D {
      position += 1
    }
  }

  private func fault(_ expected: String) -> Fault {
    let found =
      switch peek {
      case nil: "the end of the header"
      case let byte? where (0x21..<0x7F).contains(byte):
        "\"\(Character(Unicode.Scalar(byte)))\""
      case let byte?: "the byte \(byte)"
      }
    return Fault(offset: position, found: found, expected: expected)
  }
}
