internal import Foundation
internal import Synchronization

/// A library of this package in C or Fortran that knows nothing of Billhook, with all its functions
/// exported.
///
/// - Parameters:
///   - source: Path below the package's folder.
///   - debugInformation: Whether the library describes its own functions.
/// - Returns: The path of the shared library, which is the same for the same arguments.
public func compiledLibrary(_ source: String, debugInformation: Bool = false) throws -> String {
  try LibraryCompiler.compile(source, debugInformation: debugInformation)
}

private enum LibraryCompiler {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private static let made = Mutex<[String: String]>([:])

  private static let folder: String = {
    let name = "billhook-test-libraries-\(ProcessInfo.processInfo.processIdentifier)"
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // A loaded library stays readable after its file is gone.
    atexit { try? FileManager.default.removeItem(atPath: LibraryCompiler.folder) }
    return path
  }()

  static func compile(_ source: String, debugInformation: Bool) throws -> String {
    try made.withLock { made in
      let key = "\(source) \(debugInformation)"
      if let path = made[key] { return path }
      let name = URL(fileURLWithPath: source).deletingPathExtension().lastPathComponent
      let path = "\(folder)/lib\(name)-\(made.count).so"
      let isFortran = source.hasSuffix(".f90")
      let compiler = Process()
      compiler.executableURL = URL(fileURLWithPath: isFortran ? "/usr/bin/gfortran" : "/usr/bin/cc")
      compiler.arguments =
        (isFortran ? [] : ["-std=c11"]) + [
          "-O1", "-w", "-shared", "-fPIC", debugInformation ? "-g" : "-g0",
          "\(packageFolder)/\(source)", "-o", path, "-lm",
        ]
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
}
