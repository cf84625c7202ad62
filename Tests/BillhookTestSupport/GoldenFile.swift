public import Foundation

/// A recorded text in Tests/Golden that an output must be equal to.
///
/// `RECORD_GOLDEN=1` writes the new text, and the test fails all the same, so that a run that
/// records is never taken for one that passed.
public struct GoldenFile {
  public let url: URL

  /// - Parameter path: Relative to the package's folder.
  public init(_ path: String) { url = PackageFolder.url.appendingPathComponent(path) }

  /// Nil when the text is the recorded one, else what to do about it.
  public func difference(from text: String) -> String? {
    if ProcessInfo.processInfo.environment["RECORD_GOLDEN"] == "1" {
      do {
        try Data(text.utf8).write(to: url)
        return "recorded \(url.lastPathComponent); run again without RECORD_GOLDEN"
      } catch {
        return "cannot record \(url.path): \(error)"
      }
    }
    guard let data = try? Data(contentsOf: url) else {
      return "there is no \(url.path); record it with RECORD_GOLDEN=1"
    }
    let recorded = String(decoding: data, as: UTF8.self)
    guard recorded != text else { return nil }
    let old = recorded.split(separator: "\n", omittingEmptySubsequences: false)
    let new = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (number, pair) in zip(old, new).enumerated() where pair.0 != pair.1 {
      return
        "\(url.lastPathComponent), line \(number + 1): recorded \"\(pair.0)\", found \"\(pair.1)\""
    }
    return "\(url.lastPathComponent): recorded \(old.count) lines, found \(new.count)"
  }
}

/// The folder of Package.swift.
public enum PackageFolder {
  public static let url = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
}
