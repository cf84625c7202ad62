/// One key that a recipe may hold: its type and what a person should know of it.
///
/// The tables of ``RecipeVocabulary`` are the only place where keys are written down: the parser,
/// its error sentences and the JSON Schema come from them.
struct RecipeKey: Sendable {
  indirect enum Kind: Sendable {
    /// The upper bound keeps arithmetic on the number from overflowing.
    case integer(atLeast: Int, atMost: Int = 1 << 31)
    case number(NumberRange)
    case boolean
    case text
    case choice([String])
    case texts
    /// So many whole numbers of ``sizeRange``.
    case sizes(count: Int)
    /// Any keys, each with a text.
    case pairs
    case dataSource
    /// Any keys, scalar values or lists of them: what a plugin declares.
    case parameters
    case section(RecipeSection)
    /// A bare word, or the section with that word as its first key.
    case textOrSection(RecipeSection)
    case stages
  }

  /// What a size may be.
  static let sizeRange = 1...(1 << 31)

  var name: String
  var kind: Kind
  var isRequired = false
  /// The default as a person would write it; nil where there is none.
  var standard: String?
  var doc: String

  init(
    _ name: String, _ kind: Kind, required: Bool = false, default standard: String? = nil,
    _ doc: String
  ) {
    self.name = name
    self.kind = kind
    isRequired = required
    self.standard = standard
    self.doc = doc
  }
}

/// A mapping with a fixed set of keys.
struct RecipeSection: Sendable {
  var keys: [RecipeKey]
  var doc: String

  subscript(name: String) -> RecipeKey? { keys.first { $0.name == name } }
}

/// An interval of numbers, with or without its ends.
struct NumberRange: Sendable, Equatable {
  var low: Double
  var high: Double
  var includesLow = true
  var includesHigh = true

  func contains(_ value: Double) -> Bool {
    value.isFinite && (includesLow ? value >= low : value > low)
      && (includesHigh ? value <= high : value < high)
  }

  /// `at least 0`, `above 0 and below 1`.
  var description: String {
    let lower = "\(includesLow ? "at least" : "above") \(number(low))"
    guard high.isFinite else { return lower }
    return "\(lower) and \(includesHigh ? "at most" : "below") \(number(high))"
  }

  private func number(_ value: Double) -> String {
    value == value.rounded() ? "\(Int(value))" : "\(value)"
  }
}
