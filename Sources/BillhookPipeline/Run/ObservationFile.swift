internal import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
internal import BillhookPlugins
internal import Foundation
internal import OrderedCollections

/// What a scorer observed of a network, in a file under the hash of everything that it depends on.
///
/// The file is one line of JSON (plugin, state version, SHA-256 of the rest) and the plugin's bytes.
struct ObservationFile: ObservationStore {
  private let folder: String
  private let path: String

  private struct Header: Codable {
    var plugin: String
    var stateVersion: UInt32
    var sha256: String
  }

  init(
    folder: String, graph: Graph, data: LoadedData, plugin: PluginUse, settings: PruneSettings
  ) throws {
    var bare = graph
    bare.metadata = [:]
    var digest = Digest()
    digest.add("model", try ONNXFile.encode(bare))
    digest.add("data", data.sha256)
    digest.add("plugin", Digest.of(plugin))
    digest.add(
      "settings",
      "\(settings.samples) \(settings.batchSize) \(settings.seed) \(settings.layers) "
        + "\(settings.granularity.rawValue) \(settings.groupReduce) \(settings.scoreConsumers)")
    self.folder = folder
    path = "\(folder)/observed-\(digest.text().prefix(16)).bin"
  }

  /// A damaged file is as good as none.
  func load() -> SavedState? {
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: path)),
      let end = data.firstIndex(of: UInt8(ascii: "\n")),
      let header = try? JSONDecoder().decode(Header.self, from: data[..<end])
    else { return nil }
    let bytes = [UInt8](data[data.index(after: end)...])
    guard Self.checksum(bytes) == header.sha256 else { return nil }
    return SavedState(plugin: header.plugin, version: header.stateVersion, bytes: bytes)
  }

  func store(_ state: SavedState) throws {
    let header = Header(
      plugin: state.plugin, stateVersion: state.version, sha256: Self.checksum(state.bytes))
    let line = try canonicalJSON(header)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try AtomicFile.write([UInt8](line) + [UInt8(ascii: "\n")] + state.bytes, to: path)
  }

  func discard() { try? FileManager.default.removeItem(atPath: path) }

  private static func checksum(_ bytes: [UInt8]) -> String {
    var digest = Digest()
    digest.add("state", bytes)
    return digest.text()
  }
}
