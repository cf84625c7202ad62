internal import Foundation

/// A recipe with where its parts came from.
public struct RecipeFile: Sendable {
  /// What to call the recipe in messages; usually its path.
  public var name: String
  public var recipe: Recipe
  /// Line numbers by path in the notation of `--set`.
  var lines: [String: Int]

  /// A recipe that was not read from a file.
  public init(_ recipe: Recipe, name: String) {
    self.name = name
    self.recipe = recipe
    lines = [:]
  }

  /// Reads a recipe file.
  ///
  /// - Parameter overrides: Applied in order before anything is checked.
  /// - Throws: ``PipelineError``: the file cannot be read, or the list of all problems in it.
  public init(path: String, overrides: [RecipeOverride] = []) throws(PipelineError) {
    let bytes: Data
    do {
      bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw .cannotRead(path: path, reason: Self.reason(path))
    }
    guard let text = String(data: bytes, encoding: .utf8) else {
      throw .recipe(
        name: path,
        problems: [RecipeProblem(line: nil, path: "", sentence: "The file is not UTF-8 text.")])
    }
    try self.init(yaml: text, name: path, overrides: overrides)
  }

  private static func reason(_ path: String) -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      return "there is no such file"
    }
    return isFolder.boolValue ? "it is a folder" : "it cannot be opened"
  }

  /// Reads a recipe from YAML text.
  public init(
    yaml text: String, name: String, overrides: [RecipeOverride] = []
  ) throws(PipelineError) {
    var tree = try RecipeValue.parse(text, name: name)
    for override in overrides { try override.apply(to: &tree) }
    let problems = ProblemList()
    let recipe = Recipe(tree, problems)
    guard problems.problems.isEmpty, let recipe else {
      throw .recipe(name: name, problems: problems.problems)
    }
    self.name = name
    self.recipe = recipe
    lines = [:]
    collectLines(tree, path: "")
  }

  private mutating func collectLines(_ value: RecipeValue, path: String) {
    func join(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
    if let line = value.line, lines[path] == nil { lines[path] = line }
    switch value.content {
    case .scalar: break
    case .mapping(let entries):
      for entry in entries {
        if let line = entry.line { lines[join(entry.key)] = line }
        collectLines(entry.value, path: join(entry.key))
      }
    case .sequence(let items):
      for (index, item) in items.enumerated() { collectLines(item, path: join("\(index)")) }
    }
  }

  /// The line of a key, or of the nearest mapping around it that the file has.
  func line(of path: String) -> Int? {
    var parts = path.split(separator: ".")
    while !parts.isEmpty {
      if let line = lines[parts.joined(separator: ".")] { return line }
      parts.removeLast()
    }
    return nil
  }
}
