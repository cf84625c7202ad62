internal import Foundation

/// A file that somebody named: opened without waiting, and known to be one that only its owner
/// changes.
struct RegularFile: ~Copyable {
  /// Longer paths are refused before any loader sees them.
  static let pathLimit = 4095

  /// Absolute, without symbolic links.
  let path: String
  private let descriptor: Int32

  init(path given: String) throws(PluginError) {
    guard !given.isEmpty else { throw .cannotRead(path: given, reason: "the path is empty") }
    guard given.utf8.count <= Self.pathLimit else {
      throw .pathTooLong(length: given.utf8.count, limit: Self.pathLimit)
    }
    // A slash keeps the dynamic loader from searching its own folders.
    guard let resolved = realpath(given, nil) else {
      throw .cannotRead(path: given, reason: String(cString: strerror(errno)))
    }
    let path = String(cString: resolved)
    free(resolved)

    // O_NONBLOCK: opening a named pipe must not wait for a writer. O_NOFOLLOW: the links were
    // followed above, and another one since then is no accident.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
    guard descriptor >= 0 else {
      throw .cannotRead(path: given, reason: String(cString: strerror(errno)))
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw .cannotRead(path: given, reason: "not a regular file")
    }
    if let place = Self.writableByOthers(path, status) {
      close(descriptor)
      throw .writableByOthers(path: given, place: place)
    }
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Hands out the content, piece by piece.
  func read(_ take: (UnsafeRawBufferPointer) -> Void) throws(PluginError) {
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = buffer.withUnsafeMutableBytes {
        Glibc.read(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        throw .cannotRead(path: path, reason: String(cString: strerror(errno)))
      }
      guard count > 0 else { return }
      buffer.withUnsafeBytes { take(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
  }

  /// The content; of a longer file the first `limit + 1` bytes.
  func content(limit: Int) throws(PluginError) -> Data {
    var data = Data()
    try read { piece in
      if data.count <= limit { data.append(contentsOf: piece.prefix(limit + 1 - data.count)) }
    }
    return data
  }

  /// The file or the first folder above it that every user may change. A folder where each may only
  /// remove what is his own (as /tmp) is fine.
  private static func writableByOthers(_ path: String, _ file: stat) -> String? {
    if file.st_mode & S_IWOTH != 0 { return path }
    var folder = path
    while let slash = folder.lastIndex(of: "/"), folder != "/" {
      folder = slash == folder.startIndex ? "/" : String(folder[..<slash])
      var status = stat()
      guard stat(folder, &status) == 0 else { return nil }
      if status.st_mode & S_IWOTH != 0, status.st_mode & S_ISVTX == 0 { return folder }
    }
    return nil
  }
}
