internal import Crypto
internal import Glibc

/// A shared library on disk: found, hashed and known to be for this machine, but not loaded.
struct LibraryFile {
  /// Longer paths are refused before any loader sees them.
  static let pathLimit = 4095

  /// Absolute, without symbolic links.
  let path: String
  /// Lower-case hexadecimal.
  let sha256: String

  init(path given: String) throws(PluginError) {
    guard given.utf8.count <= Self.pathLimit else {
      throw .pathTooLong(length: given.utf8.count, limit: Self.pathLimit)
    }
    // A slash keeps the dynamic loader from searching its own folders.
    guard let resolved = realpath(given, nil) else {
      throw .cannotRead(path: given, reason: String(cString: strerror(errno)))
    }
    path = String(cString: resolved)
    free(resolved)

    // O_NONBLOCK: opening a named pipe must not wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw .cannotRead(path: given, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .cannotRead(path: given, reason: "not a regular file")
    }

    var hasher = SHA256()
    var header: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        throw .cannotRead(path: given, reason: String(cString: strerror(errno)))
      }
      guard count > 0 else { break }
      if header.count < 64 { header += buffer[..<min(count, 64 - header.count)] }
      buffer.withUnsafeBytes {
        hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<count]))
      }
    }
    if let reason = Self.reasonNotToLoad(header) {
      throw .notALibrary(path: given, reason: reason)
    }
    let digits = Array("0123456789abcdef")
    sha256 = String(hasher.finalize().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  /// Reads the ELF header: the dynamic loader's own messages for these cases help nobody.
  private static func reasonNotToLoad(_ header: [UInt8]) -> String? {
    guard header.count >= 64 else { return "it has \(header.count) bytes" }
    guard Array(header[..<4]) == [0x7F, 0x45, 0x4C, 0x46] else { return "it is not an ELF file" }
    guard header[4] == 2, header[5] == 1 else { return "it is not 64-bit little-endian" }
    let type = Int(header[16]) | Int(header[17]) << 8
    guard type == 3 else { return "its ELF type is \(type), not 3 (shared object)" }
    #if arch(x86_64)
      let expected = (62, "x86-64")
    #elseif arch(arm64)
      let expected = (183, "arm64")
    #else
      let expected = (Int(header[18]) | Int(header[19]) << 8, "this machine")
    #endif
    let machine = Int(header[18]) | Int(header[19]) << 8
    guard machine == expected.0 else {
      return "its machine type is \(machine), not \(expected.0) (\(expected.1))"
    }
    return nil
  }
}
