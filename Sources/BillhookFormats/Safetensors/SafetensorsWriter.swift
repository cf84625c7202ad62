public import BillhookTensor
public import OrderedCollections

/// Writes a safetensors file tensor by tensor, so that a checkpoint larger than memory can be
/// rewritten: the header is declared first, then each tensor's bytes follow in the same order.
///
/// Without ``finish()`` nothing appears at the path.
public final class SafetensorsWriter {
  private let file: AtomicFile
  private let entries: [SafetensorsEntry]
  private var written = 0
  /// Elements of the next tensor that were written already.
  private var partial = 0

  /// Writes the header.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``;
  ///   ``FormatError/cannotEncode(format:location:found:expected:)`` when two entries share a name,
  ///   one is called `__metadata__`, or the header is larger than the format allows.
  public init(
    path: String, entries: [SafetensorsEntry], metadata: OrderedDictionary<String, String> = [:]
  ) throws(FormatError) {
    var header: [String] = []
    if !metadata.isEmpty {
      let fields = metadata.map { "\(quotedJSON($0)):\(quotedJSON($1))" }
      header.append("\"\(SafetensorsHeader.metadataKey)\":{\(fields.joined(separator: ","))}")
    }
    var names: Set<String> = [SafetensorsHeader.metadataKey]
    var offset = 0
    for entry in entries {
      guard names.insert(entry.name).inserted else {
        throw .cannotEncode(
          format: .safetensors, location: "tensor \"\(entry.name)\"", found: "a name that is taken",
          expected: "names that differ from each other and from \"__metadata__\"")
      }
      let type = entry.elementType
      guard let count = Tensor.elementCount(of: entry.shape, elementType: type) else {
        throw .cannotEncode(
          format: .safetensors, location: "tensor \"\(entry.name)\"",
          found: "shape \(entry.shape)", expected: "sizes of 0 or more that can be addressed")
      }
      let end = offset + count * type.byteCount
      let shape = entry.shape.map(String.init).joined(separator: ",")
      header.append(
        """
        \(quotedJSON(entry.name)):{"dtype":"\(SafetensorsHeader.typeCodes[type]!)",\
        "shape":[\(shape)],"data_offsets":[\(offset),\(end)]}
        """)
      offset = end
    }
    var bytes = Array("{\(header.joined(separator: ","))}".utf8)
    // Spaces up to a multiple of 8 align the first tensor for readers that map the file.
    while bytes.count % 8 != 0 { bytes.append(UInt8(ascii: " ")) }
    guard bytes.count <= SafetensorsHeader.maximumByteCount else {
      throw .cannotEncode(
        format: .safetensors, location: "the header", found: "\(bytes.count) bytes",
        expected: "at most \(SafetensorsHeader.maximumByteCount)")
    }
    self.entries = entries
    file = try AtomicFile(path: path)
    try file.write(UInt64(bytes.count).littleEndianBytes + bytes)
  }

  /// Writes the bytes of the next declared tensor: all of them, or as a tensor of one axis the next
  /// of its elements.
  ///
  /// - Throws: ``FormatError/cannotEncode(format:location:found:expected:)`` when its type or shape
  ///   is not the declared one, ``FormatError/cannotWrite(path:reason:)``.
  public func append(_ tensor: Tensor) throws(FormatError) {
    guard written < entries.count else {
      throw .cannotEncode(
        format: .safetensors, location: "the end of the file", found: "another tensor",
        expected: "the \(entries.count) that the header declares")
    }
    let entry = entries[written]
    let count = entry.shape.reduce(1, *)
    let isWhole = partial == 0 && tensor.shape == entry.shape
    let isPart = tensor.rank == 1 && tensor.count > 0 && partial + tensor.count <= count
    guard tensor.elementType == entry.elementType, isWhole || isPart else {
      throw .cannotEncode(
        format: .safetensors, location: "tensor \"\(entry.name)\"",
        found: "shape \(tensor.shape) of \(tensor.elementType)",
        expected: "shape \(entry.shape) of \(entry.elementType), as the header declares")
    }
    try tensor.withUnsafeBytes { (bytes) throws(FormatError) in try file.write(bytes) }
    partial += tensor.count
    guard partial == count else { return }
    written += 1
    partial = 0
  }

  /// Puts the file in its place.
  ///
  /// - Throws: ``FormatError/cannotEncode(format:location:found:expected:)`` when declared tensors
  ///   are missing, ``FormatError/cannotWrite(path:reason:)``.
  public func finish() throws(FormatError) {
    guard written == entries.count else {
      throw .cannotEncode(
        format: .safetensors, location: "tensor \"\(entries[written].name)\"",
        found: "no bytes for it", expected: "all \(entries.count) tensors of the header")
    }
    try file.commit()
  }
}
