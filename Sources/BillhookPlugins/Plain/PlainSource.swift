internal import Foundation

/// What somebody wrote of the functions of a library: a manifest or an inline form.
struct PlainSource: Codable, Sendable, Equatable {
  let text: String
  /// What an inline form is to be; nil for a manifest.
  let hook: PluginDescriptor.Hook?
  /// Where the manifest is; nil for an inline form.
  let path: String?

  init(inline text: String, hook: PluginDescriptor.Hook) {
    self.text = text
    self.hook = hook
    path = nil
  }

  init(manifest given: String) throws(PluginError) {
    let file = try RegularFile(path: given)
    let data = try file.content(limit: PlainManifest.byteLimit)
    let manifest = PlainManifest(path: given)
    guard data.count <= PlainManifest.byteLimit else {
      throw manifest.wrong(
        "the file", "more than \(PlainManifest.byteLimit) bytes",
        "at most \(PlainManifest.byteLimit) bytes")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw manifest.wrong("the file", "no UTF-8", "a JSON object as in docs/plain-functions.md")
    }
    self.text = text
    hook = nil
    path = given
  }

  /// What the user named.
  var name: String { path ?? text }

  /// Where the library is looked for first.
  var folder: String? {
    path.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
  }

  func record() throws(PluginError) -> PlainRecord {
    if let path { return try PlainManifest(path: path).record(Data(text.utf8)) }
    guard let hook else { throw .badInlineForm(text: name, reason: "nobody says what it is") }
    return try PlainInlineForm.record(text, hook: hook)
  }
}
