public import BillhookGraph
public import BillhookPlugins
internal import Foundation
internal import OrderedCollections

/// A plugin that took part, and how it was set.
public struct PluginUse: Sendable, Codable, Equatable {
  public struct Parameter: Sendable, Codable, Equatable {
    public var key: String
    public var value: String
  }
  public var id: String
  public var hook: String
  public var version: String
  /// Of the library's file.
  public var sha256: String
  /// Where it ran, unless that was the host's own process.
  public var isolation: Isolation?
  /// Every declared parameter with the value that was used, in declared order.
  public var parameters: [Parameter]
  /// Of plain functions: their signatures, and what is known of them.
  public var functions: [String]?

  public init(_ plugin: Plugin, parameters: [(key: String, value: ParameterValue)]) {
    let descriptor = plugin.descriptor
    id = descriptor.id
    hook = descriptor.hook.rawValue
    version = descriptor.module.version
    sha256 = descriptor.module.sha256
    isolation = plugin.isolation == .inproc ? nil : plugin.isolation
    self.parameters = parameters.map { Parameter(key: $0.key, value: $0.value.description) }
    functions = descriptor.plain.map { plain in
      plain.functions.map { "\($0.signature) (\(plain.verification))" }
    }
  }
}

/// How a file came to be; written into the metadata of every network.
public struct Provenance: Sendable, Equatable {
  /// Of the recipe in use: its settings after `--set` with defaults filled in, without the output
  /// folder, as canonical JSON.
  public var recipeSHA256: String
  /// Of all data of the recipe.
  public var dataSHA256: String
  public var seed: UInt64
  public var plugins: [PluginUse]

  /// The keys in a network's metadata.
  public enum Key {
    public static let version = "billhook.version"
    public static let recipe = "billhook.recipe_sha256"
    public static let data = "billhook.data_sha256"
    public static let seed = "billhook.seed"
    public static let plugins = "billhook.plugins"

    static let all = [version, recipe, data, seed, plugins]
  }

  /// Metadata entries in a fixed order.
  public var entries: [(key: String, value: String)] {
    // Plain strings: encoding them cannot fail.
    let plugins = String(decoding: try! canonicalJSON(plugins), as: UTF8.self)
    return [
      (Key.version, billhookVersion), (Key.recipe, recipeSHA256), (Key.data, dataSHA256),
      (Key.seed, "\(seed)"), (Key.plugins, plugins),
    ]
  }

  /// Writes the entries into a network's metadata.
  public func stamp(_ graph: inout Graph) {
    for (key, value) in entries { graph.metadata[key] = value }
  }
}
