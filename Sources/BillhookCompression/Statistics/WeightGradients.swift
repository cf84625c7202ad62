internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor

/// Puts the gradient of the mean loss over the calibration data into each layer's statistics; the
/// loss is that of ``CalibrationRunner``.
///
/// - Throws: ``CompressionError/statisticsNotFinite(layer:)``, and `RuntimeError` when the network
///   has an operator without gradient.
func addWeightGradients(
  to statistics: inout [LayerStatistics], _ graph: Graph, layers: [WeightedLayer], data: Dataset,
  settings: PruneSettings, progress: (any ProgressReporting)?
) throws {
  let data = try data.fitted(to: graph)
  let indices = data.sampleIndices(settings.samples, seed: settings.seed)
  let names = layers.map(\.weight)
  let runner = try CalibrationRunner(
    graph, values: [], weights: Array(Set(names)).sorted(), data: data,
    batchSize: settings.batchSize,
    samples: indices.count, seed: settings.seed)
  var sums: [String: [Double]] = [:]
  var count = 0
  progress?.begin("collect gradients", total: indices.count, unit: "samples")
  for start in stride(from: 0, to: indices.count, by: runner.batchSize) {
    let end = min(start + runner.batchSize, indices.count)
    let batch = try runner.run(data, Array(indices[start..<end]))
    count += batch.labelled
    for (name, gradient) in batch.weightGradients {
      gradient.withUnsafeElements(of: Float.self) { values in
        var sum = sums[name] ?? [Double](repeating: 0, count: values.count)
        sums[name] = nil
        for index in values.indices { sum[index] += Double(values[index]) }
        sums[name] = sum
      }
    }
    progress?.advance(end, detail: "")
  }
  progress?.end("")
  for (index, layer) in layers.enumerated() {
    guard let sum = sums[layer.weight] else { continue }
    let mean = sum.map { Float($0 / Double(max(count, 1))) }
    guard mean.allSatisfy(\.isFinite) else {
      throw CompressionError.statisticsNotFinite(layer: layer.name)
    }
    statistics[index].weightGradient = Tensor(mean, shape: layer.shape)
    statistics[index].sampleCount = UInt64(indices.count)
  }
}
