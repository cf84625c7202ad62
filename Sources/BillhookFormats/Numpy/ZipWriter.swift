internal import BillhookTensor

/// Writes a ZIP archive of stored entries. See ``ZipDirectory`` for the source.
final class ZipWriter {
  private let file: AtomicFile
  private let zip64Threshold: Int
  private var directory: [UInt8] = []
  private var entryCount = 0

  init(file: AtomicFile, zip64Threshold: Int) {
    self.file = file
    self.zip64Threshold = zip64Threshold
  }

  /// Appends one entry: `header`, then the tensor's bytes.
  func append(name: String, header: [UInt8], _ tensor: Tensor) throws(FormatError) {
    let nameBytes = Array(name.utf8)
    guard nameBytes.count <= UInt16.max else {
      throw .cannotEncode(
        format: .npz, location: "the name of entry \(entryCount)",
        found: "\(nameBytes.count) bytes", expected: "at most \(UInt16.max)")
    }
    let offset = file.byteCount
    let byteCount = header.count + tensor.byteCount
    var crc = header.withUnsafeBytes { checksum($0) }
    crc = tensor.withUnsafeBytes { checksum($0, continuing: crc) }

    let isLarge = byteCount >= zip64Threshold
    let isFar = offset >= zip64Threshold
    let size = isLarge ? UInt32.max : UInt32(byteCount)
    let wideSizes = isLarge ? UInt64(byteCount).littleEndianBytes : []
    let localExtra = extra(wideSizes + wideSizes)
    let wideOffset = isFar ? UInt64(offset).littleEndianBytes : []
    let directoryExtra = extra(wideSizes + wideSizes + wideOffset)

    // Version needed (4.5 for 64-bit sizes, else 2.0), flags, method 0, time and date: a fixed date,
    // 1 January 1980, because the same arrays must give the same bytes.
    var common = UInt16(isLarge || isFar ? 45 : 20).littleEndianBytes
    common += UInt16(name.utf8.allSatisfy { $0 < 0x80 } ? 0 : 0x0800).littleEndianBytes
    common += [0, 0, 0, 0, 0x21, 0]
    common += crc.littleEndianBytes + size.littleEndianBytes + size.littleEndianBytes
    common += UInt16(nameBytes.count).littleEndianBytes

    try file.write(
      UInt32(0x0403_4b50).littleEndianBytes + common
        + UInt16(localExtra.count).littleEndianBytes + nameBytes + localExtra)
    try file.write(header)
    try tensor.withUnsafeBytes { (bytes) throws(FormatError) in try file.write(bytes) }

    directory += UInt32(0x0201_4b50).littleEndianBytes + [45, 0] + common
    directory += UInt16(directoryExtra.count).littleEndianBytes
    // Comment length, disk, internal and external attributes.
    directory += [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    directory += (isFar ? UInt32.max : UInt32(offset)).littleEndianBytes
    directory += nameBytes + directoryExtra
    entryCount += 1
  }

  /// Writes the directory and puts the file in its place.
  func finish() throws(FormatError) {
    let offset = file.byteCount
    try file.write(directory)
    if offset >= zip64Threshold || directory.count >= zip64Threshold || entryCount >= 0xFFFF {
      let record = file.byteCount
      var bytes = UInt32(0x0606_4b50).littleEndianBytes + UInt64(44).littleEndianBytes
      bytes += [45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]
      bytes += UInt64(entryCount).littleEndianBytes + UInt64(entryCount).littleEndianBytes
      bytes += UInt64(directory.count).littleEndianBytes + UInt64(offset).littleEndianBytes
      bytes += UInt32(0x0706_4b50).littleEndianBytes + [0, 0, 0, 0]
      bytes += UInt64(record).littleEndianBytes + UInt32(1).littleEndianBytes
      try file.write(bytes)
    }
    let count = UInt16(min(entryCount, 0xFFFF))
    var end = UInt32(0x0605_4b50).littleEndianBytes + [0, 0, 0, 0]
    end += count.littleEndianBytes + count.littleEndianBytes
    end += narrow(directory.count).littleEndianBytes + narrow(offset).littleEndianBytes + [0, 0]
    try file.write(end)
    try file.commit()
  }

  private func narrow(_ number: Int) -> UInt32 {
    number >= zip64Threshold ? .max : UInt32(number)
  }

  private func extra(_ fields: [UInt8]) -> [UInt8] {
    fields.isEmpty ? [] : [1, 0] + UInt16(fields.count).littleEndianBytes + fields
  }
}
