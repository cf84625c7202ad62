public import Foundation

/// A file that appears whole or not at all.
///
/// The bytes go to a temporary file in the same folder. ``commit()`` brings them to the disk and
/// renames the file into its place; without it (an error, a cancelled task) the temporary file is
/// removed and whatever stood at the path before is unchanged.
///
/// Not for several threads at once.
public final class AtomicFile {
  /// Where the file will be, after ``commit()``.
  public let path: String
  /// The number of bytes written so far.
  public private(set) var byteCount = 0

  private let target: String
  private let temporary: String
  private var descriptor: Int32
  private var buffer: [UInt8] = []

  // Rows of a recorded teacher come in pieces of a few kilobytes; one system call each is slow.
  private static let bufferByteCount = 1 << 18

  /// Creates the temporary file.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)`` when the folder does not exist or is not
  ///   writable, or when `path` is something other than a regular file.
  public init(path: String) throws(FormatError) {
    self.path = path
    guard !path.isEmpty else { throw .cannotWrite(path: path, reason: "the path is empty") }
    // A link is followed, so that the file it points to is replaced and not the link.
    let target = Self.resolved(path)
    var status = stat()
    var mode: mode_t?
    if stat(target, &status) == 0 {
      if status.st_mode & S_IFMT == S_IFDIR {
        throw .cannotWrite(path: path, reason: FormatError.isFolder)
      }
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw .cannotWrite(path: path, reason: "it is not a regular file")
      }
      mode = status.st_mode & 0o777
    }
    let folder = Self.folder(of: target)
    guard stat(folder, &status) == 0 else {
      let reason =
        errno == ENOENT ? "does not exist" : "cannot be used: " + String(cString: strerror(errno))
      throw .cannotWrite(path: path, reason: "the folder \"\(folder)\" \(reason)")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw .cannotWrite(path: path, reason: "\"\(folder)\" is not a folder")
    }

    var number = 0
    while true {
      let candidate = "\(folder)/.billhook-\(getpid())-\(number).tmp"
      let opened = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if opened >= 0 {
        descriptor = opened
        temporary = candidate
        break
      }
      guard errno == EEXIST, number < 10_000 else {
        throw .cannotWrite(
          path: path, reason: "the folder \"\(folder)\": \(String(cString: strerror(errno)))")
      }
      number += 1
    }
    self.target = target
    if let mode { fchmod(descriptor, mode) }
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(temporary)
    }
  }

  /// Appends bytes.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``, as when the disk is full.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    precondition(descriptor >= 0, "written after the commit")
    byteCount += bytes.count
    if buffer.count + bytes.count <= Self.bufferByteCount {
      buffer.append(contentsOf: bytes)
      return
    }
    try flush()
    if bytes.count < Self.bufferByteCount {
      buffer.append(contentsOf: bytes)
    } else {
      try writeThrough(bytes)
    }
  }

  /// Appends bytes.
  public func write(_ bytes: [UInt8]) throws(FormatError) {
    try bytes.withRawBytes { (raw) throws(FormatError) in try write(raw) }
  }

  /// Puts the finished file in its place.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``; the temporary file is then removed.
  public func commit() throws(FormatError) {
    precondition(descriptor >= 0, "committed twice")
    try flush()
    guard fsync(descriptor) == 0 else { throw failure() }
    guard rename(temporary, target) == 0 else { throw failure() }
    close(descriptor)
    descriptor = -1
    // The new name survives a power cut only after the folder is on the disk too. Some file systems
    // cannot do that; the file itself is safe, so this is no error.
    let folder = open(Self.folder(of: target), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  private func flush() throws(FormatError) {
    try buffer.withRawBytes { (raw) throws(FormatError) in try writeThrough(raw) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func writeThrough(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var rest = bytes
    while !rest.isEmpty {
      // Linux takes at most 2 GiB a call.
      let written = Foundation.write(descriptor, rest.baseAddress!, min(rest.count, 1 << 30))
      if written < 0 {
        if errno == EINTR { continue }
        throw failure()
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  private func failure() -> FormatError {
    .cannotWrite(path: path, reason: String(cString: strerror(errno)))
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}

extension AtomicFile {
  /// Writes a whole file.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``.
  public static func write(_ bytes: [UInt8], to path: String) throws(FormatError) {
    let file = try AtomicFile(path: path)
    try file.write(bytes)
    try file.commit()
  }

  /// Writes a whole file.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``.
  public static func write(_ data: Data, to path: String) throws(FormatError) {
    try write([UInt8](data), to: path)
  }

  /// Writes a whole text file in UTF-8.
  ///
  /// - Throws: ``FormatError/cannotWrite(path:reason:)``.
  public static func write(_ text: String, to path: String) throws(FormatError) {
    try write(Array(text.utf8), to: path)
  }
}
