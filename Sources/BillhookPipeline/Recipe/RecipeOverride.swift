/// One `--set key.path=value`.
public struct RecipeOverride: Sendable, Equatable {
  /// Keys from the outside in; entries of the stage list by index from 0.
  public var path: [String]
  /// YAML: a number, a word, `[a, b]`, `{shift: 2}`.
  public var value: String

  /// Reads `stages.1.prune.ratio=0.7`.
  ///
  /// - Throws: ``PipelineError/override(_:problem:)``.
  public init(_ text: String) throws(PipelineError) {
    guard let equals = text.firstIndex(of: "=") else {
      throw .override(text, problem: "There is no \"=\". Write KEY.PATH=VALUE.")
    }
    path = text[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    value = String(text[text.index(after: equals)...])
    guard path.allSatisfy({ !$0.isEmpty }) else {
      throw .override(text, problem: "The key path before \"=\" has an empty part.")
    }
  }

  var text: String { "\(path.joined(separator: "."))=\(value)" }

  /// Puts the value into a recipe's tree; missing mappings on the way are made.
  func apply(to tree: inout RecipeValue) throws(PipelineError) {
    let parsed: RecipeValue
    if value.allSatisfy(\.isWhitespace) {
      parsed = RecipeValue(content: .scalar("", isQuoted: true))
    } else {
      do {
        parsed = try RecipeValue.parse(value, name: text)
      } catch {
        throw .override(text, problem: "The value is not YAML.")
      }
    }
    try put(parsed.withoutLines, at: path[...], into: &tree)
  }

  private func put(
    _ new: RecipeValue, at rest: ArraySlice<String>, into tree: inout RecipeValue
  ) throws(PipelineError) {
    guard let key = rest.first else {
      tree = new
      return
    }
    let place = path[..<rest.startIndex].joined(separator: ".")
    switch tree.content {
    case .mapping(var entries):
      if let index = entries.firstIndex(where: { $0.key == key }) {
        try put(new, at: rest.dropFirst(), into: &entries[index].value)
      } else {
        var value = RecipeValue(content: .mapping([]))
        try put(new, at: rest.dropFirst(), into: &value)
        entries.append(.init(key: key, line: nil, value: value))
      }
      tree.content = .mapping(entries)
    case .sequence(var items):
      guard let index = Int(key), items.indices.contains(index) else {
        throw .override(
          text,
          problem: "\"\(place)\" has \(items.count) entries, so \"\(key)\" must be a number from 0 "
            + "to \(items.count - 1).")
      }
      try put(new, at: rest.dropFirst(), into: &items[index])
      tree.content = .sequence(items)
    case .scalar(let word, _):
      // "- evaluate" and "new: cnn" are short for mappings; going into them needs the long form.
      throw .override(
        text,
        problem: "\"\(place)\" is \"\(word)\", which has no keys inside. Write it as a mapping in "
          + "the recipe first.")
    }
  }
}

extension RecipeValue {
  fileprivate var withoutLines: RecipeValue {
    switch content {
    case .scalar: RecipeValue(content: content)
    case .sequence(let items): RecipeValue(content: .sequence(items.map(\.withoutLines)))
    case .mapping(let entries):
      RecipeValue(
        content: .mapping(
          entries.map { .init(key: $0.key, line: nil, value: $0.value.withoutLines) }))
    }
  }
}
