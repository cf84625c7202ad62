internal import Foundation
internal import Glibc

/// Finds the file that the dynamic loader means by a name such as `libm.so.6`, without loading it.
enum LibrarySearch {
  /// Where the library of a name is: as it is with a "/", beside the manifest, or where the loader
  /// would look.
  ///
  /// - Returns: Its path, and whether it is the system's own: found by the loader's rules, or in one
  ///   of its folders.
  static func place(
    _ name: String, besides folder: String?
  ) throws(PluginError) -> (path: String, isSystems: Bool) {
    if name.contains("/") {
      let path = if let folder, !name.hasPrefix("/") { "\(folder)/\(name)" } else { name }
      return (path, isSystems(path))
    }
    if let folder, access("\(folder)/\(name)", F_OK) == 0 {
      return ("\(folder)/\(name)", isSystems("\(folder)/\(name)"))
    }
    if let found = cached(name) { return (found, true) }
    for folder in ["/usr/local/lib", "/lib64", "/usr/lib64", "/lib", "/usr/lib"]
    where access("\(folder)/\(name)", F_OK) == 0 {
      return ("\(folder)/\(name)", true)
    }
    throw .libraryNotFound(name: name)
  }

  /// A second copy of, say, the C library in a process would be a second heap.
  private static func isSystems(_ path: String) -> Bool {
    guard let resolved = realpath(path, nil) else { return false }
    defer { free(resolved) }
    return LibraryStore.isSystem(
      URL(fileURLWithPath: String(cString: resolved)).deletingLastPathComponent().path)
  }

  /// Reads the loader's own index, `/etc/ld.so.cache`.
  ///
  /// Source: the GNU C Library, `struct cache_file_new` of version "1.1": a header of 48 bytes with
  /// the number of entries at byte 20, then entries of 24 bytes with the offsets of name and path
  /// at bytes 4 and 8 and the required processor features at byte 16.
  private static func cached(_ name: String) -> String? {
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: "/etc/ld.so.cache")) else {
      return nil
    }
    let bytes = [UInt8](data)
    let magic = Array("glibc-ld.so.cache1.1".utf8)
    guard bytes.count >= 48, Array(bytes[..<magic.count]) == magic else { return nil }
    func word(_ offset: Int) -> Int {
      guard offset + 4 <= bytes.count else { return 0 }
      return (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
    func text(_ offset: Int) -> String? {
      guard offset < bytes.count, let end = bytes[offset...].firstIndex(of: 0) else { return nil }
      return String(validating: bytes[offset..<end], as: UTF8.self)
    }
    for index in 0..<min(word(20), (bytes.count - 48) / 24) {
      let entry = 48 + 24 * index
      // Variants for newer processors; the loader takes them only where they fit.
      guard word(entry + 16) == 0, word(entry + 20) == 0, text(word(entry + 4)) == name,
        let path = text(word(entry + 8)), access(path, F_OK) == 0, isForThisMachine(path)
      else { continue }
      return path
    }
    return nil
  }

  private static func isForThisMachine(_ path: String) -> Bool {
    (try? LibraryFile(path: path)) != nil
  }
}
