internal import BillhookPlugins
internal import BillhookTensor

/// Reads the keys of one mapping against its section of the vocabulary.
///
/// Wrong values are noted as problems and read as nil, so that one pass finds all of them.
struct SectionReader {
  let section: RecipeSection
  let path: String
  private let entries: [RecipeValue.Entry]
  private let problems: ProblemList
  /// The keys that unknown ones seem to mean.
  private var misspelt: [String] = []

  init(_ value: RecipeValue, _ section: RecipeSection, path: String, problems: ProblemList) {
    self.section = section
    self.path = path
    self.problems = problems
    switch value.content {
    case .mapping(let found): entries = found
    case .scalar("", _): entries = []
    default:
      entries = []
      problems.add(
        value.line, path,
        "Found \(value.kindName), but a mapping with keys such as "
          + "\"\(section.keys.first?.name ?? "")\" is needed.")
      return
    }
    let known = section.keys.map(\.name)
    for entry in entries where section[entry.key] == nil {
      problems.add(
        entry.line, join(entry.key),
        "There is no key \"\(entry.key)\" here.\(suggestion(for: entry.key, in: known)) "
          + "Keys: \(known.joined(separator: ", ")).")
    }
    misspelt = entries.filter { section[$0.key] == nil }
      .compactMap { nearestNames(to: $0.key, in: known).first }
    for key in section.keys where key.isRequired && self[key.name] == nil {
      note(key.name, at: value.line, path, "The key \"\(key.name)\" is missing: \(key.doc)")
    }
  }

  func join(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// The value of a key; nil when it is left out.
  subscript(key: String) -> RecipeValue? {
    precondition(section[key] != nil, "\"\(key)\" is not in the vocabulary of \"\(path)\"")
    return entries.first { $0.key == key }?.value
  }

  func line(_ key: String) -> Int? { entries.first { $0.key == key }?.line }

  func note(_ key: String, _ sentence: String) { note(key, at: line(key), join(key), sentence) }

  private func note(_ key: String, at line: Int?, _ place: String, _ sentence: String) {
    // What a misspelt key leaves missing is said where it is misspelt.
    guard !misspelt.contains(key) else { return }
    problems.add(line, place, sentence)
  }

  // MARK: - Values by kind

  func text(_ key: String) -> String? {
    guard let value = self[key] else { return nil }
    guard case .scalar(let text, _) = value.content, !text.isEmpty else {
      note(key, "Found \(value.kindName), but a text is needed.")
      return nil
    }
    return text
  }

  func integer(_ key: String) -> Int? {
    guard case .integer(let low, let high)? = section[key]?.kind else {
      preconditionFailure("\"\(key)\" is not an integer in the vocabulary")
    }
    guard let value = self[key] else { return nil }
    guard case .scalar(let text, false) = value.content, let number = Int(text),
      number >= low, number <= high
    else {
      var limit = ""
      if case .scalar(let text, false) = value.content, (Double(text) ?? 0) >= Double(high) {
        limit = " and at most \(high)"
      }
      note(
        key, "Found \(value.kindName), but a whole number of at least \(low)\(limit) is needed.")
      return nil
    }
    return number
  }

  func number(_ key: String) -> Double? {
    guard case .number(let range)? = section[key]?.kind else {
      preconditionFailure("\"\(key)\" is not a number in the vocabulary")
    }
    guard let value = self[key] else { return nil }
    guard case .scalar(let text, false) = value.content, let number = Double(text),
      range.contains(number)
    else {
      note(key, "Found \(value.kindName), but a number \(range.description) is needed.")
      return nil
    }
    return number
  }

  func boolean(_ key: String) -> Bool? {
    guard let value = self[key] else { return nil }
    guard case .scalar(let text, false) = value.content,
      let truth = ["true": true, "false": false][text]
    else {
      note(key, "Found \(value.kindName), but true or false is needed.")
      return nil
    }
    return truth
  }

  func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ key: String, of type: Choice.Type
  ) -> Choice? {
    word(key, of: Choice.allCases.map(\.rawValue)).flatMap(Choice.init(rawValue:))
  }

  func word(_ key: String, of words: [String]) -> String? {
    guard let value = self[key] else { return nil }
    guard case .scalar(let text, _) = value.content, words.contains(text) else {
      var hint = ""
      if case .scalar(let text, _) = value.content { hint = suggestion(for: text, in: words) }
      note(
        key,
        "Found \(value.kindName), but one of \(words.joined(separator: ", ")) is needed.\(hint)")
      return nil
    }
    return text
  }

