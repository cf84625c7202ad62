internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor

/// Runs the network over data and sums up what a scorer needs of each layer.
///
/// Every value is summed as soon as it is computed and then forgotten: memory is that of one batch.
///
/// - Returns: One entry a layer, with the statistics that `needs` names.
/// - Throws: ``CompressionError/statisticsNotFinite(layer:)`` and what running throws.
func collectStatistics(
  _ graph: Graph, layers: [WeightedLayer], needs: Needs, data: Dataset, samples: Int,
  batchSize: Int, seed: UInt64, progress: (any ProgressReporting)?
) throws -> [LayerStatistics] {
  let needsInputs = needs.contains(.inputAbsMean) || needs.contains(.inputSquaredNorm)
  let needsOutputs = needs.contains(.outputAbsMean) || needs.contains(.outputZeroFraction)
  guard needsInputs || needsOutputs else {
    return [LayerStatistics](repeating: LayerStatistics(), count: layers.count)
  }
  let data = try data.fitted(to: graph)
  var sums: [Observation: ChannelStatistics] = [:]
  var byValue: [String: [Observation]] = [:]
  func watch(_ value: String, _ axis: Int) {
    let key = Observation(value: value, axis: axis)
    guard sums[key] == nil else { return }
    sums[key] = ChannelStatistics(channelAxis: axis)
    byValue[value, default: []].append(key)
  }
  for layer in layers {
    if needsInputs { watch(layer.input, layer.channelAxis) }
    if needsOutputs { watch(layer.activationOutput, layer.channelAxis) }
  }
  let indices = data.sampleIndices(samples, seed: seed)
  let runner = BatchRunner(graph, batchSize: batchSize, observed: Set(byValue.keys))
  progress?.begin("collect statistics", total: indices.count, unit: "samples")
  var done = 0
  try runner.run(
    data, indices,
    observe: { name, value in
      for key in byValue[name] ?? [] { sums[key]!.add(value) }
    },
    body: { batch, _ in
      done += batch.count
      progress?.advance(done, detail: "")
    })
  progress?.end("")
  return try layers.map { layer in
    var result = LayerStatistics(sampleCount: UInt64(indices.count))
    if needsInputs {
      let sum = sums[Observation(value: layer.input, axis: layer.channelAxis)]!
      if needs.contains(.inputAbsMean) { result.inputAbsMean = sum.absoluteMean }
      if needs.contains(.inputSquaredNorm) { result.inputSquaredNorm = sum.squaredNorm }
    }
    if needsOutputs {
      let sum = sums[Observation(value: layer.activationOutput, axis: layer.channelAxis)]!
      if needs.contains(.outputAbsMean) { result.outputAbsMean = sum.absoluteMean }
      if needs.contains(.outputZeroFraction) { result.outputZeroFraction = sum.zeroFraction }
    }
    let found = [
      result.inputAbsMean, result.inputSquaredNorm, result.outputAbsMean,
      result.outputZeroFraction,
    ]
    guard found.allSatisfy({ $0?.floats().allSatisfy(\.isFinite) ?? true }) else {
      throw CompressionError.statisticsNotFinite(layer: layer.name)
    }
    return result
  }
}

private struct Observation: Hashable {
  var value: String
  var axis: Int
}
