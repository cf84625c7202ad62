/// Something in a recipe that must be changed before any work can start.
public struct RecipeProblem: Sendable, Equatable, CustomStringConvertible {
  /// The line in the file, from 1; nil when it came from `--set` or from nowhere.
  public var line: Int?
  /// Where, in the notation of `--set`: `stages.1.prune.ratio`; empty for the whole.
  public var path: String
  /// A sentence: what is wrong, what was found, what was expected.
  public var sentence: String

  public init(line: Int?, path: String, sentence: String) {
    self.line = line
    self.path = path
    self.sentence = sentence
  }

  public var description: String {
    let place = [line.map { "line \($0)" }, path.isEmpty ? nil : "\"\(path)\""]
      .compactMap { $0 }.joined(separator: ", ")
    return place.isEmpty ? sentence : "\(place): \(sentence)"
  }
}
