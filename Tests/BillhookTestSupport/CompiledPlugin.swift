internal import Foundation
internal import Synchronization

/// A plugin of this package in C, C++ or Rust, compiled by the system's compiler against the SDK
/// alone.
///
/// - Parameters:
///   - source: Path below the package's folder.
///   - defines: What follows `-D`, such as `MAGIC=1`; for C and C++.
///   - headers: The SDK's headers for C, below the package's folder.
///   - hidesSymbols: False for a library that exports all that it has.
///   - flags: More of the compiler's options; for C and C++.
/// - Returns: The path of the shared library, which is the same for the same arguments.
public func compiledPlugin(
  _ source: String, defines: [String] = [], headers: String = "PluginSDK/include",
  hidesSymbols: Bool = true, flags: [String] = []
) throws -> String {
  try PluginCompiler.compile(
    source, defines.map { "-D\($0)" } + flags, headers: headers, hidesSymbols: hidesSymbols)
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

  static func compile(
    _ source: String, _ options: [String], headers: String, hidesSymbols: Bool
  ) throws -> String {
    try made.withLock { made in
      let key = ([source, headers, "\(hidesSymbols)"] + options).joined(separator: " ")
      if let path = made[key] { return path }
      let name = URL(fileURLWithPath: source).deletingPathExtension().lastPathComponent
      let path = "\(folder)/\(name)-\(made.count).so"
      let compiler = Process()
      compiler.executableURL = URL(fileURLWithPath: "/bin/sh")
      compiler.arguments = ["-ec", try commands(source, options, headers, hidesSymbols, path)]
      let errors = Pipe()
      compiler.standardError = errors
      try compiler.run()
      let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      compiler.waitUntilExit()
      guard compiler.terminationStatus == 0 else {
        throw Failure(description: "\(source) could not be compiled: \(text)")
      }
      made[key] = path
      return path
    }
  }

  /// What a shell does to compile a source, by its suffix.
  private static func commands(
    _ source: String, _ options: [String], _ headers: String, _ hidesSymbols: Bool, _ path: String
  ) throws -> String {
    func quoted(_ text: String) -> String {
      "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }
    let sdk = quoted("\(packageFolder)/PluginSDK")
    let file = quoted("\(packageFolder)/\(source)")
    let shared =
      "-O1 -w -shared -fPIC -I \(quoted("\(packageFolder)/\(headers)")) -I \(sdk)/cxx "
      + "\(file) -o \(quoted(path)) -lm \(options.map(quoted).joined(separator: " ")) "
      + (hidesSymbols ? "-fvisibility=hidden -Wl,--version-script=\(sdk)/billhook.map" : "")
    switch URL(fileURLWithPath: source).pathExtension {
    case "c": return "/usr/bin/cc -std=c11 \(shared)"
    case "cc": return "/usr/bin/c++ -std=c++17 \(shared)"
    case "rs":
      // Debian's compiler, whatever else is on the path.
      let rustc = "/usr/bin/rustc --edition 2021 -O"
      // The compiler finds libraries of its own by this form of name alone.
      let library = URL(fileURLWithPath: path)
      let binding = quoted(
        "\(library.deletingLastPathComponent().path)/lib\(library.lastPathComponent).rlib")
      return "\(rustc) --crate-type rlib --crate-name billhook \(sdk)/rust/billhook.rs "
        + "-o \(binding)\n"
        + "\(rustc) -C strip=symbols --crate-type cdylib --extern billhook=\(binding) \(file) "
        + "-o \(quoted(path))"
    default: throw Failure(description: "nobody knows how to compile \(source)")
    }
  }
}
