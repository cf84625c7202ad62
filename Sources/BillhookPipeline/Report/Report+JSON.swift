public import Foundation

extension Report {
  /// The report as JSON: keys sorted, so that two reports can be compared line by line.
  public func json() throws -> Data { try reportJSON(self) }
}

/// JSON for people and programs: sorted keys, indented, a line break at the end.
public func reportJSON(_ value: some Encodable) throws -> Data {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
  return try encoder.encode(value) + Data("\n".utf8)
}
