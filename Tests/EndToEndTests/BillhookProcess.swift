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

  init(_ arguments: String..., folder: String) throws {
    try self.init(arguments, folder: folder)
  }

  init(_ arguments: [String], folder: String) throws {
    let process = Process()
    process.executableURL = Self.executable
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    // Files, because a pipe that nobody empties would block a long output.
    let files = try ["out", "err"].map { name in
      let url = URL(fileURLWithPath: NSTemporaryDirectory())
        .appendingPathComponent("billhook-\(UUID().uuidString).\(name)")
      FileManager.default.createFile(atPath: url.path, contents: nil)
      return (url, try FileHandle(forWritingTo: url))
    }
    defer { for (url, _) in files { try? FileManager.default.removeItem(at: url) } }
    process.standardOutput = files[0].1
    process.standardError = files[1].1
    try process.run()
    process.waitUntilExit()
    code = process.terminationStatus
    output = try String(contentsOf: files[0].0, encoding: .utf8)
    errors = try String(contentsOf: files[1].0, encoding: .utf8)
  }
}
