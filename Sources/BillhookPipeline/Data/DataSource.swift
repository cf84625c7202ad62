/// Where samples come from, as a person names it: `fashion-mnist:train,limit=1000,channels=3`.
///
/// A location, then options, each after a comma:
///
/// | location | meaning |
/// |---|---|
/// | `fashion-mnist:train`, `fashion-mnist:test` | the Debian package `dataset-fashion-mnist` |
/// | `idx:DIR:train`, `idx:DIR:test` | IDX files in a folder, plain or gzip, named as MNIST's |
/// | `npz:FILE` | one array an input, by input name; class numbers in the array `labels` |
///
/// | option | meaning |
/// |---|---|
/// | `limit=N` | the first N samples |
/// | `channels=C` | a grey image repeated to C channels |
/// | `mean=M`, `std=S` | normalisation after scaling to 0…1; one number, or one a channel: `0.5/0.4/0.3` |
public struct DataSource: Sendable, Hashable {
  public enum Split: String, Sendable, CaseIterable { case train, test }

  public enum Location: Sendable, Hashable {
    case fashionMNIST(Split)
    case idx(folder: String, Split)
    case npz(path: String)
  }

  public var location: Location
  /// Take only the first samples; at least 1.
  public var limit: Int?
  /// Repeat a grey image to this many channels; at least 1.
  public var channels: Int?
  /// Normalisation after scaling integers to 0…1; the model's own when nil.
  public var mean: [Float]?
  public var std: [Float]?

  public init(
    _ location: Location, limit: Int? = nil, channels: Int? = nil, mean: [Float]? = nil,
    std: [Float]? = nil
  ) {
    self.location = location
    self.limit = limit
    self.channels = channels
    self.mean = mean
    self.std = std
  }

  /// The option names, in the order in which they are written.
  static let optionNames = ["limit", "channels", "mean", "std"]
  static let kinds = ["fashion-mnist", "idx", "npz"]

  /// Reads what a person wrote.
  ///
  /// - Throws: ``PipelineError/dataSource(_:problem:)``.
  public init(_ text: String) throws(PipelineError) {
    func fail(_ problem: String) -> PipelineError { .dataSource(text, problem: problem) }
    // A comma may belong to a path; an option has "=" right after a word.
    var pieces = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    var options: [(name: String, value: String)] = []
    while pieces.count > 1, let equals = pieces.last!.firstIndex(of: "=") {
      let piece = pieces.removeLast()
      options.append((String(piece[..<equals]), String(piece[piece.index(after: equals)...])))
    }
    location = try Self.location(pieces.joined(separator: ","), fail)
    for (name, value) in options.reversed() {
      switch name {
      case "limit": limit = try Self.count(name, value, fail)
      case "channels": channels = try Self.count(name, value, fail)
      case "mean": mean = try Self.numbers(name, value, fail)
      case "std":
        std = try Self.numbers(name, value, fail)
        if std!.contains(where: { $0 <= 0 }) {
          throw fail("\"std\" is \"\(value)\" but must be greater than 0.")
        }
      default:
        throw fail(
          "There is no option \"\(name)\".\(suggestion(for: name, in: Self.optionNames)) "
            + "Options: \(Self.optionNames.joined(separator: ", ")).")
      }
    }
  }

  private static func location(
    _ text: String, _ fail: (String) -> PipelineError
  ) throws(PipelineError) -> Location {
    guard let colon = text.firstIndex(of: ":") else {
      throw fail(
        "It must start with one of \(kinds.map { "\"\($0):\"" }.joined(separator: ", "))."
          + suggestion(for: text, in: kinds.map { "\($0):" }))
    }
    let kind = String(text[..<colon])
    let rest = String(text[text.index(after: colon)...])
    switch kind {
    case "fashion-mnist":
      return .fashionMNIST(try split(rest, fail))
    case "idx":
      guard let last = rest.lastIndex(of: ":") else {
        throw fail("Write \"idx:DIR:train\" or \"idx:DIR:test\".")
      }
      let folder = String(rest[..<last])
      guard !folder.isEmpty else { throw fail("The folder between the colons is empty.") }
      return .idx(folder: folder, try split(String(rest[rest.index(after: last)...]), fail))
    case "npz":
      guard !rest.isEmpty else { throw fail("The file name after \"npz:\" is empty.") }
      return .npz(path: rest)
    default:
      throw fail(
        "There is no data source \"\(kind)\".\(suggestion(for: kind, in: kinds)) "
          + "Sources: \(kinds.joined(separator: ", ")).")
    }
  }

  private static func split(
    _ text: String, _ fail: (String) -> PipelineError
  ) throws(PipelineError) -> Split {
    guard let split = Split(rawValue: text) else {
      throw fail(
        "There is no split \"\(text)\".\(suggestion(for: text, in: ["train", "test"])) "
          + "Splits: train, test.")
    }
    return split
  }

  private static func count(
    _ name: String, _ value: String, _ fail: (String) -> PipelineError
  ) throws(PipelineError) -> Int {
    guard let number = Int(value), number >= 1 else {
      throw fail("\"\(name)\" is \"\(value)\" but must be a whole number of at least 1.")
    }
    return number
  }

  private static func numbers(
    _ name: String, _ value: String, _ fail: (String) -> PipelineError
  ) throws(PipelineError) -> [Float] {
    var result: [Float] = []
    for piece in value.split(separator: "/", omittingEmptySubsequences: false) {
      guard let number = Float(piece), number.isFinite else {
        throw fail(
          "\"\(name)\" is \"\(value)\" but must be one number, or one a channel as in "
            + "\"0.485/0.456/0.406\".")
      }
      result.append(number)
    }
    return result
  }
}

extension DataSource: CustomStringConvertible {
  /// The text that reads back as the same source, options in a fixed order.
  public var description: String {
    var text =
      switch location {
      case .fashionMNIST(let split): "fashion-mnist:\(split.rawValue)"
      case .idx(let folder, let split): "idx:\(folder):\(split.rawValue)"
      case .npz(let path): "npz:\(path)"
      }
    if let limit { text += ",limit=\(limit)" }
    if let channels { text += ",channels=\(channels)" }
    for (name, values) in [("mean", mean), ("std", std)] {
      guard let values else { continue }
      text += ",\(name)=" + values.map { "\($0)" }.joined(separator: "/")
    }
    return text
  }
}

extension DataSource: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
