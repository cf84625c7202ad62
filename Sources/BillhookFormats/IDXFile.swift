public import BillhookTensor

/// Arrays in the format of the MNIST data sets, plain or compressed with gzip.
///
/// Source: LeCun, Cortes and Burges, *The MNIST database of handwritten digits*, 1998, section
/// "file formats". No deviation.
public enum IDXFile {
  private static let types: [(code: UInt8, type: ElementType)] = [
    (0x08, .uint8), (0x09, .int8), (0x0B, .int16), (0x0C, .int32), (0x0D, .float32),
    (0x0E, .float64),
  ]

  /// Reads an array. Whether it is compressed is seen from its first bytes, not from its name.
  ///
  /// - Returns: The array with the shape and the element type that the file states.
  /// - Throws: ``FormatError/cannotRead(path:reason:)``,
  ///   ``FormatError/malformed(path:format:location:found:expected:)``.
  public static func read(path: String) throws(FormatError) -> Tensor {
    let storage = try mapFile(path)
    let isCompressed = storage.withUnsafeBytes { $0.starts(with: [0x1F, 0x8B]) }
    let whole = 0..<storage.byteCount
    if isCompressed {
      var source = try InflateSource(storage, whole, .gzip, path: path, format: .idx)
      return try read(&source, path: path)
    }
    var source = PlainSource(storage, whole, path: path, format: .idx)
    return try read(&source, path: path)
  }

  private static func read(
    _ source: inout some ByteSource, path: String
  ) throws(FormatError) -> Tensor {
    func malformed(_ location: String, _ found: String, _ expected: String) -> FormatError {
      .malformed(path: path, format: .idx, location: location, found: found, expected: expected)
    }
    let magic = try source.bytes(4)
    guard magic[0] == 0, magic[1] == 0 else {
      throw malformed("byte 0 (magic)", "\(magic[0]), \(magic[1])", "0, 0")
    }
    guard let type = types.first(where: { $0.code == magic[2] })?.type else {
      throw malformed(
        "byte 2 (element type)", "\(magic[2])",
        types.map { "\($0.code) (\($0.type))" }.joined(separator: ", "))
    }
    let rank = Int(magic[3])
    let sizes = try source.bytes(4 * rank)
    let shape = (0..<rank).map { axis in
      sizes[4 * axis..<4 * axis + 4].reduce(0) { $0 << 8 | Int($1) }
    }
    guard let count = Tensor.elementCount(of: shape, elementType: type),
      count * type.byteCount <= source.limit
    else {
      throw malformed(
        "byte 4 (sizes)", "shape \(shape) of \(type)",
        "an array that fits into the \(source.limit) bytes that can follow")
    }
    var tensor = Tensor(zeros: shape, type)
    try tensor.withUnsafeMutableBytes { (target) throws(FormatError) in
      try source.read(into: target)
      reverseBytes(target, width: type.byteCount)
    }
    try source.finish()
    return tensor
  }

  /// The file has the highest byte first, memory the lowest.
  private static func reverseBytes(_ bytes: UnsafeMutableRawBufferPointer, width: Int) {
    switch width {
    case 2: swapBytes(bytes, UInt16.self)
    case 4: swapBytes(bytes, UInt32.self)
    case 8: swapBytes(bytes, UInt64.self)
    default: break
    }
  }

  private static func swapBytes<Word: FixedWidthInteger & BitwiseCopyable>(
    _ bytes: UnsafeMutableRawBufferPointer, _ type: Word.Type
  ) {
    for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<Word>.size) {
      let word = bytes.load(fromByteOffset: offset, as: type)
      bytes.storeBytes(of: word.byteSwapped, toByteOffset: offset, as: type)
    }
  }
}
