/// Which layers a stage works on, by name.
///
/// A pattern may hold `*` (any characters) and `?` (one character). Without `include` patterns all
/// layers are included.
public struct LayerFilter: Sendable, Equatable, Codable {
  public var include: [String]
  public var exclude: [String]

  public init(include: [String] = [], exclude: [String] = []) {
    self.include = include
    self.exclude = exclude
  }

  /// Whether a layer is chosen.
  public func matches(_ name: String) -> Bool {
    (include.isEmpty || include.contains { Self.matches($0, name) })
      && !exclude.contains { Self.matches($0, name) }
  }

  /// Checks that each pattern matches some name and that something is left.
  ///
  /// - Throws: ``CompressionError/patternMatchedNothing(pattern:names:)``,
  ///   ``CompressionError/everythingExcluded(include:exclude:names:)``.
  func select(_ names: [String]) throws(CompressionError) -> [Bool] {
    for pattern in include + exclude
    where !names.contains(where: { Self.matches(pattern, $0) }) {
      throw .patternMatchedNothing(pattern: pattern, names: names)
    }
    let chosen = names.map(matches)
    guard chosen.contains(true) else {
      throw .everythingExcluded(include: include, exclude: exclude, names: names)
    }
    return chosen
  }

  /// Whether the whole of `text` matches `pattern`.
  static func matches(_ pattern: String, _ text: String) -> Bool {
    let pattern = Array(pattern.unicodeScalars)
    let text = Array(text.unicodeScalars)
    var p = 0
    var t = 0
    var star: (p: Int, t: Int)?
    while t < text.count {
      if p < pattern.count, pattern[p] == "*" {
        star = (p, t)
        p += 1
      } else if p < pattern.count, pattern[p] == "?" || pattern[p] == text[t] {
        p += 1
        t += 1
      } else if let last = star {
        // Let the last star take one character more.
        star = (last.p, last.t + 1)
        p = last.p + 1
        t = last.t + 1
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == "*" }
  }
}
