internal import Foundation

/// How a library came to our attention.
public enum LibraryOrigin: String, Sendable, Codable {
  case builtIn = "built-in"
  case searched
  case given
}

/// Whether a library is used, and where it runs, with the reason.
public struct TrustDecision: Sendable, Equatable {
  /// Nil when it is not used.
  public var isolation: Isolation?
  /// Why, in words that follow "because".
  public var reason: String
}

/// Decides about libraries: built-ins by the list that was made when they were built, all others by
/// the user's trust file.
struct TrustRules: Sendable {
  let settings: PluginSettings
  /// Nil when the trust file cannot be used.
  let policy: PluginPolicy?
  /// Digests of the built-ins.
  let builtIns: Set<String>

  func decision(_ file: LibraryFile, _ origin: LibraryOrigin) -> TrustDecision {
    if builtIns.contains(file.identity) {
      return TrustDecision(
        isolation: max(settings.isolation ?? .inproc, .inproc), reason: "it is a built-in")
    }
    if let rule = policy?.rule(for: file.identity) {
      return TrustDecision(
        isolation: rule.isolation,
        reason: "\"\(settings.home.policyPath)\" has a rule for its digest")
    }
    switch origin {
    case .builtIn:
      return TrustDecision(reason: "it is in the built-ins' folder but not on their list")
    case .searched:
      return TrustDecision(
        reason: "it was found in a folder, and the trust file has no rule for it")
    case .given: break
    }
    guard let policy else {
      return TrustDecision(
        reason: "the trust file cannot be used, billhook plugin doctor says why")
    }
    if let isolation = settings.isolation {
      return TrustDecision(isolation: isolation, reason: "the command line says so")
    }
    switch policy.default {
    case .deny: return TrustDecision(reason: "the trust file denies what it does not know")
    case .worker:
      return TrustDecision(isolation: .worker, reason: "it was given by path and is not known")
    case .ask:
      return settings.ask?(file.name, file.identity) == true
        ? TrustDecision(isolation: .worker, reason: "you said yes")
        : TrustDecision(reason: "the trust file says to ask, and nobody said yes")
    }
  }
}

/// The digests of the built-ins.
enum BuiltInList {
  /// Beside the libraries; each line is a digest, two spaces and a file name, as sha256sum writes.
  static let fileName = "plugins.sha256"

  /// The digests on the folder's list. Without a list (a build tree): those of libraries in it that
  /// belong to the owner of this program, who could as well have changed the program.
  static func digests(in folder: String, libraries: [LibraryFile]) -> Set<String> {
    if let data = FileManager.default.contents(atPath: "\(folder)/\(fileName)") {
      let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
      return Set(lines.map { String($0.prefix(64)) }.filter(PluginPolicy.isDigest))
    }
    var program = stat()
    guard stat(PluginSettings.executablePath, &program) == 0 else { return [] }
    return Set(
      libraries.filter { library in
        var status = stat()
        let places = [library.path, library.plain?.path ?? library.path]
        return places.allSatisfy {
          stat($0, &status) == 0 && status.st_uid == program.st_uid
        }
      }.map(\.identity))
  }
}
