internal import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor
internal import OrderedCollections

/// Weights in a safetensors file, in the form that a quantizer stores them in: also the forms that
/// ONNX has no operators for.
struct PackedWeights {
  let catalog: PluginCatalog
  let seed: UInt64
  let progress: (any BillhookCompression.ProgressReporting)?

  /// Hands every tensor to `write` and returns the record.
  typealias Work = (
    _ quantizer: Quantizer, _ settings: QuantizeSettings,
    _ write: (String, Tensor) throws -> Void
  ) throws -> QuantizeRecord

  /// Writes what `work` makes.
  ///
  /// - Parameters:
  ///   - metadata: The file's, given the plugin that was used.
  ///   - clash: The error for a tensor whose name a part of a quantized one needs.
  func write(
    _ stage: QuantizeStage, to path: String,
    metadata: (PluginUse) -> OrderedDictionary<String, String>,
    clash: (_ name: String) -> PipelineError, work: Work
  ) throws -> (record: QuantizeRecord, plugin: ResolvedPlugin) {
    let plugin = try ResolvedPlugin(stage.quantizer, .quantizer, in: catalog)
    let quantizer = try plugin.plugin.makeQuantizer(plugin.values, seed: seed)
    // The header of the new file lists scales whose shapes are known only afterwards; the integers
    // are a quarter of the weights, so they are kept.
    var written: OrderedDictionary<String, Tensor> = [:]
    var clashing: String?
    let record = try work(quantizer, stage.settings(seed: seed)) { name, tensor in
      if written[name] != nil { clashing = clashing ?? name }
      written[name] = tensor
    }
    if let clashing { throw clash(clashing) }
    var metadata = metadata(plugin.use)
    metadata[SafetensorsFile.quantizationKey] = try record.layouts.metadataText()
    try SafetensorsFile(tensors: written, metadata: metadata).write(to: path)
    return (record, plugin)
  }

  /// Writes all constants of a network, and reads them back.
  ///
  /// - Parameter network: The name of the network's file, for errors.
  /// - Returns: The network with the weights that the file holds.
  func write(
    _ graph: Graph, named network: String, _ stage: QuantizeStage, to path: String,
    provenance: (PluginUse) -> Provenance
  ) throws -> StageResult {
    let (record, plugin) = try write(
      stage, to: path,
      metadata: {
        OrderedDictionary(uniqueKeysWithValues: provenance($0).entries.map { ($0, $1) })
      },
      clash: { name in
        .stage(
          name: "quantize",
          problems: [
            "\"\(network)\" has a constant \"\(name)\", which is also what a quantized tensor needs: "
              + "rename it, or leave one of both alone with --exclude."
          ])
      },
      work: { quantizer, settings, write in
        try quantizeWeights(
          of: graph, quantizer: quantizer, settings: settings, progress: progress, write: write)
      })
    // The file's bytes and a plugin that has seen nothing else must do.
    let file = try SafetensorsFile.read(path: path)
    let reader = try plugin.plugin.makeQuantizer(plugin.values, seed: seed)
    let tensors = try restoreCheckpoint(
      file.tensors, layouts: file.storedLayouts(path: path)
    ) { _ in reader }
    var restored = graph
    try RestoreReport.put(tensors, into: &restored, network: network)
    return StageResult(
      graph: restored, record: .quantize(record), plugins: [plugin.use], warnings: record.warnings)
  }
}

extension Stage {
  /// The stage's settings when it can store weights without a network.
  var packing: QuantizeStage? {
    if case .quantize(let stage) = work, stage.mode == .weightOnly { stage } else { nil }
  }

  /// The same when the name that the stage saves under asks for that.
  var savedPacking: QuantizeStage? { save.map(ModelFile.isCheckpoint) == true ? packing : nil }
}
