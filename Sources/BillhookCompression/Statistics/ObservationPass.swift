internal import BillhookGraph
public import BillhookPlugins
internal import BillhookTensor

/// Shows a scorer what each layer reads and writes, sample by sample.
///
/// A scorer with STREAMING gets batch after batch, another one all samples at once. With MERGEABLE
/// the samples are split into ``shardCount`` parts, whatever the number of threads: each part has an
/// instance of its own, the instances observe at the same time, and what they observed is merged in
/// the order of the samples.
struct ObservationPass {
  let graph: Graph
  let layers: [WeightedLayer]
  let scorer: Scorer
  let settings: PruneSettings
  let progress: (any ProgressReporting)?

  /// Parts of the data for a scorer whose observations can be merged.
  static let shardCount = 4

  private var needs: Needs { scorer.descriptor.needs }

  func run(_ data: Dataset) throws {
    if try scorer.restore(from: settings.observations) { return }
    // What an earlier use of the instance left behind is none of this network's business.
    try scorer.reset()
    let data = try data.fitted(to: graph)
    let indices = data.sampleIndices(settings.samples, seed: settings.seed)
    let isStreaming = scorer.descriptor.capabilities.contains(.streaming)
    let shards = shards(indices)
    let runner = try CalibrationRunner(
      graph, values: names, gradients: needs.contains(.rawOutputGradient) ? outputs : [],
      data: data, batchSize: isStreaming ? settings.batchSize : shards.map(\.count).max() ?? 1,
      samples: indices.count, seed: settings.seed)
    var scorers = [scorer]
    while scorers.count < shards.count { scorers.append(try scorer.sibling()) }

    progress?.begin("observe", total: indices.count, unit: "samples")
    var done = 0
    let rounds = shards.map { ($0.count + runner.batchSize - 1) / runner.batchSize }.max() ?? 0
    for round in 0..<rounds {
      let first = round * runner.batchSize
      var batches: [(shard: Int, batch: CalibrationRunner.Batch)] = []
      for (number, shard) in shards.enumerated() where first < shard.count {
        let end = min(first + runner.batchSize, shard.count)
        batches.append((number, try runner.run(data, Array(shard[first..<end]))))
        done += end - first
      }
      try observe(batches, scorers, first: first, totals: shards.map(\.count))
      progress?.advance(done, detail: "")
    }
    for other in scorers.dropFirst() { try scorer.merge(other.save()) }
    progress?.end("")
    if let observations = settings.observations, scorer.descriptor.stateVersion != nil {
      try observations.store(scorer.save())
    }
  }

  private var outputs: [String] { unique(layers.map(\.output)) }

  private var names: [String] {
    unique(
      (needs.contains(.rawInput) ? layers.map(\.input) : [])
        + (needs.contains(.rawOutput) ? outputs : []))
  }

  private func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }

  private func shards(_ indices: [Int]) -> [[Int]] {
    let isMergeable = scorer.descriptor.capabilities.contains(.mergeable)
    let count = isMergeable ? min(Self.shardCount, indices.count) : 1
    return (0..<count).map { part in
      Array(indices[part * indices.count / count..<(part + 1) * indices.count / count])
    }
  }

  /// One batch of each part, every part on its own instance.
  private func observe(
    _ batches: [(shard: Int, batch: CalibrationRunner.Batch)], _ scorers: [Scorer], first: Int,
    totals: [Int]
  ) throws {
    // Each piece works on an instance of its own, and the values are only read.
    let work = batches
    nonisolated(unsafe) let instances = scorers
    nonisolated(unsafe) let pass = self
    let failures = ParallelPieces.map(count: work.count, grain: 1) { range -> (any Error)? in
      let (shard, batch) = work[range.lowerBound]
      do {
        for (index, layer) in pass.layers.enumerated() {
          try instances[shard].observe(
            layer.context(index), shape: layer.shape,
            Scorer.Observation(
              input: batch.values[layer.input], output: batch.values[layer.output],
              outputGradient: batch.gradients[layer.output]),
            samplesBefore: first, totalSamples: totals[shard])
        }
        return nil
      } catch {
        return error
      }
    }
    if let failure = failures.lazy.compactMap({ $0 }).first { throw failure }
  }
}

/// Keeps what a scorer observed, so that a later run with the same network, data and parameters need
/// not observe again.
public protocol ObservationStore: Sendable {
  /// What was stored; nil when there is nothing.
  func load() -> SavedState?
  func store(_ state: SavedState) throws
  /// Forgets what was stored.
  func discard()
}

extension Scorer {
  /// Takes a stored state up, if there is one that the plugin can read.
  ///
  /// - Throws: ``PluginError`` of a plugin that crashed; the state is discarded then, so that the next
  ///   run does without.
  func restore(from store: (any ObservationStore)?) throws(PluginError) -> Bool {
    guard descriptor.stateVersion != nil, let store, let state = store.load() else { return false }
    do {
      try load(state)
      return true
    } catch {
      if error.isCrash {
        store.discard()
        throw error
      }
      // Of another version, or damaged: no reason to stop, it is observed again.
      try reset()
      return false
    }
  }
}
