internal import Foundation

/// The user's decisions about plugins: the content of `plugins-trust.json`.
public struct PluginPolicy: Sendable, Equatable, Codable {
  public static let schema = "billhook.trust/1"

  /// What becomes of a library that no rule names and that was given by path. Libraries that were
  /// only found in a folder are denied in any case.
  public enum Standard: String, Sendable, Codable, CaseIterable { case deny, worker, ask }

  /// A library that the user knows.
  public struct Rule: Sendable, Equatable, Codable {
    /// Lower-case hexadecimal digest of the file.
    public var sha256: String
    /// The module's id, for people.
    public var id: String?
    public var isolation: Isolation
    /// Why, for people.
    public var note: String?
    /// The day the rule was made, as "2026-01-31".
    public var added: String?

    public init(
      sha256: String, id: String? = nil, isolation: Isolation, note: String? = nil,
      added: String? = nil
    ) {
      self.sha256 = sha256
      self.id = id
      self.isolation = isolation
      self.note = note
      self.added = added
    }
  }

  public var schema = Self.schema
  public var `default` = Standard.worker
  public var rules: [Rule] = []

  public init(default: Standard = .worker, rules: [Rule] = []) {
    self.default = `default`
    self.rules = rules
  }

  public func rule(for sha256: String) -> Rule? { rules.first { $0.sha256 == sha256 } }

  /// Reads the file; a missing one is the standard policy.
  ///
  /// - Throws: `PluginError.badPolicy` for a file that others can write or read, and for content
  ///   that is not what the schema says. Nothing is trusted then.
  public init(path: String) throws(PluginError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else {
      guard errno == ENOENT || errno == ENOTDIR else {
        throw .badPolicy(path: path, reason: String(cString: strerror(errno)))
      }
      self.init()
      return
    }
    let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(), status.st_mode & 0o077 == 0
    else {
      throw .badPolicy(
        path: path,
        reason: "it must belong to this user, with permissions 600 (chmod 600 \"\(path)\")")
    }
    guard let data = try? file.readToEnd() ?? Data() else {
      throw .badPolicy(path: path, reason: "it cannot be read")
    }
    try Self.checkKeys(data, path)
    do {
      self = try JSONDecoder().decode(Self.self, from: data)
    } catch {
      throw .badPolicy(path: path, reason: Self.explain(error))
    }
    guard schema == Self.schema else {
      throw .badPolicy(path: path, reason: "\"schema\" is \"\(schema)\", not \"\(Self.schema)\"")
    }
    for rule in rules where !Self.isDigest(rule.sha256) {
      throw .badPolicy(
        path: path, reason: "\"sha256\" is \"\(rule.sha256)\", not 64 hexadecimal digits")
    }
  }

  static func isDigest(_ text: String) -> Bool {
    text.utf8.count == 64
      && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }

  /// A misspelt key must not make a rule milder than it was meant.
  private static func checkKeys(_ data: Data, _ path: String) throws(PluginError) {
    guard let top = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw .badPolicy(path: path, reason: "it is not a JSON object")
    }
    let rules = top["rules"] as? [[String: Any]] ?? []
    for (object, known) in [(top, ["schema", "default", "rules"])]
      + rules.map({ ($0, ["sha256", "id", "isolation", "note", "added"]) })
    {
      for key in object.keys.sorted() where !known.contains(key) {
        throw .badPolicy(path: path, reason: "there is no key \"\(key)\"")
      }
    }
  }

  private static func explain(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "the key \"\(key.stringValue)\" is missing"
    case DecodingError.dataCorrupted(let context), DecodingError.typeMismatch(_, let context),
      DecodingError.valueNotFound(_, let context):
      "\"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" has a wrong value"
    default: "it is damaged"
    }
  }

  /// Adds a rule, or replaces the one of the same digest.
  public mutating func set(_ rule: Rule) {
    rules.removeAll { $0.sha256 == rule.sha256 }
    rules.append(rule)
  }

  /// Takes away the rules of a digest, or of all that begin with its first characters.
  ///
  /// - Parameter start: At least six hexadecimal digits.
  /// - Returns: The rules that were there; none for a start that is shorter.
  public mutating func remove(digest start: String) -> [Rule] {
    guard start.utf8.count >= 6 else { return [] }
    let removed = rules.filter { $0.sha256.hasPrefix(start) }
    rules.removeAll { $0.sha256.hasPrefix(start) }
    return removed
  }

  /// Writes the file for its owner alone.
  public func write(to path: String) throws(PluginError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      throw .cannotStore(path: path, reason: "it cannot be encoded")
    }
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    try? FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    try PluginHome.write(data + Data("\n".utf8), to: path)
  }
}
