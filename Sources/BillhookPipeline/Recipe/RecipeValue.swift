internal import Yams

/// A YAML value with the lines it came from.
struct RecipeValue: Equatable {
  enum Content: Equatable {
    /// `isQuoted`: a person put quotes around it, so `"1"` is a text and not a number.
    case scalar(String, isQuoted: Bool)
    case mapping([Entry])
    case sequence([RecipeValue])
  }

  struct Entry: Equatable {
    var key: String
    var line: Int?
    var value: RecipeValue
  }

  var content: Content
  var line: Int?

  /// What a person would call the content.
  var kindName: String {
    switch content {
    case .scalar(let text, _): text.isEmpty ? "empty" : "\"\(text)\""
    case .mapping: "a mapping"
    case .sequence: "a list"
    }
  }

  /// The largest file and tree that are read: a hundred times what a recipe needs, and small enough
  /// that aliases of aliases cannot fill the memory.
  static let byteLimit = 1 << 20
  static let valueLimit = 100_000

  /// Parses YAML text.
  ///
  /// - Throws: ``RecipeProblem`` list as ``PipelineError/recipe(name:problems:)``.
  static func parse(_ text: String, name: String) throws(PipelineError) -> RecipeValue {
    func fail(_ line: Int?, _ sentence: String) -> PipelineError {
      .recipe(name: name, problems: [RecipeProblem(line: line, path: "", sentence: sentence)])
    }
    guard text.utf8.count <= byteLimit else {
      throw fail(nil, "The text has \(text.utf8.count) bytes; a recipe has at most \(byteLimit).")
    }
    do {
      guard let node = try Yams.compose(yaml: text) else {
        throw fail(nil, "The recipe is empty. It needs at least version, model, output and stages.")
      }
      var budget = valueLimit
      return try RecipeValue(node, budget: &budget, path: "") { fail($0, $1) }
    } catch let error as PipelineError {
      throw error
    } catch let error as YamlError {
      let (line, sentence) = explain(error)
      throw fail(line, sentence)
    } catch {
      throw fail(nil, "The text is not YAML: \(error).")
    }
  }

  private init(
    _ node: Node, budget: inout Int, path: String, _ fail: (Int?, String) -> PipelineError
  ) throws {
    line = node.mark?.line
    budget -= 1
    guard budget > 0 else {
      throw fail(line, "The recipe has more than \(Self.valueLimit) values.")
    }
    switch node {
    case .scalar(let scalar):
      let isQuoted = scalar.style == .singleQuoted || scalar.style == .doubleQuoted
      content = .scalar(scalar.string, isQuoted: isQuoted)
    case .sequence(let sequence):
      var items: [RecipeValue] = []
      for item in sequence {
        items.append(try RecipeValue(item, budget: &budget, path: path, fail))
      }
      content = .sequence(items)
    case .mapping(let mapping):
      var entries: [Entry] = []
      for (key, value) in mapping {
        guard case .scalar(let scalar) = key else {
          throw fail(key.mark?.line, "A key must be a word, but a list or mapping was found.")
        }
        entries.append(
          Entry(
            key: scalar.string, line: key.mark?.line,
            value: try RecipeValue(value, budget: &budget, path: path, fail)))
      }
      content = .mapping(entries)
    case .alias:
      throw fail(line, "An alias points nowhere.")
    }
  }

  private static func explain(_ error: YamlError) -> (line: Int?, sentence: String) {
    switch error {
    case .scanner(let context, let problem, let mark, _),
      .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let circumstance = context.map { " (\($0.text))" } ?? ""
      return (mark.line, "The text is not YAML: \(problem)\(circumstance).")
    case .duplicatedKeysInMapping(let duplicates, let context):
      return (
        context.mark.line,
        "The key \(duplicates.map { "\"\($0)\"" }.joined(separator: ", ")) stands twice."
      )
    default:
      return (nil, "The text is not YAML: \(error).")
    }
  }
}

extension RecipeValue {
  init(content: Content) {
    self.content = content
    line = nil
  }
}
