/// One declared parameter.
public struct ParameterDescriptor: Sendable, Equatable, Codable {
  public enum Kind: String, Sendable, Codable {
    case int, double, bool, choice, string, ints, doubles
  }
  public var key: String
  public var kind: Kind
  public var doc: String
  public var unit: String
  public var defaultValue: ParameterValue
  /// Inclusive; infinite where there is none.
  public var range: ClosedRange<Double>
  public var choices: [String]
  public var isRequired: Bool

  /// What a value must be, in words: `a number from 0.1 to 8`.
  public var expectation: String {
    let noun =
      switch kind {
      case .int: "a whole number"
      case .double: "a number"
      case .bool: "true or false"
      case .string: "text"
      case .choice: choices.map { "\"\($0)\"" }.joined(separator: " or ")
      case .ints: "a list of whole numbers"
      case .doubles: "a list of numbers"
      }
    switch kind {
    case .bool, .string, .choice: return noun
    case .int, .double, .ints, .doubles: break
    }
    let unitText = unit.isEmpty ? "" : " \(unit)"
    switch (range.lowerBound.isFinite, range.upperBound.isFinite) {
    case (true, true):
      return "\(noun) from \(plain(range.lowerBound)) to \(plain(range.upperBound))\(unitText)"
    case (true, false): return "\(noun) of at least \(plain(range.lowerBound))\(unitText)"
    case (false, true): return "\(noun) of at most \(plain(range.upperBound))\(unitText)"
    case (false, false): return noun
    }
  }
}

/// A parameter's value, as it is given or as it is declared.
public enum ParameterValue: Sendable, Equatable, Codable, CustomStringConvertible {
  case int(Int64)
  case double(Double)
  case bool(Bool)
  case string(String)
  case ints([Int64])
  case doubles([Double])

  /// Reads text from a command line: `true` and `false`, numbers, lists of numbers with commas
  /// between them, and else the text itself.
  public init(text: String) {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    if text == "true" || text == "false" {
      self = .bool(text == "true")
    } else if let value = Int64(text) {
      self = .int(value)
    } else if let value = Double(text) {
      self = .double(value)
    } else if parts.count > 1, case let values = parts.compactMap({ Int64($0) }),
      values.count == parts.count
    {
      self = .ints(values)
    } else if parts.count > 1, case let values = parts.compactMap({ Double($0) }),
      values.count == parts.count
    {
      self = .doubles(values)
    } else {
      self = .string(text)
    }
  }

  public var description: String {
    switch self {
    case .int(let value): "\(value)"
    case .double(let value): plain(value)
    case .bool(let value): "\(value)"
    case .string(let value): value
    case .ints(let values): values.map { "\($0)" }.joined(separator: ",")
    case .doubles(let values): values.map(plain).joined(separator: ",")
    }
  }
}

/// A number without a needless ".0".
func plain(_ value: Double) -> String {
  let text = "\(value)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
