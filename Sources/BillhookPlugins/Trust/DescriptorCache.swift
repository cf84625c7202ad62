internal import Foundation

/// What libraries said of themselves, by their digest, so that a listing loads none of them.
struct DescriptorCache {
  private struct Entry: Codable {
    var descriptions: [PluginDescription]
  }

  private let folder: String?

  init(_ home: PluginHome) { folder = try? home.privateFolder("descriptors") }

  private func path(_ file: LibraryFile) -> String? {
    folder.map { "\($0)/\(file.identity)-\(PluginSettings.hostBuild).json" }
  }

  /// The library's plugins, under the path that it has now; nil when they are not known.
  func descriptions(of file: LibraryFile) -> [PluginDescription]? {
    guard let path = path(file), let data = FileManager.default.contents(atPath: path),
      let entry = try? PluginJSON.decoder.decode(Entry.self, from: data)
    else { return nil }
    return entry.descriptions.map { description in
      var description = description
      description.descriptor.module.path = file.path
      return description
    }
  }

  /// Keeps them; a cache that cannot be written is no error.
  func keep(_ descriptions: [PluginDescription], of file: LibraryFile) {
    guard let path = path(file),
      let data = try? PluginJSON.encoder.encode(Entry(descriptions: descriptions))
    else { return }
    try? PluginHome.write(data, to: path)
  }
}
