internal import BillhookTensor
internal import Foundation

/// One object of a manifest; every mistake names its place.
struct PlainManifestObject {
  let place: String
  private let path: String
  private let values: [String: Any]

  init(_ value: Any, _ place: String, _ path: String) throws(PluginError) {
    guard let values = value as? [String: Any] else {
      throw .badManifest(path: path, place: place, found: Self.kind(value), expected: "an object")
    }
    self.place = place
    self.path = path
    self.values = values
  }

  /// Refuses a key that nobody reads: it is a slip of the pen.
  func allow(_ keys: [String]) throws(PluginError) {
    for key in values.keys.sorted() where !keys.contains(key) {
      let near = nearestNames(to: key, in: keys)
      throw wrong(
        key, "unknown",
        near.isEmpty
          ? "one of " + keys.map { "\"\($0)\"" }.joined(separator: ", ")
          : near.map { "\"\($0)\"" }.joined(separator: " or "))
    }
  }

  func text(_ key: String) throws(PluginError) -> String {
    guard let text = try optionalText(key) else { throw wrong(key, "missing", "text") }
    return text
  }

  func optionalText(_ key: String) throws(PluginError) -> String? {
    guard let value = values[key] else { return nil }
    guard let text = value as? String else { throw wrong(key, Self.kind(value), "text") }
    guard text.contains(where: { !$0.isWhitespace }), text.utf8.count <= 64 * 1024,
      !text.utf8.contains(0)
    else { throw wrong(key, "blank or too long", "text of at most 64 KiB") }
    return text
  }

  func flag(_ key: String) throws(PluginError) -> Bool {
    guard let value = values[key] else { return false }
    guard let number = value as? NSNumber, Self.isBool(number) else {
      throw wrong(key, Self.kind(value), "true or false")
    }
    return number.boolValue
  }

  func integer(_ key: String, _ range: ClosedRange<Int>) throws(PluginError) -> Int {
    let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
    guard let value = values[key] else { throw wrong(key, "missing", expected) }
    guard let number = value as? NSNumber, !Self.isBool(number),
      let exact = Int(exactly: number.doubleValue), range.contains(exact)
    else { throw wrong(key, Self.kind(value), expected) }
    return exact
  }

  func optionalNumber(_ key: String) throws(PluginError) -> Double? {
    guard let value = values[key] else { return nil }
    guard let number = value as? NSNumber, !Self.isBool(number) else {
      throw wrong(key, Self.kind(value), "a number")
    }
    return number.doubleValue
  }

  func optionalScalar(_ key: String) throws(PluginError) -> ParameterValue? {
    guard let value = values[key] else { return nil }
    guard let number = value as? NSNumber else {
      throw wrong(key, Self.kind(value), "a number, true or false")
    }
    if Self.isBool(number) { return .bool(number.boolValue) }
    if let exact = Int64(exactly: number.doubleValue) { return .int(exact) }
    return .double(number.doubleValue)
  }

  func optionalObject(_ key: String) throws(PluginError) -> PlainManifestObject? {
    guard let value = values[key] else { return nil }
    return try PlainManifestObject(value, inner(key), path)
  }

  func objects(_ key: String) throws(PluginError) -> [PlainManifestObject] {
    guard values[key] != nil else { throw wrong(key, "missing", "a list of objects") }
    return try optionalObjects(key)
  }

  func optionalObjects(_ key: String) throws(PluginError) -> [PlainManifestObject] {
    guard let value = values[key] else { return [] }
    guard let list = value as? [Any] else {
      throw wrong(key, Self.kind(value), "a list of objects")
    }
    var objects: [PlainManifestObject] = []
    for (index, entry) in list.enumerated() {
      objects.append(try PlainManifestObject(entry, inner("\(key)[\(index)]"), path))
    }
    return objects
  }

  /// A text or a list of texts.
  func optionalList(_ key: String) throws(PluginError) -> [String] {
    guard let value = values[key] else { return [] }
    if let text = value as? String { return [text] }
    guard let list = value as? [String] else {
      throw wrong(key, Self.kind(value), "a list of texts")
    }
    return list
  }

  /// An object of texts; a number stands for its own text.
  func optionalTexts(_ key: String) throws(PluginError) -> [String: String]? {
    guard let value = values[key] else { return nil }
    guard let object = value as? [String: Any] else {
      throw wrong(key, Self.kind(value), "an object of texts")
    }
    var texts: [String: String] = [:]
    for (name, entry) in object {
      guard let text = entry as? String else {
        throw wrong("\(key).\(name)", Self.kind(entry), "text")
      }
      texts[name] = text
    }
    return texts
  }

  private func inner(_ key: String) -> String { place == "the manifest" ? key : "\(place).\(key)" }

  private func wrong(_ key: String, _ found: String, _ expected: String) -> PluginError {
    .badManifest(path: path, place: inner(key), found: found, expected: expected)
  }

  /// JSON's `true` is a number too in Foundation; its Objective-C type tells them apart.
  private static func isBool(_ number: NSNumber) -> Bool {
    String(cString: number.objCType) == "c"
  }

  private static func kind(_ value: Any) -> String {
    switch value {
    case let text as String: "the text \"\(text.prefix(40))\""
    case let number as NSNumber: isBool(number) ? "\(number.boolValue)" : "\(number)"
    case is [Any]: "a list"
    case is [String: Any]: "an object"
    default: "null"
    }
  }
}
