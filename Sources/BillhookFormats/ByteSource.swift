internal import BillhookTensor
internal import CZlib
internal import Foundation

/// Bytes that are read once, from the first to the last.
protocol ByteSource {
  /// Fills `target`.
  ///
  /// - Throws: ``FormatError`` when the bytes end before.
  mutating func read(into target: UnsafeMutableRawBufferPointer) throws(FormatError)

  /// Says that everything was read; bytes that are left are an error.
  mutating func finish() throws(FormatError)

  /// The most bytes that can still come. Nothing larger is allocated, whatever a header declares.
  var limit: Int { get }

  /// Where the next byte is, in the content.
  var position: Int { get }
}

extension ByteSource {
  /// The next `count` bytes; `limit` has been asked before.
  mutating func bytes(_ count: Int) throws(FormatError) -> [UInt8] {
    let target = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
    defer { target.deallocate() }
    try read(into: target)
    return [UInt8](target)
  }
}

/// The CRC-32 of ZIP and gzip.
func checksum(_ bytes: UnsafeRawBufferPointer, continuing start: UInt32 = 0) -> UInt32 {
  var crc = uLong(start)
  var rest = bytes
  while !rest.isEmpty {
    let count = min(rest.count, 1 << 30)
    crc = crc32(crc, rest.bindMemory(to: UInt8.self).baseAddress, uInt(count))
    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
  }
  return UInt32(truncatingIfNeeded: crc)
}

/// A part of a mapped file as it is.
struct PlainSource: ByteSource {
  let storage: Storage
  let range: Range<Int>
  let path: String
  let format: FileFormat
  /// What precedes locations in errors; empty for a whole file.
  let entry: String
  private(set) var position = 0
  var limit: Int { range.count - position }

  init(
    _ storage: Storage, _ range: Range<Int>, path: String, format: FileFormat, entry: String = ""
  ) {
    self.entry = entry
    self.storage = storage
    self.range = range
    self.path = path
    self.format = format
  }

  mutating func read(into target: UnsafeMutableRawBufferPointer) throws(FormatError) {
    guard target.count <= limit else {
      throw .malformed(
        path: path, format: format, location: "\(entry)byte \(position)",
        found: "the end after \(limit) bytes", expected: "\(target.count) bytes")
    }
    let start = range.lowerBound + position
    storage.withUnsafeBytes {
      target.copyMemory(from: .init(rebasing: $0[start..<start + target.count]))
    }
    position += target.count
  }

  mutating func finish() throws(FormatError) {
    guard limit == 0 else {
      throw .malformed(
        path: path, format: format, location: "\(entry)byte \(position)",
        found: "\(limit) bytes more", expected: "the end")
    }
  }
}

/// A part of a mapped file, decompressed.
final class InflateSource: ByteSource {
  enum Container {
    case zip, gzip
  }

  private let storage: Storage
  private let container: Container
  private let path: String
  private let format: FileFormat
  private let entry: String
  private let stream: UnsafeMutablePointer<z_stream>
  /// Compressed bytes that zlib has not been given yet.
  private var waiting: Range<Int>
  private var ended = false
  private(set) var position = 0
  private(set) var crc: UInt32 = 0

  /// Deflate makes at most 1032 bytes of one: 258 bytes for a length code of one bit and a distance
  /// code of one bit.
  private static let maximumRatio = 1032
  private let totalLimit: Int
  var limit: Int { totalLimit - position }

  init(
    _ storage: Storage, _ range: Range<Int>, _ container: Container, path: String,
    format: FileFormat, entry: String = "", byteCount: Int? = nil
  ) throws(FormatError) {
    self.entry = entry
    self.storage = storage
    self.container = container
    self.path = path
    self.format = format
    waiting = range
    let (product, overflow) = range.count.multipliedReportingOverflow(by: Self.maximumRatio)
    let most = overflow ? .max : product
    totalLimit = byteCount ?? most
    guard totalLimit <= most else {
      throw .malformed(
        path: path, format: format, location: "\(entry)the size", found: "\(totalLimit) bytes",
        expected: "at most \(most), which \(range.count) compressed bytes can hold")
    }
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // Negative: no header, as in ZIP. Plus 16: a gzip header, whose checksum zlib verifies.
    let window: Int32 = container == .zip ? -MAX_WBITS : MAX_WBITS + 16
    let status = inflateInit2_(
      stream, window, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      throw .cannotRead(path: path, reason: "zlib cannot start (code \(status))")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  func read(into target: UnsafeMutableRawBufferPointer) throws(FormatError) {
    var filled = 0
    while filled < target.count {
      let count = try step(.init(rebasing: target[filled...]))
      guard count > 0 || !ended else {
        throw malformed("the end of the compressed data", "\(target.count - filled) bytes more")
      }
      filled += count
    }
    crc = checksum(UnsafeRawBufferPointer(target), continuing: crc)
  }

  func finish() throws(FormatError) {
    var extra: UInt8 = 0
    while !ended {
      let count = try withUnsafeMutableBytes(of: &extra) { (one) throws(FormatError) in
        try step(one)
      }
      guard count == 0 else { throw malformed("more bytes", "the end") }
    }
    let left = waiting.count + Int(stream.pointee.avail_in)
    guard left == 0 else {
      throw malformed("\(left) bytes after the end of the compressed data", "the end of the file")
    }
  }

  /// Decompresses into `target` and returns how many bytes came; 0 is possible before the end.
  private func step(_ target: UnsafeMutableRawBufferPointer) throws(FormatError) -> Int {
    if ended { return 0 }
    return try storage.withUnsafeBytes { (bytes) throws(FormatError) in
      if stream.pointee.avail_in == 0, !waiting.isEmpty {
        let count = min(waiting.count, 1 << 30)
        // Safe: the storage outlives this object, and zlib only reads from `next_in`.
        stream.pointee.next_in = UnsafeMutablePointer(
          mutating: (bytes.baseAddress! + waiting.lowerBound).assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = uInt(count)
        waiting = waiting.lowerBound + count..<waiting.upperBound
      }
      let room = min(target.count, 1 << 30)
      stream.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = uInt(room)
      let status = inflate(stream, Z_NO_FLUSH)
      let count = room - Int(stream.pointee.avail_out)
      position += count
      switch status {
      case Z_OK: break
      case Z_STREAM_END:
        // gzip files may be joined end to end.
        if container == .gzip, !waiting.isEmpty || stream.pointee.avail_in > 0, nextIsGzip(bytes) {
          inflateReset(stream)
        } else {
          ended = true
        }
      case Z_BUF_ERROR where stream.pointee.avail_in == 0 && waiting.isEmpty && count == 0:
        throw malformed("the end of the compressed data", "more of it")
      case Z_BUF_ERROR: break
      case Z_NEED_DICT: throw malformed("a preset dictionary", "data without one")
      default:
        let reason = stream.pointee.msg.map { String(cString: $0) } ?? "code \(status)"
        throw malformed("damaged compressed data (\(reason))", "a valid deflate stream")
      }
      return count
    }
  }

  private func nextIsGzip(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let next = waiting.lowerBound - Int(stream.pointee.avail_in)
    return next + 1 < waiting.upperBound && bytes[next] == 0x1F && bytes[next + 1] == 0x8B
  }

  private func malformed(_ found: String, _ expected: String) -> FormatError {
    .malformed(
      path: path, format: format, location: "\(entry)byte \(position) of the decompressed data",
      found: found, expected: expected)
  }
}
