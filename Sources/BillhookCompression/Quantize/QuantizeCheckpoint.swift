public import BillhookGraph
public import BillhookPlugins
public import BillhookTensor
public import OrderedCollections

/// Quantizes the weights of a checkpoint, tensor by tensor.
///
/// Quantized are the floating-point tensors of rank 2 and more that the settings' patterns choose by
/// name. `NAME` becomes the integers, as the layout stores them, followed by `NAME.scale` (float32),
/// unless all are zero `NAME.zero_point`, and of a codebook `NAME.table`; in a form of the plugin's
/// own it is bytes alone. All other tensors are handed on as they are. The record says how each is
/// stored; ``restoreCheckpoint(_:layouts:quantizer:)`` is the way back.
///
/// - Parameters:
///   - tensors: By name, usually views of a mapped file.
///   - write: Gets every tensor once, in the given order.
/// - Throws: ``CompressionError`` when the mode is not weight-only or nothing was quantized,
///   `PluginError`, and what `write` throws.
public func quantizeCheckpoint(
  _ tensors: OrderedDictionary<String, Tensor>, quantizer: Quantizer, settings: QuantizeSettings,
  progress: (any ProgressReporting)? = nil, write: (String, Tensor) throws -> Void
) throws -> QuantizeRecord {
  let chosen = try checkpointWeights(tensors, settings.layers, task: "quantize")
  let weights = chosen.enumerated().map { position, name in
    CheckpointWeight(name: name, context: .checkpoint(name, index: position))
  }
  return try quantizeTensors(
    tensors, weights: weights, quantizer, settings, progress: progress, write: write)
}

/// Quantizes the weights of a network's layers into a checkpoint: what ONNX operators cannot restore
/// stays as small as the plugin makes it.
///
/// As ``quantizeCheckpoint(_:quantizer:settings:progress:write:)``, but the patterns choose layers by
/// name, and the plugin is told of each layer what it is. `write` gets every constant of the network
/// by its name, so the tensors and the network are all that ``restoreCheckpoint(_:layouts:quantizer:)``
/// needs for a network again. Weights inside of subgraphs are left alone.
public func quantizeWeights(
  of graph: Graph, quantizer: Quantizer, settings: QuantizeSettings,
  progress: (any ProgressReporting)? = nil, write: (String, Tensor) throws -> Void
) throws -> QuantizeRecord {
  let layers = try graph.weightedLayers()
  guard !layers.isEmpty else { throw CompressionError.noLayers(task: "quantize") }
  let chosen = try settings.layers.select(layers.map(\.name))
  var weights: [CheckpointWeight] = []
  for (index, layer) in layers.enumerated() {
    guard let tensor = graph.constant(layer.weight),
      !weights.contains(where: { $0.name == layer.weight && $0.obstacle == nil })
    else { continue }
    weights.removeAll { $0.name == layer.weight }
    weights.append(
      CheckpointWeight(
        name: layer.weight, context: layer.context(index),
        obstacle: chosen[index]
          ? graph.obstacle(layer, tensor, among: layers, settings) : "it was not chosen",
        layer: StoredLayout.Layer(layer.context(index))))
  }
  let constants = graph.constantTensors()
  var tensors: OrderedDictionary<String, Tensor> = [:]
  for name in constants.keys.sorted() { tensors[name] = constants[name] }
  return try quantizeTensors(
    tensors, weights: weights, quantizer, settings, progress: progress, write: write)
}

/// A tensor that is to be quantized.
private struct CheckpointWeight {
  var name: String
  var context: LayerContext
  /// Why it is left alone; nil for most.
  var obstacle: String?
  /// What the file keeps of the context, when there is more to it than the tensor's name.
  var layer: StoredLayout.Layer?
}

private func quantizeTensors(
  _ tensors: OrderedDictionary<String, Tensor>, weights: [CheckpointWeight],
  _ quantizer: Quantizer, _ settings: QuantizeSettings, progress: (any ProgressReporting)?,
  write: (String, Tensor) throws -> Void
) throws -> QuantizeRecord {
  try settings.check()
  guard settings.mode == .weightOnly else {
    throw CompressionError.graphNeeded(task: "\(settings.mode.rawValue) quantization")
  }
  let chosen = Dictionary(uniqueKeysWithValues: weights.map { ($0.name, $0) })
  let quantization = WeightQuantization(quantizer: quantizer, range: nil)
  var record = QuantizeRecord(
    mode: settings.mode.rawValue, calibration: settings.calibrationName, calibrationSamples: 0,
    weightRange: settings.weightRange.rawValue, layers: [], activations: [], foldedBatchNorms: [],
    opsetBefore: 0, opsetAfter: 0, warnings: [])
  progress?.begin("quantize weights", total: weights.count, unit: "tensors")
  for (name, tensor) in tensors {
    guard let weight = chosen[name] else {
      try write(name, tensor)
      continue
    }
    var entry = QuantizeRecord.Layer(
      name: name, op: weight.layer?.op ?? "Weight", weight: name, scheme: nil, bits: nil,
      smallestScale: nil, largestScale: nil, signalToNoise: nil, saturationRisk: false,
      inputRange: nil, skipped: nil)
    let outcome =
      try weight.obstacle.map { .skipped($0) }
      ?? quantization.quantize(tensor.asFloat32(), weight.context)
    switch outcome {
    case .skipped(let reason):
      entry.skipped = reason
      try write(name, tensor)
    case .quantized(let quantized):
      quantized.describe(&entry)
      for part in try StoredWeight.tensors(name, quantized, weight.context, quantizer) {
        try write(part.name, part.tensor)
      }
      entry.stored = StoredLayout(
        quantized.layout, plugin: quantizer.descriptor.id, index: weight.context.index,
        layer: weight.layer, shape: tensor.shape)
    }
    tensor.discardPages()
    record.layers.append(entry)
    progress?.advance(record.layers.count, detail: name)
  }
  progress?.end("")
  guard record.layers.contains(where: { $0.skipped == nil }) else {
    throw CompressionError.nothingQuantized(
      reasons: record.layers.map { "\"\($0.name)\": \($0.skipped ?? "")" })
  }
  return record
}
