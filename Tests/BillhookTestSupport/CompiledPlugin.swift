internal import Foundation
internal import Synchronization

/// A C plugin of this package, compiled by the system's compiler against the SDK's headers alone.
///
/// - Parameters:
///   - source: Path below the package's folder.
///   - defines: What follows `-D`, such as `MAGIC=1`.
/// - Returns: The path of the shared library, which is the same for the same arguments.
public func compiledPlugin(_ source: String, defines: [String] = []) throws -> String {
  try PluginCompiler.compile(source, defines: defines)
}

/// The folder of the package's manifest.
public let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().path

private enum PluginCompiler {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private static let made = Mutex<[String: String]>([:])

  private static let folder: String = {
    let name = "billhook-test-plugins-\(ProcessInfo.processInfo.processIdentifier)"
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // A loaded library stays readable after its file is gone.
    atexit { try? FileManager.default.removeItem(atPath: PluginCompiler.folder) }
    return path
  }()

  static func compile(_ source: String, defines: [String]) throws -> String {
    try made.withLock { made in
      let key = ([source] + defines).joined(separator: " ")
      if let path = made[key] { return path }
      let name = URL(fileURLWithPath: source).deletingPathExtension().lastPathComponent
      let path = "\(folder)/\(name)-\(made.count).so"
      let compiler = Process()
      compiler.executableURL = URL(fileURLWithPath: "/usr/bin/cc")
      compiler.arguments =
        ["-std=c11", "-O1", "-w", "-shared", "-fPIC", "-I", "\(packageFolder)/PluginSDK/include"]
        + defines.map { "-D\($0)" } + ["\(packageFolder)/\(source)", "-o", path, "-lm"]
      let errors = Pipe()
      compiler.standardError = errors
      try compiler.run()
      let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      compiler.waitUntilExit()
      guard compiler.terminationStatus == 0 else {
        throw Failure(description: "cc could not compile \(source): \(text)")
      }
      made[key] = path
      return path
    }
  }
}
