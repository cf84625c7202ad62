internal import Foundation

/// A folder of one test's own, removed at its end.
public final class TemporaryFolder {
  public let path: String

  public init() {
    var template = Array((NSTemporaryDirectory() + "billhook-test-XXXXXX").utf8CString)
    precondition(
      mkdtemp(&template) != nil, "no temporary folder: \(String(cString: strerror(errno)))")
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a file in the folder.
  public func callAsFunction(_ name: String) -> String { path + "/" + name }

  /// Writes a file and returns its path.
  public func file(_ name: String, _ bytes: [UInt8]) -> String {
    precondition(FileManager.default.createFile(atPath: self(name), contents: Data(bytes)))
    return self(name)
  }

  /// The bytes of a file in the folder; empty when there is none.
  public func bytes(_ name: String) -> [UInt8] {
    FileManager.default.contents(atPath: self(name)).map { [UInt8]($0) } ?? []
  }

  /// The names in the folder, sorted.
  public var names: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() ?? []
  }
}
