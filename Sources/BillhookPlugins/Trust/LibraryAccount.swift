/// Everything that led to a decision about a library.
public struct LibraryAccount: Sendable, Codable, Equatable {
  /// A library, a manifest, or a plain function as it is written inline.
  public var path: String
  /// What a rule of the trust file names: the library's digest; of plain functions, the one of the
  /// library and its declaration.
  public var sha256: String
  /// Where the plain functions are; nil for a library with the SDK.
  public var library: String?
  public var origin: LibraryOrigin
  /// Where it runs; nil when it is not used.
  public var isolation: Isolation?
  /// Why, in words that follow "because".
  public var reason: String
  public var policyPath: String
  /// What the file says of itself; nil when it cannot be read.
  public var byteCount: Int?
  public var needed: [String]
  public var searchPaths: [String]
  public var exportedSymbols: [String]
  public var hasDebugInformation: Bool
  /// The sentence of the crash that put it into quarantine; nil when it is not there.
  public var quarantine: String?

  init(
    _ file: LibraryFile, _ origin: LibraryOrigin, _ decision: TrustDecision,
    _ settings: PluginSettings
  ) {
    let inspection = LibraryInspection(path: file.path)
    path = file.name
    sha256 = file.identity
    library = file.plain == nil ? nil : file.path
    self.origin = origin
    isolation = decision.isolation
    reason = decision.reason
    policyPath = settings.home.policyPath
    byteCount = inspection?.byteCount
    needed = inspection?.needed ?? []
    searchPaths = inspection?.searchPaths ?? []
    exportedSymbols = inspection?.exportedSymbols ?? []
    hasDebugInformation = inspection?.hasDebugInformation ?? false
    quarantine = settings.quarantine.entry(of: file)?.reason
  }

  /// One fact a line.
  public func text() -> String {
    func list(_ values: [String]) -> String {
      let shown = values.prefix(12).joined(separator: ", ")
      return values.isEmpty ? "none" : values.count > 12 ? "\(shown), … (\(values.count))" : shown
    }
    var facts = [
      ("file", path), ("SHA-256", sha256), ("library", library ?? ""), ("found", origin.rawValue),
      ("runs", isolation?.rawValue ?? "not at all"), ("because", reason),
      ("trust file", policyPath), ("size", byteCount.map { "\($0) bytes" } ?? "unknown"),
      ("needs", list(needed)), ("searches", list(searchPaths)), ("exports", list(exportedSymbols)),
      ("debug information", hasDebugInformation ? "yes" : "no"),
    ]
    if let quarantine { facts.append(("quarantine", quarantine)) }
    return facts.filter { !$0.1.isEmpty }.map { "\($0.0): \($0.1)\n" }.joined()
  }
}
