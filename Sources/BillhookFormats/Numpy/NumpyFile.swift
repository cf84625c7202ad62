public import BillhookTensor

/// Single arrays as NPY files.
public enum NumpyFile {
  /// Reads an array.
  ///
  /// - Returns: The array in row-major order: a view of the mapped file, or a transposed copy when
  ///   the file is in Fortran order.
  /// - Throws: ``FormatError/cannotRead(path:reason:)``,
  ///   ``FormatError/malformed(path:format:location:found:expected:)``,
  ///   ``FormatError/unsupported(path:format:location:found:supported:)``, as for big-endian numbers.
  public static func readArray(path: String) throws(FormatError) -> Tensor {
    let storage = try mapFile(path)
    return try readArray(storage, 0..<storage.byteCount, path: path, format: .npy, entry: "")
  }

  /// Writes an array; the file appears whole or not at all.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``;
  ///   ``FormatError/cannotEncode(format:location:found:expected:)`` for bfloat16, which NumPy does
  ///   not have.
  public static func writeArray(_ tensor: Tensor, to path: String) throws(FormatError) {
    let header = try NumpyHeader.encoded(tensor, format: .npy)
    let file = try AtomicFile(path: path)
    try file.write(header)
    try tensor.withUnsafeBytes { (bytes) throws(FormatError) in try file.write(bytes) }
    try file.commit()
  }

  /// Looks at an array that lies in a part of a mapped file as it is.
  static func readArray(
    _ storage: Storage, _ range: Range<Int>, path: String, format: FileFormat, entry: String
  ) throws(FormatError) -> Tensor {
    var source = PlainSource(storage, range, path: path, format: format, entry: entry)
    let header = try NumpyHeader(from: &source, path: path, format: format, entry: entry)
    let byteCount = header.count * header.elementType.byteCount
    guard byteCount == source.limit else {
      throw .malformed(
        path: path, format: format, location: entry + "byte \(source.position) (elements)",
        found: "\(source.limit) bytes",
        expected: "\(byteCount) for shape \(header.shape) of \(header.elementType)")
    }
    let tensor: Tensor
    do {
      tensor = try Tensor(
        storage: storage, byteOffset: range.lowerBound + source.position,
        shape: storedShape(header), header.elementType)
    } catch {
      throw .malformed(
        path: path, format: format, location: entry + "byte \(source.position) (elements)",
        found: error.description, expected: "elements inside the file")
    }
    try checkBooleans(tensor, source.position, path: path, format: format, entry: entry)
    return header.isFortranOrder ? transposed(tensor) : tensor
  }

  /// Reads an array from a source that has to be decompressed.
  static func readArray(
    from source: inout some ByteSource, path: String, format: FileFormat, entry: String
  ) throws(FormatError) -> Tensor {
    let header = try NumpyHeader(from: &source, path: path, format: format, entry: entry)
    let start = source.position
    var tensor = Tensor(zeros: storedShape(header), header.elementType)
    try tensor.withUnsafeMutableBytes { (target) throws(FormatError) in
      try source.read(into: target)
    }
    try source.finish()
    try checkBooleans(tensor, start, path: path, format: format, entry: entry)
    return header.isFortranOrder ? transposed(tensor) : tensor
  }

  private static func storedShape(_ header: NumpyHeader) -> [Int] {
    header.isFortranOrder ? header.shape.reversed() : header.shape
  }

  /// A byte other than 0 and 1 must never be read as a `Bool`.
  private static func checkBooleans(
    _ tensor: Tensor, _ start: Int, path: String, format: FileFormat, entry: String
  ) throws(FormatError) {
    guard tensor.elementType == .bool else { return }
    try tensor.withUnsafeBytes { (bytes) throws(FormatError) in
      guard let index = bytes.firstIndex(where: { $0 > 1 }) else { return }
      throw .malformed(
        path: path, format: format, location: entry + "byte \(start + index)",
        found: "\(bytes[index])", expected: "0 or 1, the values of a bool")
    }
  }

  /// The same array with its axes in the opposite order.
  private static func transposed(_ source: Tensor) -> Tensor {
    let shape = Array(source.shape.reversed())
    guard source.count > 1, source.rank > 1 else { return source.reshaped(shape) }
    let size = source.elementType.byteCount
    // Steps in the source, in bytes, for each axis of the result: the first axis runs fastest.
    var steps: [Int] = []
    var step = size
    for axis in shape {
      steps.append(step)
      step *= axis
    }
    var result = Tensor(zeros: shape, source.elementType)
    source.withUnsafeBytes { from in
      result.withUnsafeMutableBytes { to in
        var index = [Int](repeating: 0, count: shape.count)
        var offset = 0
        for target in stride(from: 0, to: to.count, by: size) {
          for byte in 0..<size { to[target + byte] = from[offset + byte] }
          var axis = shape.count - 1
          while axis >= 0 {
            index[axis] += 1
            offset += steps[axis]
            if index[axis] < shape[axis] { break }
            offset -= steps[axis] * shape[axis]
            index[axis] = 0
            axis -= 1
          }
        }
      }
    }
    return result
  }
}
