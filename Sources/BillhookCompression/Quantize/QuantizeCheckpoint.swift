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
  try settings.check()
  guard settings.mode == .weightOnly else {
    throw CompressionError.graphNeeded(task: "\(settings.mode.rawValue) quantization")
  }
  let chosen = try checkpointWeights(tensors, settings.layers, task: "quantize")
  var index: [String: Int] = [:]
  for (position, name) in chosen.enumerated() { index[name] = position }
  let quantization = WeightQuantization(quantizer: quantizer, range: nil)
  var record = QuantizeRecord(
    mode: settings.mode.rawValue, calibration: settings.calibrationName, calibrationSamples: 0,
    weightRange: settings.weightRange.rawValue, layers: [], activations: [], foldedBatchNorms: [],
    opsetBefore: 0, opsetAfter: 0, warnings: [])
  progress?.begin("quantize weights", total: chosen.count, unit: "tensors")
  for (name, tensor) in tensors {
    guard let position = index[name] else {
      try write(name, tensor)
      continue
    }
    var entry = QuantizeRecord.Layer(
      name: name, op: "Weight", weight: name, scheme: nil, bits: nil, smallestScale: nil,
      largestScale: nil, signalToNoise: nil, saturationRisk: false, inputRange: nil, skipped: nil)
    switch try quantization.quantize(tensor.asFloat32(), .checkpoint(name, index: position)) {
    case .skipped(let reason):
      entry.skipped = reason
      try write(name, tensor)
    case .quantized(let quantized):
      quantized.describe(&entry)
      let layer = LayerContext.checkpoint(name, index: position)
      for part in try StoredWeight.tensors(name, quantized, layer, quantizer) {
        try write(part.name, part.tensor)
      }
      entry.stored = StoredLayout(
        quantized.layout, plugin: quantizer.descriptor.id, index: position,
        shape: tensor.shape)
    }
    tensor.discardPages()
    record.layers.append(entry)
    progress?.advance(position + 1, detail: name)
  }
  progress?.end("")
  guard record.layers.contains(where: { $0.skipped == nil }) else {
    throw CompressionError.nothingQuantized(
      reasons: record.layers.map { "\"\($0.name)\": \($0.skipped ?? "")" })
  }
  return record
}
