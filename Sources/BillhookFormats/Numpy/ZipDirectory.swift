internal import BillhookTensor

/// The directory of a ZIP archive.
///
/// Source: PKWARE, *APPNOTE.TXT, .ZIP File Format Specification*, version 6.3.10, sections 4.3 to
/// 4.5. Our deviation: one disk, no encryption, stored and deflated entries only.
struct ZipDirectory {
  struct Entry {
    var name: String
    var isDeflated: Bool
    var crc: UInt32
    /// Where the entry's local header starts.
    var start: Int
    /// Where its bytes are, as they are stored.
    var content: Range<Int>
    /// The size after decompression.
    var byteCount: Int
  }

  /// In the order of the directory.
  private(set) var entries: [Entry] = []

  init(_ reader: ByteReader) throws(FormatError) {
    let (directory, count) = try Self.findDirectory(reader)
    var position = directory.lowerBound
    for index in 0..<count {
      let (entry, next) = try Self.entry(reader, at: position, index)
      guard next <= directory.upperBound else {
        throw reader.malformed(
          "byte \(position) (directory entry \(index))", "an end at byte \(next)",
          "the directory to end at byte \(directory.upperBound)")
      }
      position = next
      entries.append(entry)
    }
    // Entries that share bytes would let a small file claim any amount of memory.
    var end = 0
    for entry in entries.sorted(by: { $0.start < $1.start }) {
      guard entry.start >= end else {
        throw reader.malformed(
          "byte \(entry.start) (entry \"\(entry.name)\")", "bytes that belong to two entries",
          "a start at byte \(end) or later")
      }
      end = entry.content.upperBound
    }
  }

  /// Where the directory is, and how many entries it has.
  private static func findDirectory(
    _ reader: ByteReader
  ) throws(FormatError) -> (Range<Int>, count: Int) {
    // The end record is the last 22 bytes, before a comment of up to 65,535.
    let last = reader.bytes.count - 22
    var end = last
    while end >= 0, end >= last - 65_535 {
      if try reader.integer(UInt32.self, at: end, "end record") == 0x0605_4b50,
        try reader.integer(UInt16.self, at: end + 20, "comment length") == UInt16(last - end)
      {
        break
      }
      end -= 1
    }
    guard end >= 0, end >= last - 65_535 else {
      throw reader.malformed(
        "the end of the file", "no end record of a ZIP archive",
        "one in the last 65,557 of the \(reader.bytes.count) bytes")
    }
    var count = Int(try reader.integer(UInt16.self, at: end + 10, "entry count"))
    var size = Int(try reader.integer(UInt32.self, at: end + 12, "directory size"))
    var offset = Int(try reader.integer(UInt32.self, at: end + 16, "directory offset"))
    if end >= 20, try reader.integer(UInt32.self, at: end - 20, "ZIP64 locator") == 0x0706_4b50 {
      let record = try reader.length(at: end - 12, "ZIP64 record offset")
      guard record <= end - 20 - 56,
        try reader.integer(UInt32.self, at: record, "ZIP64 record") == 0x0606_4b50
      else {
        throw reader.malformed(
          "byte \(end - 12) (ZIP64 record offset)", "\(record)", "the offset of a ZIP64 record")
      }
      count = try reader.length(at: record + 32, "entry count")
      size = try reader.length(at: record + 40, "directory size")
      offset = try reader.length(at: record + 48, "directory offset")
    }
    guard size <= end, offset <= end - size else {
      throw reader.malformed(
        "byte \(end) (end record)", "a directory of \(size) bytes at byte \(offset)",
        "one that ends before the record")
    }
    guard count <= size / 46 else {
      throw reader.malformed(
        "byte \(end) (end record)", "\(count) entries in \(size) bytes",
        "at least 46 bytes for each entry")
    }
    return (offset..<offset + size, count)
  }

