/// A reason why a recipe, a data source or a piece of work cannot be used.
public enum PipelineError: Error, Equatable, CustomStringConvertible {
  case dataSource(String, problem: String)
  case cannotRead(path: String, reason: String)
  case recipe(name: String, problems: [RecipeProblem])
  case override(String, problem: String)

  public var description: String {
    switch self {
    case .dataSource(let text, let problem):
      "The data source \"\(text)\" cannot be used. \(problem)"
    case .cannotRead(let path, let reason):
      "Cannot read \"\(path)\": \(reason). Check the path."
    case .recipe(let name, let problems):
      if problems.count == 1 {
        "The recipe \"\(name)\" cannot be used. \(capitalized(problems[0].description))"
      } else {
        "The recipe \"\(name)\" has \(problems.count) problems.\n"
          + problems.map { "  \($0)" }.joined(separator: "\n")
      }
    case .override(let text, let problem):
      "The setting \"\(text)\" cannot be used. \(problem)"
    }
  }

  private func capitalized(_ text: String) -> String {
    text.prefix(1).uppercased() + text.dropFirst()
  }
}
