internal import BillhookTensor
internal import OrderedCollections

/// The checked header of a safetensors file.
struct SafetensorsHeader {
  /// In the order of their bytes.
  var entries: [SafetensorsEntry] = []
  /// Where each entry's bytes are, from the start of the file.
  var ranges: [Range<Int>] = []
  var metadata: OrderedDictionary<String, String> = [:]

  /// The format's own limit, against headers that exhaust memory.
  static let maximumByteCount = 100_000_000
  static let metadataKey = "__metadata__"

  init(_ reader: ByteReader) throws(FormatError) {
    let length = try reader.length(at: 0, "header length")
    let available = reader.bytes.count - 8
    guard (2...Self.maximumByteCount).contains(length), length <= available else {
      throw reader.malformed(
        "byte 0 (header length)", "\(length)",
        "2 to \(min(available, Self.maximumByteCount)) in a file of \(reader.bytes.count) bytes")
    }
    let start = 8 + length
    guard case .object(let header) = try JSONReader.value(in: 8..<start, of: reader) else {
      throw reader.malformed("byte 8 (header)", "no object", "a JSON object")
    }

    var found: [(entry: SafetensorsEntry, range: Range<Int>)] = []
    for (name, value) in header {
      if name == Self.metadataKey {
        metadata = try Self.metadata(value, reader)
      } else {
        found.append(try Self.entry(name, value, dataByteCount: available - length, reader))
      }
    }
    // Sorting is stable, so that empty tensors keep their place in the header.
    found.sort {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    var end = 0
    for (entry, range) in found {
      guard range.lowerBound == end else {
        throw reader.malformed(
          "data_offsets of tensor \"\(entry.name)\"", "a start of \(range.lowerBound)",
          "\(end), where the tensor before it ends")
      }
      end = range.upperBound
      entries.append(entry)
      ranges.append(start + range.lowerBound..<start + range.upperBound)
    }
    guard end == available - length else {
      throw reader.malformed(
        "byte \(start + end)", "\(available - length - end) bytes that belong to no tensor",
        "the end of the file")
    }
    try checkBooleans(reader)
  }

  private static func metadata(
    _ value: JSONValue, _ reader: ByteReader
  ) throws(FormatError) -> OrderedDictionary<String, String> {
    guard case .object(let fields) = value else {
      throw reader.malformed("header field \"\(metadataKey)\"", value.kind, "an object of texts")
    }
    var metadata: OrderedDictionary<String, String> = [:]
    for (key, value) in fields {
      guard case .string(let text) = value else {
        throw reader.malformed("\(metadataKey) entry \"\(key)\"", value.kind, "a text")
      }
      metadata[key] = text
    }
    return metadata
  }

  private static func entry(
    _ name: String, _ value: JSONValue, dataByteCount: Int, _ reader: ByteReader
  ) throws(FormatError) -> (entry: SafetensorsEntry, range: Range<Int>) {
    let tensor = "tensor \"\(name)\""
    guard case .object(let fields) = value else {
      throw reader.malformed(tensor, value.kind, "an object with dtype, shape and data_offsets")
    }
    guard case .string(let code)? = fields["dtype"] else {
      throw reader.malformed("dtype of \(tensor)", fields["dtype"]?.kind ?? "nothing", "a text")
    }
    guard let elementType = typeCodes.first(where: { $0.value == code })?.key else {
      throw reader.unsupported(
        "dtype of \(tensor)", "\"\(code)\"", typeCodes.values.joined(separator: ", "))
    }
    let shape = try sizes(fields["shape"], "shape of \(tensor)", reader)
    guard let count = Tensor.elementCount(of: shape, elementType: elementType) else {
      throw reader.malformed("shape of \(tensor)", "\(shape)", "a size that fits into memory")
    }
    let offsets = try sizes(fields["data_offsets"], "data_offsets of \(tensor)", reader)
    guard offsets.count == 2, offsets[0] <= offsets[1], offsets[1] <= dataByteCount else {
      throw reader.malformed(
        "data_offsets of \(tensor)", "\(offsets)",
        "a start and an end within the \(dataByteCount) bytes of data")
    }
    let byteCount = count * elementType.byteCount
    guard offsets[1] - offsets[0] == byteCount else {
      throw reader.malformed(
        "data_offsets of \(tensor)", "\(offsets[1] - offsets[0]) bytes",
        "\(byteCount) for shape \(shape) of \(elementType)")
    }
    return (
      SafetensorsEntry(name: name, elementType: elementType, shape: shape), offsets[0]..<offsets[1]
    )
  }

  private static func sizes(
    _ value: JSONValue?, _ location: String, _ reader: ByteReader
  ) throws(FormatError) -> [Int] {
    guard case .array(let values)? = value else {
      throw reader.malformed(location, value?.kind ?? "nothing", "an array of integers")
    }
    var sizes: [Int] = []
    for value in values {
      guard case .integer(let size) = value, size >= 0 else {
        throw reader.malformed(location, value.kind, "integers of 0 or more")
      }
      sizes.append(size)
    }
    return sizes
  }

  /// A mapped byte other than 0 and 1 must never be read as a `Bool`.
  private func checkBooleans(_ reader: ByteReader) throws(FormatError) {
    for (entry, range) in zip(entries, ranges) where entry.elementType == .bool {
      if let offset = range.first(where: { reader.bytes[$0] > 1 }) {
        throw reader.malformed(
          "byte \(offset) (tensor \"\(entry.name)\")", "\(reader.bytes[offset])",
          "0 or 1, the values of a bool")
      }
    }
  }

  /// The format's name of each element type.
  static let typeCodes: OrderedDictionary<ElementType, String> = [
    .bfloat16: "BF16", .float16: "F16", .float32: "F32", .float64: "F64", .int8: "I8",
    .uint8: "U8", .int16: "I16", .uint16: "U16", .int32: "I32", .uint32: "U32", .int64: "I64",
    .uint64: "U64", .bool: "BOOL",
  ]
}