  private static func entry(
    _ reader: ByteReader, at start: Int, _ index: Int
  ) throws(FormatError) -> (Entry, next: Int) {
    let what = "directory entry \(index)"
    guard try reader.integer(UInt32.self, at: start, what) == 0x0201_4b50 else {
      throw reader.malformed("byte \(start) (\(what))", "another signature", "\"PK\\x01\\x02\"")
    }
    let flags: UInt16 = try reader.integer(at: start + 8, what)
    let method: UInt16 = try reader.integer(at: start + 10, what)
    let crc: UInt32 = try reader.integer(at: start + 16, what)
    var compressed = Int(try reader.integer(UInt32.self, at: start + 20, what))
    var byteCount = Int(try reader.integer(UInt32.self, at: start + 24, what))
    let nameLength = Int(try reader.integer(UInt16.self, at: start + 28, what))
    let extraLength = Int(try reader.integer(UInt16.self, at: start + 30, what))
    let commentLength = Int(try reader.integer(UInt16.self, at: start + 32, what))
    var local = Int(try reader.integer(UInt32.self, at: start + 42, what))
    let name = try reader.text(start + 46..<start + 46 + nameLength, "name of \(what)")

    // A field that does not fit 32 bits is all ones, and its value follows in the ZIP64 extra field.
    var extra = start + 46 + nameLength
    let extraEnd = extra + extraLength
    while extra + 4 <= extraEnd {
      let id: UInt16 = try reader.integer(at: extra, "extra field of \(what)")
      let size = Int(try reader.integer(UInt16.self, at: extra + 2, "extra field of \(what)"))
      if id == 1 {
        var position = extra + 4
        func wide(_ narrow: Int) throws(FormatError) -> Int {
          guard narrow == 0xFFFF_FFFF else { return narrow }
          guard position + 8 <= extra + 4 + size else {
            throw reader.malformed(
              "byte \(extra) (ZIP64 field of entry \"\(name)\")", "\(size) bytes",
              "8 for each size that does not fit 32 bits")
          }
          defer { position += 8 }
          return try reader.length(at: position, "ZIP64 field of entry \"\(name)\"")
        }
        byteCount = try wide(byteCount)
        compressed = try wide(compressed)
        local = try wide(local)
      }
      extra += 4 + size
    }

    let entry = "entry \"\(name)\""
    guard flags & 1 == 0 else {
      throw reader.unsupported(entry, "encrypted data", "entries without a password")
    }
    guard method == 0 || method == 8 else {
      throw reader.unsupported(
        entry, "compression method \(method)", "0 (stored) and 8 (deflated)")
    }
    // An offset beyond the file is caught here, before it is added to.
    guard local < reader.bytes.count else {
      throw reader.malformed(
        "byte \(start) (\(entry))", "a local header at byte \(local)",
        "an offset below \(reader.bytes.count)")
    }
    guard try reader.integer(UInt32.self, at: local, "local header of \(entry)") == 0x0403_4b50
    else {
      throw reader.malformed("byte \(local) (\(entry))", "another signature", "\"PK\\x03\\x04\"")
    }
    let localName = Int(try reader.integer(UInt16.self, at: local + 26, "header of \(entry)"))
    let localExtra = Int(try reader.integer(UInt16.self, at: local + 28, "header of \(entry)"))
    let content = local + 30 + localName + localExtra
    guard content <= reader.bytes.count, compressed <= reader.bytes.count - content else {
      throw reader.malformed(
        "byte \(start) (\(entry))", "\(compressed) bytes at byte \(content)",
        "bytes inside the file of \(reader.bytes.count)")
    }
    guard method == 8 || compressed == byteCount else {
      throw reader.malformed(
        "byte \(start) (\(entry))", "\(compressed) stored bytes of \(byteCount)", "all of them")
    }
    return (
      Entry(
        name: name, isDeflated: method == 8, crc: crc, start: local,
        content: content..<content + compressed, byteCount: byteCount),
      start + 46 + nameLength + extraLength + commentLength
    )
  }
}
