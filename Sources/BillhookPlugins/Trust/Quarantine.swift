internal import Foundation

/// Libraries that crashed or hung, with what is known of it, so that they are not tried again before
/// somebody says so.
///
/// A library that could not be loaded for want of another one is not kept here: it may well load
/// tomorrow.
public struct Quarantine: Sendable {
  public struct Entry: Sendable, Codable, Equatable {
    public var path: String
    /// The library's digest; of plain functions, the one of the library and its declaration.
    public var sha256: String
    /// The function that did not return.
    public var stage: String
    /// The sentence that the user read.
    public var reason: String
    /// The end of what the process wrote to its error output.
    public var output: String
    /// When, as "2026-01-31T12:00:00Z".
    public var date: String
    /// Digests of the libraries that it brought along.
    public var dependencies: [String]
    /// The build of this program that it happened with.
    public var hostBuild: String

    func error(_ file: LibraryFile) -> PluginError {
      .quarantined(path: file.name, sha256: sha256, reason: reason, date: date)
    }
  }

  private let home: PluginHome

  public init(home: PluginHome) { self.home = home }

  private func path(_ sha256: String) throws(PluginError) -> String {
    "\(try home.privateFolder("quarantine"))/\(sha256)-\(PluginSettings.hostBuild).json"
  }

  /// The entry of a library in this build with the libraries that it has now.
  func entry(of file: LibraryFile) -> Entry? {
    guard let path = try? path(file.identity), let entry = Self.read(path) else { return nil }
    guard !entry.dependencies.isEmpty else { return entry }
    let now = try? LibraryStore(home).copy(file, strictly: false).dependencyDigests
    return now == entry.dependencies ? entry : nil
  }

  func add(_ file: LibraryFile, stage: String, reason: String, output: String) {
    let dependencies = (try? LibraryStore(home).copy(file, strictly: false).dependencyDigests) ?? []
    let entry = Entry(
      path: file.path, sha256: file.identity, stage: stage, reason: reason, output: output,
      date: Date().formatted(.iso8601), dependencies: dependencies,
      hostBuild: PluginSettings.hostBuild)
    guard let path = try? path(file.identity), let data = try? PluginJSON.encoder.encode(entry)
    else { return }
    try? PluginHome.write(data, to: path)
  }

  /// All entries, whatever build they are of, ordered by date.
  public func entries() -> [Entry] {
    paths().compactMap(Self.read).sorted { ($0.date, $0.sha256) < ($1.date, $1.sha256) }
  }

  /// Lets libraries be tried again.
  ///
  /// - Parameter matching: True for the entries to forget.
  /// - Returns: How many there were.
  public func clear(_ matching: (Entry) -> Bool) -> Int {
    paths().count { path in
      guard let entry = Self.read(path), matching(entry) else { return false }
      return unlink(path) == 0
    }
  }

  private func paths() -> [String] {
    guard let folder = try? home.privateFolder("quarantine") else { return [] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".json") }.sorted().map { "\(folder)/\($0)" }
  }

  private static func read(_ path: String) -> Entry? {
    FileManager.default.contents(atPath: path)
      .flatMap { try? PluginJSON.decoder.decode(Entry.self, from: $0) }
  }
}
