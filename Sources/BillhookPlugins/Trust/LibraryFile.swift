internal import Crypto
internal import Foundation

/// A shared library on disk: found, hashed and known to be for this machine, but not loaded.
struct LibraryFile: Codable, Sendable, Equatable {
  /// Absolute, without symbolic links.
  let path: String
  /// Lower-case hexadecimal.
  let sha256: String
  /// How its functions are called, of a library that knows nothing of Billhook.
  private(set) var plain: PlainSource?
  /// True for a library of plain functions that the dynamic loader has as the system's own.
  private(set) var isSystems = false
  /// The private copy to load; nil until ``LibraryStore`` has made one.
  var loadPath: String?
  /// Copies of the libraries that it brings along, in the order of loading.
  var dependencies: [String] = []
  /// Digests of those, sorted.
  var dependencyDigests: [String] = []
  /// Folders that a process needs to read to load it.
  var readable: [String] = []

  init(path given: String) throws(PluginError) {
    let file = try RegularFile(path: given)
    path = file.path
    var hasher = SHA256()
    var header: [UInt8] = []
    try file.read { piece in
      if header.count < 64 { header += piece.prefix(64 - header.count) }
      hasher.update(bufferPointer: piece)
    }
    if let reason = Self.reasonNotToLoad(header) {
      throw .notALibrary(path: given, reason: reason)
    }
    sha256 = Self.hexadecimal(hasher.finalize())
  }

  /// The library that plain functions are of.
  init(plain source: PlainSource) throws(PluginError) {
    let record = try source.record()
    let place = try LibrarySearch.place(record.library, besides: source.folder)
    try self.init(path: place.path)
    if let expected = record.sha256, expected != sha256 {
      throw .wrongDigest(path: path, found: sha256, expected: expected)
    }
    plain = source
    isSystems = place.isSystems
  }

  /// Tells what is trusted, described and kept in quarantine from everything else: the file's digest,
  /// or that of the file and of what is said of its functions.
  var identity: String {
    guard let plain else { return sha256 }
    return Self.digest(of: Array("\(sha256) \(plain.hook?.rawValue ?? "") \(plain.text)".utf8))
  }

  /// What the user named.
  var name: String { plain?.name ?? path }

  static func digest(of bytes: some DataProtocol) -> String {
    hexadecimal(SHA256.hash(data: bytes))
  }

  private static func hexadecimal(_ digest: SHA256.Digest) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in digest { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
    return String(decoding: text, as: UTF8.self)
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
