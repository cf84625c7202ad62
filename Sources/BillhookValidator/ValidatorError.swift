/// A reason why a validation cannot be done.
public enum ValidatorError: Error, Equatable, CustomStringConvertible {
  case cannotStart(program: String, reason: String)
  case cannotWrite(path: String, reason: String)
  case notAPattern(text: String, reason: String)
  case unknownTest(name: String)
  case cannotFuzz(library: String, reason: String)
  case noSuchPlugin(id: String, library: String, known: [String])

  /// True for a mistake in what was asked for, as opposed to a validation that went wrong.
  public var isUsage: Bool {
    switch self {
    case .notAPattern, .unknownTest, .noSuchPlugin: true
    case .cannotStart, .cannotWrite, .cannotFuzz: false
    }
  }

  public var description: String {
    switch self {
    case .cannotStart(let program, let reason):
      "Cannot start \"\(program)\" again for a test: \(reason)."
    case .cannotWrite(let path, let reason):
      "Cannot write to \"\(path)\": \(reason)."
    case .notAPattern(let text, let reason):
      "\"\(text)\" is not a regular expression: \(reason)."
    case .unknownTest(let name):
      "There is no test \"\(name)\"; \"billhook plugin validate --list\" shows all."
    case .cannotFuzz(let library, let reason):
      "Cannot use \"\(library)\": \(reason)"
    case .noSuchPlugin(let id, let library, let known):
      """
      The library "\(library)" has no plugin "\(id)"; it has \
      \(known.map { "\"\($0)\"" }.joined(separator: ", ")).
      """
    }
  }
}