  /// A list of texts, or one text for a list of one.
  func texts(_ key: String) -> [String] {
    guard let value = self[key] else { return [] }
    if case .scalar(let text, _) = value.content, !text.isEmpty { return [text] }
    guard case .sequence(let items) = value.content else {
      note(key, "Found \(value.kindName), but a list of texts is needed.")
      return []
    }
    return items.compactMap { item in
      if case .scalar(let text, _) = item.content, !text.isEmpty { return text }
      problems.add(item.line, join(key), "Found \(item.kindName), but a text is needed.")
      return nil
    }
  }

  func sizes(_ key: String, count: Int) -> [Int]? {
    guard let value = self[key] else { return nil }
    if case .sequence(let items) = value.content, items.count == count {
      let numbers = items.compactMap { item -> Int? in
        if case .scalar(let text, _) = item.content { Int(text) } else { nil }
      }
      if numbers.count == count, numbers.allSatisfy({ RecipeKey.sizeRange.contains($0) }) {
        return numbers
      }
    }
    var limit = ""
    if case .sequence(let items) = value.content,
      items.contains(where: { item in
        guard case .scalar(let text, _) = item.content, let number = Double(text) else {
          return false
        }
        return number > Double(RecipeKey.sizeRange.upperBound)
      })
    {
      limit = " and at most \(RecipeKey.sizeRange.upperBound)"
    }
    note(
      key,
      "Found \(value.kindName), but a list of \(count) whole numbers of at least 1\(limit) is "
        + "needed.")
    return nil
  }

  /// A mapping from names to names, in the order of the file.
  func pairs(_ key: String) -> [(String, String)] {
    guard let value = self[key] else { return [] }
    guard case .mapping(let entries) = value.content else {
      note(key, "Found \(value.kindName), but a mapping from names to names is needed.")
      return []
    }
    return entries.compactMap { entry in
      if case .scalar(let text, _) = entry.value.content, !text.isEmpty { return (entry.key, text) }
      problems.add(
        entry.line, "\(join(key)).\(entry.key)",
        "Found \(entry.value.kindName), but the name of a tensor is needed.")
      return nil
    }
  }

  func dataSource(_ key: String) -> DataSource? {
    guard let text = text(key) else { return nil }
    do {
      return try DataSource(text)
    } catch {
      note(key, error.description)
      return nil
    }
  }

  /// A plugin by the key that names it, with the mapping `parameters` beside it.
  func plugin(
    _ key: String, parameters parametersKey: String = "parameters", standard: PluginChoice
  ) -> PluginChoice {
    var choice = named(key, parametersKey, standard: standard)
    choice.isolation = self.choice("isolation", of: Isolation.self)
    choice.onCrash = self.choice("on_plugin_crash", of: CrashPolicy.self)
    return choice
  }

  private func named(
    _ key: String, _ parametersKey: String, standard: PluginChoice
  ) -> PluginChoice {
    let name = text(key)
    guard let value = self[parametersKey] else {
      return name == nil || name == standard.plugin ? standard : PluginChoice(name!)
    }
    guard case .mapping(let entries) = value.content else {
      note(parametersKey, "Found \(value.kindName), but a mapping from names to values is needed.")
      return standard
    }
    let given = entries.compactMap { entry -> PluginChoice.Parameter? in
      let place = "\(join(parametersKey)).\(entry.key)"
      switch entry.value.content {
      case .scalar(let text, _):
        return .init(key: entry.key, values: [text], isList: false)
      case .sequence(let items):
        let texts = items.compactMap { item -> String? in
          if case .scalar(let text, _) = item.content { text } else { nil }
        }
        guard texts.count == items.count else { break }
        return .init(key: entry.key, values: texts, isList: true)
      case .mapping: break
      }
      problems.add(
        entry.line, place,
        "Found \(entry.value.kindName), but a parameter is one value or a list of values.")
      return nil
    }
    guard name == nil || name == standard.plugin else {
      return PluginChoice(name!, parameters: given)
    }
    // What a person sets replaces the standard parameter of that name; the others stay.
    let kept = standard.parameters.filter { old in !given.contains { $0.key == old.key } }
    return PluginChoice(standard.plugin, parameters: kept + given)
  }
}

/// Problems as they are found.
final class ProblemList {
  private var found: [RecipeProblem] = []

  func add(_ line: Int?, _ path: String, _ sentence: String) {
    found.append(RecipeProblem(line: line, path: path, sentence: sentence))
  }

  /// Whether something under a path is wrong.
  func holds(_ path: String) -> Bool { found.contains { $0.path.hasPrefix(path) } }

  /// In the order of the file; those without a line come last.
  var problems: [RecipeProblem] {
    found.enumerated().sorted { left, right in
      let lines = (left.element.line ?? .max, right.element.line ?? .max)
      return lines.0 == lines.1 ? left.offset < right.offset : lines.0 < lines.1
    }.map(\.element)
  }
}
