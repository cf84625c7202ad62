public import BillhookTensor
public import OrderedCollections

/// Several arrays by name as NPZ files: ZIP archives of NPY files.
public enum NumpyArchive {
  /// Reads all arrays of an archive, stored or deflated; other entries are passed over.
  ///
  /// - Returns: The arrays by name, without the ending `.npy`, in the order of the directory. Stored
  ///   ones are views of the mapped file.
  /// - Throws: ``FormatError/cannotRead(path:reason:)``,
  ///   ``FormatError/malformed(path:format:location:found:expected:)``,
  ///   ``FormatError/unsupported(path:format:location:found:supported:)``.
  /// - Complexity: Reads the whole file once, for the checksums.
  public static func read(
    path: String
  ) throws(FormatError) -> OrderedDictionary<String, Tensor> {
    let storage = try mapFile(path)
    let directory = try storage.withUnsafeBytes { (bytes) throws(FormatError) in
      try ZipDirectory(ByteReader(bytes: bytes, path: path, format: .npz))
    }
    var arrays: OrderedDictionary<String, Tensor> = [:]
    for entry in directory.entries where entry.name.hasSuffix(".npy") {
      let name = String(entry.name.dropLast(4))
      guard arrays[name] == nil else {
        throw malformed(path, "entry \"\(entry.name)\"", "the name twice", "each name once")
      }
      arrays[name] = try array(entry, storage, path: path)
    }
    return arrays
  }

  /// Writes arrays, stored without compression, as `numpy.savez` does.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``;
  ///   ``FormatError/cannotEncode(format:location:found:expected:)`` for bfloat16, which NumPy does
  ///   not have.
  public static func write(
    _ arrays: OrderedDictionary<String, Tensor>, to path: String
  ) throws(FormatError) {
    try write(arrays, to: path, zip64Threshold: 0xFFFF_FFFF)
  }

  /// Writes an archive in which numbers of `zip64Threshold` or more take the 64-bit form.
  package static func write(
    _ arrays: OrderedDictionary<String, Tensor>, to path: String, zip64Threshold: Int
  ) throws(FormatError) {
    var headers: [[UInt8]] = []
    for tensor in arrays.values { headers.append(try NumpyHeader.encoded(tensor, format: .npz)) }
    let archive = ZipWriter(file: try AtomicFile(path: path), zip64Threshold: zip64Threshold)
    for ((name, tensor), header) in zip(arrays, headers) {
      try archive.append(name: name + ".npy", header: header, tensor)
    }
    try archive.finish()
  }

  private static func array(
    _ entry: ZipDirectory.Entry, _ storage: Storage, path: String
  ) throws(FormatError) -> Tensor {
    let place = "entry \"\(entry.name)\", "
    if entry.isDeflated {
      var source = try InflateSource(
        storage, entry.content, .zip, path: path, format: .npz, entry: place,
        byteCount: entry.byteCount)
      let tensor = try NumpyFile.readArray(from: &source, path: path, format: .npz, entry: place)
      guard source.position == entry.byteCount else {
        throw malformed(
          path, "entry \"\(entry.name)\"", "\(source.position) bytes", "\(entry.byteCount)")
      }
      try check(source.crc, entry, path)
      return tensor
    }
    let crc = storage.withUnsafeBytes { checksum(.init(rebasing: $0[entry.content])) }
    try check(crc, entry, path)
    return try NumpyFile.readArray(storage, entry.content, path: path, format: .npz, entry: place)
  }

  private static func check(
    _ crc: UInt32, _ entry: ZipDirectory.Entry, _ path: String
  ) throws(FormatError) {
    guard crc == entry.crc else {
      throw malformed(path, "entry \"\(entry.name)\"", "checksum \(crc)", "\(entry.crc)")
    }
  }

  private static func malformed(
    _ path: String, _ location: String, _ found: String, _ expected: String
  ) -> FormatError {
    .malformed(path: path, format: .npz, location: location, found: found, expected: expected)
  }
}
