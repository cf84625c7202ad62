internal import BillhookSandbox
internal import Foundation

/// The folders that a user's plugins, the trust file and the cache live in.
public struct PluginHome: Sendable, Equatable {
  /// Holds `plugins-trust.json`.
  public var configFolder: String
  /// Holds private copies of libraries, what they say of themselves, and the quarantine.
  public var cacheFolder: String
  /// Folders that are looked through for plugins, in this order.
  public var searchFolders: [String]

  public init(configFolder: String, cacheFolder: String, searchFolders: [String] = []) {
    self.configFolder = configFolder
    self.cacheFolder = cacheFolder
    self.searchFolders = searchFolders
  }

  /// All in one folder: for tests, and for runs that must leave the user's own alone.
  public init(folder: String) {
    self.init(configFolder: "\(folder)/config", cacheFolder: "\(folder)/cache")
  }

  /// Where the user's desktop keeps such things (XDG base directories), with the folders of
  /// `BILLHOOK_PLUGIN_PATH` before the user's and the system's plugins.
  ///
  /// A program with more rights than its user's ignores the environment.
  public static var standard: PluginHome {
    let isPrivileged = bh_runs_privileged() != 0
    let environment = isPrivileged ? [:] : ProcessInfo.processInfo.environment
    func folder(_ key: String, _ standard: String) -> String {
      if let given = environment[key], given.hasPrefix("/") { return "\(given)/billhook" }
      if let home = environment["HOME"], home.hasPrefix("/") {
        return "\(home)/\(standard)/billhook"
      }
      return "\(NSTemporaryDirectory())/billhook-\(getuid())/\(standard)"
    }
    let added = (environment["BILLHOOK_PLUGIN_PATH"] ?? "").split(separator: ":").map(String.init)
      .filter { $0.hasPrefix("/") }
    return PluginHome(
      configFolder: folder("XDG_CONFIG_HOME", ".config"),
      cacheFolder: folder("XDG_CACHE_HOME", ".cache"),
      searchFolders: added + [
        "\(folder("XDG_DATA_HOME", ".local/share"))/plugins", "/usr/local/lib/billhook/plugins",
        "/usr/lib/billhook/plugins",
      ])
  }

  public var policyPath: String { "\(configFolder)/plugins-trust.json" }

  /// A folder below the cache that only its owner can use, made when it is not there.
  func privateFolder(_ name: String) throws(PluginError) -> String {
    let path = "\(cacheFolder)/\(name)"
    try? FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    var status = stat()
    guard lstat(path, &status) == 0 else {
      throw .cannotStore(path: path, reason: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
      status.st_mode & 0o022 == 0
    else {
      throw .cannotStore(
        path: path, reason: "it must be a folder of this user's that nobody else can write")
    }
    return path
  }

  /// Writes a file beside its place and moves it there, readable by its owner alone.
  static func write(_ data: Data, to path: String, mode: mode_t = 0o600) throws(PluginError) {
    let temporary = "\(path).\(getpid())-\(UInt64.random(in: 0 ... .max)).tmp"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    func fail() -> PluginError {
      let error = PluginError.cannotStore(path: path, reason: String(cString: strerror(errno)))
      unlink(temporary)
      return error
    }
    guard descriptor >= 0 else { throw fail() }
    let isWritten = data.withUnsafeBytes { bytes -> Bool in
      var rest = bytes
      while !rest.isEmpty {
        let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
        guard count > 0 else { return false }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
      return true
    }
    close(descriptor)
    guard isWritten, rename(temporary, path) == 0 else { throw fail() }
  }
}
