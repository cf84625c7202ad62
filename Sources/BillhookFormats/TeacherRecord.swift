public import BillhookTensor

/// The recorded outputs of a teacher, one row for each view of each sample.
///
/// The file, all numbers little-endian:
///
/// | bytes | content |
/// |---|---|
/// | 8 | `BHTEACH` and a zero |
/// | 4 | format version, 1 |
/// | 4 | header bytes `h`, a multiple of 64 |
/// | 8 | sample count `n` |
/// | 4 | views `v` |
/// | 4 | length of the key |
/// | 4 | rank of one output |
/// | 4 | 0 |
/// | 8 each | shape of one output |
/// | | key in ASCII, then zeros up to `h` |
/// | | `v · n` rows of float32 |
/// | 4 | CRC-32 of all bytes before it |
/// | 4 | `DONE` |
public struct TeacherRecord: Sendable {
  /// Says what was recorded: a hash of model, data and preprocessing.
  public let key: String
  public let sampleCount: Int
  /// Seeded views of each sample; 1 when the data is not augmented.
  public let views: Int
  /// Shape of one sample's output, without the batch axis.
  public let outputShape: [Int]
  /// Shape `[views · sampleCount] + outputShape`, float32, a view of the mapped file. View `v` of
  /// sample `i` is row `v · sampleCount + i`.
  public let outputs: Tensor

  static let magic: [UInt8] = Array("BHTEACH\0".utf8)
  static let trailerMark: [UInt8] = Array("DONE".utf8)
  static let version: UInt32 = 1
  static let fixedByteCount = 40
  /// The longest key, in bytes.
  public static let maximumKeyLength = 128
  static let maximumRank = 8

  /// Maps a record, and checks its length, checksum and key.
  ///
  /// - Parameter expectedKey: The key of the record that is wanted; nil takes any.
  /// - Throws: ``FormatError/wrongTeacherKey(path:found:expected:)``,
  ///   ``FormatError/cannotRead(path:reason:)``,
  ///   ``FormatError/malformed(path:format:location:found:expected:)``,
  ///   ``FormatError/unsupported(path:format:location:found:supported:)``.
  /// - Complexity: Reads the whole file once, for the checksum.
  public static func read(
    path: String, expectedKey: String? = nil
  ) throws(FormatError) -> TeacherRecord {
    let storage = try mapFile(path)
    return try storage.withUnsafeBytes { (bytes) throws(FormatError) in
      let reader = ByteReader(bytes: bytes, path: path, format: .teacherRecord)
      return try TeacherRecord(reader, storage, expectedKey)
    }
  }

  private init(
    _ reader: ByteReader, _ storage: Storage, _ expectedKey: String?
  ) throws(FormatError) {
    let start = try reader.slice(0..<8, "magic")
    guard start.elementsEqual(Self.magic) else {
      throw reader.malformed("byte 0 (magic)", "\(Array(start))", "\(Self.magic) (\"BHTEACH\")")
    }
    let version: UInt32 = try reader.integer(at: 8, "version")
    guard version == Self.version else {
      throw reader.unsupported(
        "byte 8 (version)", "version \(version)",
        "version \(Self.version); record the teacher again")
    }
    let headerByteCount = Int(try reader.integer(UInt32.self, at: 12, "header length"))
    sampleCount = try reader.length(at: 16, "sample count")
    views = Int(try reader.integer(UInt32.self, at: 24, "views"))
    let keyLength = Int(try reader.integer(UInt32.self, at: 28, "key length"))
    let rank = Int(try reader.integer(UInt32.self, at: 32, "rank"))
    guard keyLength <= Self.maximumKeyLength else {
      throw reader.malformed(
        "byte 28 (key length)", "\(keyLength)", "at most \(Self.maximumKeyLength)")
    }
    guard rank <= Self.maximumRank else {
      throw reader.malformed("byte 32 (rank)", "\(rank)", "at most \(Self.maximumRank)")
    }
    let expectedHeader = Self.headerByteCount(rank: rank, keyLength: keyLength)
    guard headerByteCount == expectedHeader else {
      throw reader.malformed("byte 12 (header length)", "\(headerByteCount)", "\(expectedHeader)")
    }
    var shape: [Int] = []
    for axis in 0..<rank {
      shape.append(try reader.length(at: Self.fixedByteCount + 8 * axis, "output shape"))
    }
    outputShape = shape
    let keyStart = Self.fixedByteCount + 8 * rank
    key = try reader.text(keyStart..<keyStart + keyLength, "key")
    let (rows, overflow) = views.multipliedReportingOverflow(by: sampleCount)
    guard views > 0, !overflow,
      let count = Tensor.elementCount(of: [rows] + shape, elementType: .float32)
    else {
      throw reader.malformed(
        "byte 16 (sample count)",
        "\(sampleCount) samples, \(views) views, outputs of shape \(shape)",
        "at least 1 view, and rows that fit into memory")
    }
    let end = headerByteCount + count * 4
    guard reader.bytes.count == end + 8 else {
      throw reader.malformed(
        "byte \(min(end, reader.bytes.count))", "a file of \(reader.bytes.count) bytes",
        "\(end + 8) for \(rows) rows of shape \(shape)")
    }
    guard try reader.slice(end + 4..<end + 8, "end mark").elementsEqual(Self.trailerMark) else {
      throw reader.malformed("byte \(end + 4) (end mark)", "other bytes", "\"DONE\"")
    }
    let stored: UInt32 = try reader.integer(at: end, "checksum")
    let computed = checksum(try reader.slice(0..<end, "content"))
    guard stored == computed else {
      throw reader.malformed("byte \(end) (checksum)", "\(stored)", "\(computed)")
    }
    if let expectedKey, expectedKey != key {
      throw .wrongTeacherKey(path: reader.path, found: key, expected: expectedKey)
    }
    do {
      outputs = try Tensor(
        storage: storage, byteOffset: headerByteCount, shape: [rows] + shape, .float32)
    } catch {
      throw reader.malformed("byte \(headerByteCount)", error.description, "rows inside the file")
    }
  }

