public import BillhookGraph
public import BillhookPlugins
internal import BillhookTensor

/// Removes the least important elements, blocks or channels of a network.
///
/// - Parameters:
///   - scorer: Says how much each element or channel matters.
///   - data: For statistics that the scorer needs, for the comparison of the masked with the shrunk
///     network, and for batch-norm statistics; labels are not used.
/// - Returns: The pruned network, and what was done to each layer.
/// - Throws: ``CompressionError`` when nothing can be pruned, a pattern matches nothing, data is
///   missing or the shrunk network differs from the masked one; `PluginError`, `GraphError`,
///   `RuntimeError`.
public func prune(
  _ graph: Graph, scorer: Scorer, settings: PruneSettings, data: Dataset? = nil,
  progress: (any ProgressReporting)? = nil
) throws -> PruneOutcome {
  try settings.check()
  let graph = try graph.reachingWeights()
  let data = try data?.fitted(to: graph)
  var outcome =
    switch settings.granularity {
    case .element, .block:
      try pruneElements(graph, scorer: scorer, settings: settings, data: data, progress: progress)
    case .channel:
      try pruneChannels(
        graph.statingSizes(), scorer: scorer, settings: settings, data: data,
        progress: progress)
    }
  if settings.reestimateStatistics, let data {
    outcome.record.reestimatedSamples = try reestimateBatchNorm(
      &outcome.graph, data: data, settings: settings, progress: progress)
  }
  return outcome
}

/// The layers that a filter chooses.
///
/// - Throws: ``CompressionError`` when there is none, `GraphError`.
func chosenLayers(
  _ graph: Graph, _ filter: LayerFilter, task: String
) throws -> [WeightedLayer] {
  let layers = try graph.weightedLayers()
  guard !layers.isEmpty else { throw CompressionError.noLayers(task: task) }
  let selected = try filter.select(layers.map(\.name))
  return zip(layers, selected).filter(\.1).map(\.0)
}

extension PruneSettings {
  func check() throws(CompressionError) {
    guard ratio >= 0, ratio < 1 else {
      throw .settingOutOfRange("ratio", "\(ratio)", "at least 0 and less than 1, such as 0.5")
    }
    if (granularity == .block) != (block != nil) {
      throw .settingOutOfRange(
        "block", block.map { "\($0)" } ?? "missing",
        granularity == .block ? "two sizes, such as 4x1" : "left out unless blocks are pruned")
    }
    if let block, block.outputs < 1 || block.inputs < 1 {
      throw .settingOutOfRange("block", "\(block)", "two sizes of at least 1, such as 4x1")
    }
    if let pattern, granularity == .channel {
      throw .settingOutOfRange("pattern", "\(pattern)", "left out when channels are pruned")
    }
    if let roundTo, roundTo < 1 {
      throw .settingOutOfRange("multiple to round to", "\(roundTo)", "at least 1")
    }
    guard samples >= 1 else { throw .settingOutOfRange("samples", "\(samples)", "at least 1") }
    guard batchSize >= 1 else {
      throw .settingOutOfRange("batch size", "\(batchSize)", "at least 1")
    }
  }

  /// The scope of an element ranking, which is global only where scores compare across layers. A
  /// pattern ranks the neighbours within a row alone.
  func elementScope(for scorer: Scorer) throws(CompressionError) -> Scope {
    if pattern != nil { return .layer }
    let isComparable = scorer.descriptor.capabilities.contains(.globalScale)
    guard scope == .global, !isComparable else {
      return scope ?? (isComparable ? .global : .layer)
    }
    throw .globalScaleNeeded(plugin: scorer.descriptor.id)
  }
}

extension Scorer {
  /// Checks that elements, or where wanted blocks, can be scored. A block's score can be made from
  /// its elements'.
  func requireElements(_ settings: PruneSettings) throws(CompressionError) {
    if settings.granularity == .block, descriptor.granularities.contains(.block) { return }
    try require(.element)
  }

  func require(_ granularity: Granularity) throws(CompressionError) {
    guard descriptor.granularities.contains(granularity) else {
      throw .granularityUnsupported(
        plugin: descriptor.id, wanted: granularity.rawValue,
        supported: Granularity.allCases.filter { descriptor.granularities.contains($0) }
          .map(\.rawValue))
    }
  }

  /// What the scorer needs to know of each layer's activations.
  func statistics(
    _ graph: Graph, layers: [WeightedLayer], settings: PruneSettings, data: Dataset?,
    progress: (any ProgressReporting)?
  ) throws -> [LayerStatistics] {
    let needs = descriptor.needs.subtracting(.previousMask)
    if needs.isEmpty { return [LayerStatistics](repeating: .init(), count: layers.count) }
    // Statistics are float32, and so is what training computes. Names stay.
    let graph = try graph.inFloat32()
    guard let data else {
      throw CompressionError.dataNeededByScorer(plugin: descriptor.id, statistics: needs.names)
    }
    var result = try collectStatistics(
      graph, layers: layers, needs: needs, data: data, samples: settings.samples,
      batchSize: settings.batchSize, seed: settings.seed, progress: progress)
    if needs.contains(.inputGram) {
      try addGramMatrices(
        to: &result, graph, layers: layers, data: data, settings: settings, progress: progress)
    }
    if needs.contains(.weightGradient) {
      try addWeightGradients(
        to: &result, graph, layers: layers, data: data, settings: settings, progress: progress)
    }
    if !needs.isDisjoint(with: .raw) {
      try ObservationPass(
        graph: graph, layers: layers, scorer: self, settings: settings, progress: progress
      ).run(data)
    }
    return result
  }
}
