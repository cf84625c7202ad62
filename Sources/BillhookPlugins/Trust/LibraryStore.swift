internal import BillhookSandbox
internal import Foundation

/// Private copies of libraries, by content: what is loaded is what was hashed, whatever happens to
/// the original meanwhile.
struct LibraryStore {
  private static let dependencyLimit = 64

  private let home: PluginHome

  init(_ home: PluginHome) { self.home = home }

  /// The library with the place of its copy, made when it is not there yet.
  ///
  /// Libraries that it needs and finds beside itself (`$ORIGIN`) or in a folder of its own choosing
  /// are copied beside it. System libraries are left to the loader.
  ///
  /// A library of plain functions that is the system's own is loaded from where it is: a copy of, say,
  /// the C library would be a second one in the process.
  ///
  /// - Parameter strictly: Refuses search paths that lead out of the library's folder.
  func copy(_ file: LibraryFile, strictly: Bool) throws(PluginError) -> LibraryFile {
    guard file.loadPath == nil else { return file }
    if file.isSystems {
      var result = file
      result.loadPath = file.path
      result.readable = [URL(fileURLWithPath: file.path).deletingLastPathComponent().path]
      return result
    }
    let folder = try home.privateFolder("libraries/\(file.sha256)")
    let name = URL(fileURLWithPath: file.path).lastPathComponent
    var result = file
    result.loadPath = try copy(file.path, sha256: file.sha256, to: "\(folder)/\(name)")
    result.readable = [folder]

    var waiting = [file.path]
    var seen: Set<String> = [name]
    while let path = waiting.popLast() {
      guard let inspection = LibraryInspection(path: path) else { continue }
      let origin = URL(fileURLWithPath: path).deletingLastPathComponent().path
      let folders = inspection.searchPaths.map { Self.expand($0, origin: origin) }
      let outside = folders.first { !Self.isInside($0, origin) && !Self.isSystem($0) }
      if strictly, let outside {
        throw .searchesOutside(path: file.path, folder: outside)
      }
      result.readable += folders.filter { !Self.isSystem($0) && !Self.isInside($0, origin) }
      for needed in inspection.needed where !needed.contains("/") && !seen.contains(needed) {
        let places = folders.filter { !Self.isSystem($0) }.map { folder in "\(folder)/\(needed)" }
        let found = places.first { (place: String) in access(place, R_OK) == 0 }
        guard let found else { continue }
        seen.insert(needed)
        guard seen.count <= Self.dependencyLimit else {
          throw .cannotLoad(
            path: file.path, reason: "it needs more than \(Self.dependencyLimit) libraries")
        }
        let dependency = try LibraryFile(path: found)
        let place = try copy(
          dependency.path, sha256: dependency.sha256,
          to: "\(folder)/\(dependency.sha256.prefix(16))-\(needed)")
        // Before the library itself, so that the loader finds it under its own name.
        result.dependencies.insert(place, at: 0)
        result.dependencyDigests.append(dependency.sha256)
        waiting.append(dependency.path)
      }
    }
    result.dependencyDigests.sort()
    return result
  }

  private func copy(_ path: String, sha256: String, to place: String) throws(PluginError) -> String
  {
    var status = stat()
    // Only this user can have put it there, but it may be damaged since, or another one.
    if lstat(place, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      let copy = try? Data(contentsOf: URL(fileURLWithPath: place), options: .mappedIfSafe),
      LibraryFile.digest(of: copy) == sha256
    {
      return place
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw .cannotRead(path: path, reason: String(cString: strerror(errno)))
    }
    guard LibraryFile.digest(of: data) == sha256 else { throw .changedWhileRead(path: path) }
    try PluginHome.write(data, to: place, mode: 0o500)
    return place
  }

  private static func expand(_ path: String, origin: String) -> String {
    let text = path.replacingOccurrences(of: "${ORIGIN}", with: origin)
      .replacingOccurrences(of: "$ORIGIN", with: origin)
    return URL(fileURLWithPath: text).standardizedFileURL.path
  }

  private static func isInside(_ path: String, _ folder: String) -> Bool {
    path == folder || path.hasPrefix(folder + "/")
  }

  /// Where libraries of the system and of Swift are.
  static func isSystem(_ folder: String) -> Bool {
    systemFolders.contains { isInside(folder, $0) } || folder == swiftRuntimeFolder
  }

  static let systemFolders = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]

  /// What every worker may read: libraries, and what they ask about the machine.
  static let machineFiles =
    systemFolders + [
      "/etc/ld.so.cache", "/sys/devices/system", "/proc/self", "/proc/cpuinfo", "/proc/meminfo",
      "/proc/sys/vm", "/dev/null", "/dev/zero", "/dev/urandom", "/usr/share/zoneinfo",
    ]

  private static let swiftRuntimeFolder: String? = {
    folder(ofLibraryWith: "swift_retain")
  }()

  /// The folder of the loaded library that offers a symbol.
  static func folder(ofLibraryWith symbol: String) -> String? {
    var path = [CChar](repeating: 0, count: 4096)
    guard bh_library_of(symbol, &path, UInt64(path.count)) == 0,
      let resolved = realpath(path, nil)
    else { return nil }
    defer { free(resolved) }
    return URL(fileURLWithPath: String(cString: resolved)).deletingLastPathComponent().path
  }
}