  static func headerByteCount(rank: Int, keyLength: Int) -> Int {
    (fixedByteCount + 8 * rank + keyLength + 63) / 64 * 64
  }
}

/// Records a teacher's outputs batch by batch; without ``finish()`` nothing appears at the path.
public final class TeacherRecordWriter {
  private let file: AtomicFile
  private let rowCount: Int
  private let outputShape: [Int]
  private var writtenRows = 0
  private var crc: UInt32 = 0

  /// - Parameters:
  ///   - key: 1 to 128 letters and digits; see ``TeacherRecord/key``.
  ///   - sampleCount: Samples in the data, 0 or more.
  ///   - views: Views of each sample, 1 or more.
  ///   - outputShape: Shape of one sample's output, without the batch axis.
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``,
  ///   ``FormatError/cannotEncode(format:location:found:expected:)``.
  public init(
    path: String, key: String, sampleCount: Int, views: Int, outputShape: [Int]
  ) throws(FormatError) {
    let keyBytes = Array(key.utf8)
    guard (1...TeacherRecord.maximumKeyLength).contains(keyBytes.count),
      keyBytes.allSatisfy({ (0x21..<0x7F).contains($0) })
    else {
      throw .cannotEncode(
        format: .teacherRecord, location: "the key", found: "\"\(key)\"",
        expected: "1 to \(TeacherRecord.maximumKeyLength) ASCII letters and digits")
    }
    let (rows, overflow) = views.multipliedReportingOverflow(by: sampleCount)
    guard sampleCount >= 0, views >= 1, views <= UInt32.max, !overflow,
      outputShape.count <= TeacherRecord.maximumRank,
      Tensor.elementCount(of: [rows] + outputShape, elementType: .float32) != nil
    else {
      throw .cannotEncode(
        format: .teacherRecord, location: "the header",
        found: "\(sampleCount) samples, \(views) views, outputs of shape \(outputShape)",
        expected: """
          at least 1 view, at most \(TeacherRecord.maximumRank) axes, and rows that can be addressed
          """)
    }
    rowCount = rows
    self.outputShape = outputShape
    let headerByteCount = TeacherRecord.headerByteCount(
      rank: outputShape.count, keyLength: keyBytes.count)
    var header = TeacherRecord.magic
    header += TeacherRecord.version.littleEndianBytes
    header += UInt32(headerByteCount).littleEndianBytes
    header += UInt64(sampleCount).littleEndianBytes
    header += UInt32(views).littleEndianBytes
    header += UInt32(keyBytes.count).littleEndianBytes
    header += UInt32(outputShape.count).littleEndianBytes
    header += UInt32(0).littleEndianBytes
    for size in outputShape { header += UInt64(size).littleEndianBytes }
    header += keyBytes
    header += [UInt8](repeating: 0, count: headerByteCount - header.count)
    file = try AtomicFile(path: path)
    try write(header)
  }

  /// Appends rows: all samples of the first view, then all of the second, and so on.
  ///
  /// - Parameter outputs: Shape `[rows] + outputShape`, float32.
  /// - Throws: ``FormatError/cannotEncode(format:location:found:expected:)`` when type or shape do
  ///   not fit or there are too many rows, ``FormatError/cannotWrite(path:reason:)``.
  public func append(_ outputs: Tensor) throws(FormatError) {
    guard outputs.elementType == .float32, outputs.rank == outputShape.count + 1,
      Array(outputs.shape.dropFirst()) == outputShape,
      outputs.shape[0] <= rowCount - writtenRows
    else {
      throw .cannotEncode(
        format: .teacherRecord, location: "row \(writtenRows)",
        found: "shape \(outputs.shape) of \(outputs.elementType)",
        expected: """
          float32 rows of shape \(outputShape), at most \(rowCount - writtenRows) of them
          """)
    }
    try outputs.withUnsafeBytes { (bytes) throws(FormatError) in
      crc = checksum(bytes, continuing: crc)
      try file.write(bytes)
    }
    writtenRows += outputs.shape[0]
  }

  /// Puts the file in its place.
  ///
  /// - Throws: ``FormatError/cannotEncode(format:location:found:expected:)`` when rows are missing,
  ///   ``FormatError/cannotWrite(path:reason:)``.
  public func finish() throws(FormatError) {
    guard writtenRows == rowCount else {
      throw .cannotEncode(
        format: .teacherRecord, location: "the end", found: "\(writtenRows) rows",
        expected: "\(rowCount)")
    }
    try file.write(crc.littleEndianBytes + TeacherRecord.trailerMark)
    try file.commit()
  }

  private func write(_ bytes: [UInt8]) throws(FormatError) {
    try bytes.withRawBytes { (raw) throws(FormatError) in
      crc = checksum(raw, continuing: crc)
      try file.write(raw)
    }
  }
}
