internal import BillhookFormats
internal import BillhookPlugins
internal import Foundation
internal import OrderedCollections

/// Finds the plugins that read what they alone can read of a quantized checkpoint.
///
/// Which plugin it was, its parameters and the seed are in the file's metadata. What the metadata
/// says is only ever looked up among the plugins that can be named by id: a file must not make
/// Billhook load a library.
final class StoredQuantizers {
  private let path: String
  private let catalog: PluginCatalog
  private let chosen: String?
  private let parameters: [PluginChoice.Parameter]
  private let uses: [PluginUse]
  private let seed: UInt64
  private var made: [String: Quantizer] = [:]
  /// The plugins that were needed, in that order.
  private(set) var used: [PluginUse] = []
  private(set) var warnings: [String] = []

  /// - Parameters:
  ///   - path: Of the checkpoint, for errors.
  ///   - chosen: An id or a path, instead of what the file names.
  ///   - parameters: They come before those of the file.
  init(
    _ file: SafetensorsFile, path: String, chosen: String?, parameters: [PluginChoice.Parameter],
    catalog: PluginCatalog
  ) throws(FormatError) {
    self.path = path
    self.catalog = catalog
    self.chosen = chosen
    self.parameters = parameters
    let text = file.metadata[Provenance.Key.plugins] ?? "[]"
    guard let uses = try? JSONDecoder().decode([PluginUse].self, from: Data(text.utf8)) else {
      throw .malformed(
        path: path, format: .safetensors, location: "metadata \"\(Provenance.Key.plugins)\"",
        found: "something else", expected: "a list of plugins with their parameters")
    }
    self.uses = uses.filter { $0.hook == PluginDescriptor.Hook.quantizer.rawValue }
    seed = file.metadata[Provenance.Key.seed].flatMap { UInt64($0) } ?? 0
  }

  /// - Throws: ``PipelineError/quantizerMissing(path:plugin:)``, `PluginError`.
  func quantizer(_ id: String) throws -> Quantizer {
    if let known = made[id] { return known }
    guard
      chosen != nil
        || catalog.descriptors.contains(where: { $0.id == id && $0.hook == .quantizer })
    else { throw PipelineError.quantizerMissing(path: path, plugin: id) }
    let plugin = try catalog.plugin(chosen ?? id, hook: .quantizer)
    let descriptor = plugin.descriptor
    if descriptor.id != id {
      warnings.append(
        "The quantizer \"\(id)\" wrote the file, and \"\(descriptor.id)\" was to read it.")
    }
    let written = uses.first { $0.id == id }
    let stored = (written?.parameters ?? []).filter { old in
      descriptor.parameters.contains { $0.key == old.key }
        && !parameters.contains { $0.key == old.key }
    }
    let resolved = try ResolvedPlugin(
      PluginChoice(
        descriptor.id,
        parameters: parameters
          + stored.map { .init(key: $0.key, values: [$0.value], isList: false) }), plugin)
    if let written, written.id == descriptor.id, written.sha256 != descriptor.module.sha256 {
      warnings.append(
        "The quantizer \"\(id)\" is another build (version \(descriptor.module.version)) than the "
          + "one that wrote the file (version \(written.version)).")
    }
    let quantizer = try plugin.makeQuantizer(resolved.values, seed: seed)
    made[id] = quantizer
    used.append(resolved.use)
    return quantizer
  }

  /// Says so when a quantizer was chosen for a file that needs none.
  func finish() {
    if let chosen, used.isEmpty {
      warnings.append("No tensor needs a plugin to be read; \"\(chosen)\" was not used.")
    }
  }
}
