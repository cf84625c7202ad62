internal import OrderedCollections

/// A value of a JSON text, with its objects in file order.
indirect enum JSONValue {
  case object(OrderedDictionary<String, JSONValue>)
  case array([JSONValue])
  case string(String)
  case integer(Int)
  /// A number that is no integer or does not fit one, as written.
  case number(String)
  case bool(Bool)
  case null

  /// What the value is, to tell a person.
  var kind: String {
    switch self {
    case .object: "an object"
    case .array: "an array"
    case .string(let text): "the text \"\(text.prefix(40))\""
    case .integer(let value): "\(value)"
    case .number(let text): "\(text.prefix(40))"
    case .bool(let value): "\(value)"
    case .null: "null"
    }
  }
}

/// Reads the JSON header of a file.
///
/// Foundation's reader loses the order of keys, takes the last of two equal ones without a word, and
/// does not say where a text is wrong.
///
/// Source: Bray, *The JavaScript Object Notation (JSON) Data Interchange Format*, 2017, RFC 8259.
/// Our deviation: an object's keys must differ.
struct JSONReader {
  private let reader: ByteReader
  private let end: Int
  private var position: Int
  // Deeper nesting has no use in a header, and would exhaust the stack.
  private static let maximumDepth = 16

  /// Reads the value in `range`, which may have white space around it.
  static func value(in range: Range<Int>, of reader: ByteReader) throws(FormatError) -> JSONValue {
    var json = JSONReader(reader: reader, end: range.upperBound, position: range.lowerBound)
    let value = try json.value(depth: 0)
    json.skipSpace()
    guard json.position == json.end else { throw json.unexpected("the end of the header") }
    return value
  }

  private mutating func value(depth: Int) throws(FormatError) -> JSONValue {
    guard depth < Self.maximumDepth else {
      throw reader.malformed(
        "byte \(position) (header)", "more than \(Self.maximumDepth) levels", "fewer levels")
    }
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"): return .object(try object(depth: depth))
    case UInt8(ascii: "["): return .array(try array(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func object(
    depth: Int
  ) throws(FormatError) -> OrderedDictionary<String, JSONValue> {
    var result: OrderedDictionary<String, JSONValue> = [:]
    position += 1
    skipSpace()
    if take("}") { return result }
    while true {
      skipSpace()
      let start = position
      guard peek == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
      let key = try string()
      guard result[key] == nil else {
        throw reader.malformed(
          "byte \(start) (header)", "the key \"\(key)\" twice", "each key once")
      }
      skipSpace()
      guard take(":") else { throw unexpected("\":\"") }
      result[key] = try value(depth: depth + 1)
      skipSpace()
      if take("}") { return result }
      guard take(",") else { throw unexpected("\",\" or \"}\"") }
    }
  }

  private mutating func array(depth: Int) throws(FormatError) -> [JSONValue] {
    var result: [JSONValue] = []
    position += 1
    skipSpace()
    if take("]") { return result }
    while true {
      result.append(try value(depth: depth + 1))
      skipSpace()
      if take("]") { return result }
      guard take(",") else { throw unexpected("\",\" or \"]\"") }
    }
  }

  private mutating func string() throws(FormatError) -> String {
    let start = position
    position += 1
    var text: [UInt8] = []
    while let byte = peek {
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let result = String(validating: text, as: UTF8.self) else {
          throw reader.malformed(
            "byte \(start) (header)", "bytes that are not UTF-8", "text in UTF-8")
        }
        return result
      case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
      case 0..<0x20:
        position -= 1
        throw unexpected("text without control characters")
      default: text.append(byte)
      }
    }
    throw unexpected("the end of the text that starts at byte \(start)")
  }

  private mutating func escape() throws(FormatError) -> Unicode.Scalar {
    guard let byte = peek else { throw unexpected("an escaped character") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let start = position
      let high = try hexadecimal()
      if let scalar = Unicode.Scalar(high) { return scalar }
      // Characters beyond 16 bits are written as a pair.
      if high < 0xDC00, take("\\"), take("u") {
        let low = try hexadecimal()
        if (0xDC00..<0xE000).contains(low),
          let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
        {
          return scalar
        }
      }
      position = start
      throw unexpected("a pair of surrogates")
    default:
      position -= 1
      throw unexpected("an escaped character")
    }
  }

  private mutating func hexadecimal() throws(FormatError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw unexpected("four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  private mutating func number() throws(FormatError) -> JSONValue {
    let start = position
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"),
        UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
        position += 1
        continue
      default: break
      }
      break
    }
    let text = String(decoding: reader.bytes[start..<position], as: UTF8.self)
    if let integer = Int(text), !text.hasPrefix("+") { return .integer(integer) }
    guard Double(text) != nil else {
      position = start
      throw unexpected("a value")
    }
    return .number(text)
  }

  private mutating func word(
    _ word: StaticString, _ value: JSONValue
  ) throws(FormatError) -> JSONValue {
    for character in "\(word)" {
      guard take(character) else { throw unexpected("\"\(word)\"") }
    }
    return value
  }

  private var peek: UInt8? { position < end ? reader.bytes[position] : nil }

  private mutating func take(_ character: Character) -> Bool {
    guard peek == character.asciiValue else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private func unexpected(_ expected: String) -> FormatError {
    let found =
      switch peek {
      case nil: "the end of the header"
      case let byte? where (0x21..<0x7F).contains(byte):
        "\"\(Character(Unicode.Scalar(byte)))\""
      case let byte?: "the byte \(byte)"
      }
    return reader.malformed("byte \(position) (header)", found, expected)
  }
}

/// A text as JSON, in double quotes.
func quotedJSON(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\t": result += "\\t"
    case "\r": result += "\\r"
    case "\0"..<" ":
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
