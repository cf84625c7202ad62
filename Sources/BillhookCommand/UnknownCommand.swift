internal import ArgumentParser
internal import Billhook

/// A word in the place of a command that is none.
struct UnknownCommand: CustomStringConvertible {
  private let word: String
  /// The command in front of it as it is typed, such as "billhook plugin".
  private let parent: String
  /// The commands that could stand there.
  private let known: [String]

  /// What people type for a command of another name.
  private static let synonyms = ["distrust": "trust --remove", "untrust": "trust --remove"]

  /// Looks through arguments that the parser refused; nil when their commands exist.
  init?(_ arguments: [String], under root: any ParsableCommand.Type) {
    var command = root
    var path = [root._commandName]
    for argument in arguments {
      let commands = command.configuration.subcommands
      guard !commands.isEmpty, !argument.hasPrefix("-"), argument != "help" else { return nil }
      guard let next = commands.first(where: { $0._commandName == argument }) else {
        word = argument
        parent = path.joined(separator: " ")
        known = commands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
        return
      }
      command = next
      path.append(argument)
    }
    return nil
  }

  var description: String {
    var near = nearestNames(to: word, in: known)
    if let synonym = Self.synonyms[word], known.contains(where: { synonym.hasPrefix("\($0) ") }) {
      near = [synonym]
    }
    let meant = near.map { "\"\(parent) \($0)\"" }.joined(separator: " or ")
    return """
      There is no command "\(parent) \(word)"\(near.isEmpty ? "" : "; did you mean \(meant)?")\
      \(near.isEmpty ? "." : "") "\(parent)" has the commands \(known.joined(separator: ", ")); \
      "\(parent) --help" says what they do.
      """
  }
}
