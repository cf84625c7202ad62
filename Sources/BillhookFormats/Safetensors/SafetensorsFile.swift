public import BillhookTensor
public import OrderedCollections

/// Named tensors in one file, with text beside them.
///
/// The tensors of a file that was read are views into its mapping: nothing is copied, and pages are
/// loaded when somebody looks at them.
///
/// Source: the safetensors format, Hugging Face, version 0.4. Our deviation: tensors are kept and
/// written in the order of their bytes, without sorting them by type.
public struct SafetensorsFile: Sendable {
  /// In the order of their bytes.
  public var tensors: OrderedDictionary<String, Tensor>
  /// The header's `__metadata__`, in file order.
  public var metadata: OrderedDictionary<String, String>

  public init(
    tensors: OrderedDictionary<String, Tensor> = [:],
    metadata: OrderedDictionary<String, String> = [:]
  ) {
    self.tensors = tensors
    self.metadata = metadata
  }

  /// Maps a file and checks its header.
  ///
  /// - Throws: ``FormatError/cannotRead(path:reason:)``,
  ///   ``FormatError/malformed(path:format:location:found:expected:)``,
  ///   ``FormatError/unsupported(path:format:location:found:supported:)``.
  public static func read(path: String) throws(FormatError) -> SafetensorsFile {
    let storage = try mapFile(path)
    let header = try storage.withUnsafeBytes { (bytes) throws(FormatError) in
      try SafetensorsHeader(ByteReader(bytes: bytes, path: path, format: .safetensors))
    }
    var file = SafetensorsFile(metadata: header.metadata)
    for (entry, range) in zip(header.entries, header.ranges) {
      do {
        file.tensors[entry.name] = try Tensor(
          storage: storage, byteOffset: range.lowerBound, shape: entry.shape, entry.elementType)
      } catch {
        // The header's checks make this unreachable; should one be missing, it is still an error.
        throw .malformed(
          path: path, format: .safetensors, location: "tensor \"\(entry.name)\"",
          found: error.description, expected: "a tensor inside the file")
      }
    }
    return file
  }

  /// Writes all tensors; the file appears whole or not at all.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``,
  ///   ``FormatError/cannotEncode(format:location:found:expected:)``.
  public func write(to path: String) throws(FormatError) {
    let entries = tensors.map { name, tensor in
      SafetensorsEntry(name: name, elementType: tensor.elementType, shape: tensor.shape)
    }
    let writer = try SafetensorsWriter(path: path, entries: entries, metadata: metadata)
    for tensor in tensors.values { try writer.append(tensor) }
    try writer.finish()
  }
}

/// What a header says of one tensor.
public struct SafetensorsEntry: Sendable, Equatable {
  public var name: String
  public var elementType: ElementType
  public var shape: [Int]

  public init(name: String, elementType: ElementType, shape: [Int]) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
  }
}
