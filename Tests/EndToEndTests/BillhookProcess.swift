import Foundation

/// Runs the built command as a user would.
struct BillhookProcess {
  var code: Int32
  var output: String
  var errors: String

  /// The executable beside the test bundle.
  static var executable: URL {
    let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      .deletingLastPathComponent()
    return folder.appendingPathComponent("billhook")
  }

  private static var path: String {
    let inherited = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return executable.deletingLastPathComponent().path + ":" + inherited
  }

  private static let home = NSTemporaryDirectory() + "/billhook-test-home-\(getpid())"

  init(_ arguments: String..., folder: String) throws {
    try self.init(arguments, folder: folder)
  }

  init(_ arguments: [String], folder: String) throws {
    try self.init(Self.executable, arguments, folder: folder)
  }

  /// Runs any program; a shell finds `billhook` on its path.
  init(_ program: URL, _ arguments: [String], folder: String) throws {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    // Several commands run at the same time here; threads that wait in a loop would slow them all.
    process.environment = ProcessInfo.processInfo.environment.merging(
      [
        "OMP_WAIT_POLICY": "passive", "PATH": Self.path,
        // The user's own trust file and quarantine have no say here.
        "XDG_CONFIG_HOME": Self.home, "XDG_CACHE_HOME": Self.home,
      ]) { $1 }
    // Files, because a pipe that nobody empties would block a long output.
    let files = try ["out", "err"].map { name in
      let url = URL(fileURLWithPath: NSTemporaryDirectory())
        .appendingPathComponent("billhook-\(UUID().uuidString).\(name)")
      _ = FileManager.default.createFile(atPath: url.path, contents: nil)
      return (url, try FileHandle(forWritingTo: url))
    }
    defer { for (url, _) in files { try? FileManager.default.removeItem(at: url) } }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = files[0].1
    process.standardError = files[1].1
    try process.run()
    process.waitUntilExit()
    code = process.terminationStatus
    output = try String(contentsOf: files[0].0, encoding: .utf8)
    errors = try String(contentsOf: files[1].0, encoding: .utf8)
  }
}
