internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor

/// Removes whole channels, with everything that makes and reads them.
func pruneChannels(
  _ graph: Graph, scorer: Scorer, settings: PruneSettings, data: Dataset?,
  progress: (any ProgressReporting)?
) throws -> PruneOutcome {
  let channels = try ChannelPlans(graph, scorer: scorer, settings: settings)
  let layers = channels.layers
  var plans = channels.plans
  let wanted = Set(
    plans.filter { $0.reason == nil }.flatMap { $0.scoredSlices(settings, scorer).map(\.layer) })
  let scored = layers.filter { wanted.contains($0.nodeIndex) }
  for layer in scored { try graph.constant(layer.weight)!.requireFiniteWeight(of: layer.name) }
  let statistics = try scorer.statistics(
    graph, layers: scored, settings: settings, data: data, progress: progress)
  try ChannelScores(graph: graph, scorer: scorer, layers: scored, statistics: statistics)
    .fill(&plans, settings)
  guard plans.contains(where: { $0.reason == nil }) else {
    throw CompressionError.everythingSkipped(plugin: scorer.descriptor.id)
  }
  let scope = settings.scope ?? .layer
  let removed = choose(plans, settings, scope: scope)
  if settings.ratio > 0, removed.allSatisfy(\.isEmpty) {
    throw nothingTaken(of: plans, settings, scope: scope)
  }
  let units = zip(plans, removed).filter { !$0.1.isEmpty }.map { (group: $0.0.group, units: $0.1) }
  var record = PruneRecord(
    granularity: settings.granularity.rawValue, scope: scope.rawValue, ratio: settings.ratio,
    prunable: plans.reduce(0) { $0 + ($1.reason == nil ? $1.group.unitCount : 0) },
    pruned: removed.reduce(0) { $0 + $1.count }, layers: [],
    groups: zip(plans, removed).map { $0.0.record(removed: $0.1) }, equivalence: nil,
    statisticsSamples: Int(statistics.first?.sampleCount ?? 0), reestimatedSamples: 0, notes: [])
  let masked = try graph.masking(units)
  var result = masked
  if !settings.maskOnly, !units.isEmpty {
    result = try graph.removing(units)
    record.equivalence = try checkEquivalence(
      masked, result, data: data, settings: settings, progress: progress)
  }
  record.layers = layerRecords(before: graph, masked: masked, after: result, layers: layers)
  return PruneOutcome(graph: result, record: record)
}

/// The groups of a network whose channels may go.
struct ChannelPlans {
  let layers: [WeightedLayer]
  let plans: [GroupPlan]

  /// - Throws: ``CompressionError/noLayers(task:)``,
  ///   ``CompressionError/allGroupsFrozen(groups:openInputs:)``
  ///   and what patterns and scorers are refused with.
  init(_ graph: Graph, scorer: Scorer, settings: PruneSettings) throws {
    try scorer.require(.outputChannel)
    let layers = try graph.weightedLayers()
    guard !layers.isEmpty else { throw CompressionError.noLayers(task: "prune") }
    let selected = try settings.layers.select(layers.map(\.name))
    let included = Set(zip(layers, selected).filter(\.1).map(\.0.nodeIndex))
    self.layers = layers
    plans = try graph.couplingGroups().map {
      GroupPlan($0, layers: layers, included: included, settings.layers)
    }
    guard plans.contains(where: { $0.reason == nil }) else {
      throw CompressionError.allGroupsFrozen(
        groups: plans.map { "\"\($0.group.name)\": \($0.reason ?? "")" },
        openInputs: graph.inputs.filter { ($0.shape ?? []).dropFirst().contains { $0.size == nil } }
          .map { "\"\($0.name)\" \($0.shape ?? [])" })
    }
  }
}

/// What is known of one group before its channels are ranked.
struct GroupPlan {
  struct ScoredSlice {
    /// Index of the layer's node.
    var layer: Int
    var slice: CouplingGroup.Slice
    var granularity: Granularity
  }

  let group: CouplingGroup
  let producers: [ScoredSlice]
  let consumers: [ScoredSlice]
  /// Why no unit goes, or nil.
  var reason: String?
  /// One combined score a unit.
  var scores: [Double] = []
  var scoredNames: [String] = []
  var reduce = ""

  init(
    _ group: CouplingGroup, layers: [WeightedLayer], included: Set<Int>, _ filter: LayerFilter
  ) {
    self.group = group
    var byNode: [Int: WeightedLayer] = [:]
    for layer in layers { byNode[layer.nodeIndex] = layer }
    producers = group.slices.compactMap { slice in
      guard slice.role == .producer, let layer = byNode[slice.nodeIndex],
        slice.tensor == layer.weight, slice.axis == layer.outAxis
      else { return nil }
      return ScoredSlice(layer: slice.nodeIndex, slice: slice, granularity: .outputChannel)
    }
    consumers = group.slices.compactMap { slice in
      guard slice.role == .consumer, let layer = byNode[slice.nodeIndex],
        slice.tensor == layer.weight, slice.axis == layer.inAxis, layer.groups == 1
      else { return nil }
      return ScoredSlice(layer: slice.nodeIndex, slice: slice, granularity: .inputChannel)
    }
    reason = group.frozenReason
    if reason == nil, producers.isEmpty {
      reason = "no layer with a float weight makes its channels"
    }
    if reason == nil, group.unitCount < 2 {
      let isOne = producers.allSatisfy { $0.slice.positions.allSatisfy { $0.count <= 1 } }
      reason = isOne ? "it has a single channel" : "all of its channels can only go together"
    }
    let alone = Set(group.parts.map(\.units).filter { $0.count == 1 }.joined())
    if reason == nil, alone.count == group.unitCount {
      reason = "each of its channels is the only one of some value"
    }
    if reason == nil {
      if let name = producers.map(\.slice.node).first(where: { name in
        filter.exclude.contains { LayerFilter.matches($0, name) }
      }) {
        reason = "the layer \"\(name)\" is excluded"
      } else if !producers.contains(where: { included.contains($0.layer) }) {
        reason = "none of its layers is included"
      }
    }
  }

  /// The slices whose layers are scored, producers first.
  func scoredSlices(_ settings: PruneSettings, _ scorer: Scorer) -> [ScoredSlice] {
    if settings.groupReduce == .first {
      // Others only where the first says nothing.
      var open = Set(0..<group.unitCount)
      return producers.filter { producer in
        let told = open.filter { !producer.slice.positions[$0].isEmpty }
        open.subtract(told)
        return !told.isEmpty
      }
    }
    let scoresConsumers =
      settings.scoreConsumers && scorer.descriptor.granularities.contains(.inputChannel)
    return producers + (scoresConsumers ? consumers : [])
  }

  /// The units that may go, the worst first; of equal ones the first.
  ///
  /// The best of the group and of each of its parts are not among them: one has to stay.
  var ranking: [Int] {
    func isWorse(_ unit: Int, _ other: Int) -> Bool {
      (scores[unit], unit) < (scores[other], other)
    }
    let kept = Set(
      ([Array(scores.indices)] + group.parts.map(\.units)).compactMap { $0.max(by: isWorse) })
    return scores.indices.filter { scores[$0].isFinite && !kept.contains($0) }.sorted(by: isWorse)
  }

  func record(removed: [Int]) -> PruneRecord.Group {
    PruneRecord.Group(
      name: group.name, producers: unique(group.slices.filter { $0.role == .producer }.map(\.node)),
      consumers: unique(group.slices.filter { $0.role == .consumer }.map(\.node)),
      scored: scoredNames, reduce: reduce, unitsBefore: group.unitCount,
      unitsAfter: group.unitCount - removed.count, removed: removed, frozen: reason)
  }

  private func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }
}

/// Channel scores of the layers of coupling groups, combined to one a unit.
///
/// Layers' scores are of different sizes: each layer's are divided by their mean over the units, so
/// that no layer drowns the others and groups can be ranked together.
private struct ChannelScores {
  let graph: Graph
  let scorer: Scorer
  let layers: [WeightedLayer]
  let statistics: [LayerStatistics]

  func fill(_ plans: inout [GroupPlan], _ settings: PruneSettings) throws {
    for index in plans.indices where plans[index].reason == nil {
      var rows: [[Double?]] = []
      for scored in plans[index].scoredSlices(settings, scorer) {
        guard let channels = try scores(scored) else { continue }
        // A tensor that holds only some of the group's units says nothing about the others.
        rows.append(
          normalized(
            scored.slice.positions.map { positions in
              positions.isEmpty ? nil : positions.reduce(0) { $0 + channels[$1] }
            }))
        plans[index].scoredNames.append(
          "\(scored.slice.node) (\(scored.granularity.rawValue.replacing("-", with: " "))s)")
      }
      plans[index].reduce = settings.groupReduce.rawValue
      guard let first = rows.first else {
        plans[index].reason = "the scorer left its layers out"
        continue
      }
      plans[index].scores = first.indices.map { unit in
        let values = rows.compactMap { $0[unit] }
        // What the scorer says nothing about stays.
        guard let value = values.first else { return .infinity }
        return switch settings.groupReduce {
        case .first: value
        case .max: values.max()!
        case .sum: values.reduce(0, +)
        case .mean: values.reduce(0, +) / Double(values.count)
        }
      }
    }
  }

  private func scores(_ scored: GroupPlan.ScoredSlice) throws -> [Double]? {
    guard let index = layers.firstIndex(where: { $0.nodeIndex == scored.layer }) else { return nil }
    let layer = layers[index]
    let weight = graph.constant(layer.weight)!.asFloat32()
    guard
      let tensor = try scorer.score(
        layer.context(index), granularity: scored.granularity, weight: weight,
        mask: scorer.mask(weight), statistics: statistics[index])
    else { return nil }
    let values = tensor.floats().map { Double($0) }
    guard values.allSatisfy(\.isFinite) else {
      throw CompressionError.scoresNotFinite(plugin: scorer.descriptor.id, layer: layer.name)
    }
    return values
  }

  private func normalized(_ scores: [Double?]) -> [Double?] {
    let known = scores.compactMap { $0 }
    let mean = known.reduce(0) { $0 + abs($1) } / Double(max(known.count, 1))
    return mean > 0 ? scores.map { $0.map { $0 / mean } } : scores
  }
}

/// The units to remove of each group, ascending.
private func choose(
  _ plans: [GroupPlan], _ settings: PruneSettings, scope: PruneSettings.Scope
) -> [[Int]] {
  var removed = plans.map { _ in [Int]() }
  switch scope {
  case .layer:
    for (index, plan) in plans.enumerated() where plan.reason == nil {
      let count = ElementPruning.selectedCount(
        ratio: settings.ratio, elements: plan.group.unitCount)
      removed[index] = Array(plan.ranking.prefix(count))
    }
  case .global:
    let total = plans.reduce(0) { $0 + ($1.reason == nil ? $1.group.unitCount : 0) }
    let wanted = ElementPruning.selectedCount(ratio: settings.ratio, elements: total)
    let ranking = plans.enumerated().flatMap { index, plan in
      plan.reason != nil ? [] : plan.ranking.map { (plan.scores[$0], index, $0) }
    }.sorted { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }
    for (_, index, unit) in ranking.prefix(wanted) { removed[index].append(unit) }
  }
  for (index, plan) in plans.enumerated() where plan.reason == nil {
    let multiple = settings.roundTo ?? 1
    let units = plan.group.unitCount
    let kept = max(1, units - removed[index].count)
    let target = min(units, (kept + multiple - 1) / multiple * multiple)
    // `removed` is in ascending order of scores: what is kept in addition is the best of it.
    removed[index] = removed[index].prefix(units - target).sorted()
  }
  return removed
}

/// Whether the ratio or the rounding of numbers of channels let everything stay.
private func nothingTaken(
  of plans: [GroupPlan], _ settings: PruneSettings, scope: PruneSettings.Scope
) -> CompressionError {
  let sizes = plans.filter { $0.reason == nil }.map(\.group.unitCount)
  var unrounded = settings
  unrounded.roundTo = nil
  if let multiple = settings.roundTo,
    !choose(plans, unrounded, scope: scope).allSatisfy(\.isEmpty)
  {
    return .roundingTakesNothing(multiple: multiple, channels: sizes.max() ?? 0)
  }
  let count = scope == .global ? sizes.reduce(0, +) : sizes.max() ?? 0
  return .ratioTakesNothing(ratio: settings.ratio, count: count, unit: "channel")
}

/// What happened to each layer's weight.
private func layerRecords(
  before: Graph, masked: Graph, after: Graph, layers: [WeightedLayer]
) -> [PruneRecord.Layer] {
  layers.map { layer in
    let old = before.constant(layer.weight)!
    let new = after.constant(layer.weight)!
    let zeros = new.zeroCount
    let pruned =
      new.count < old.count
      ? old.count - new.count : masked.constant(layer.weight)!.zeroCount - old.zeroCount
    return PruneRecord.Layer(
      name: layer.name, op: layer.op, weight: layer.weight, shapeBefore: old.shape,
      shapeAfter: new.shape, elements: old.count, zeros: zeros, pruned: pruned,
      sparsity: Double(zeros) / Double(max(new.count, 1)), skipped: nil)
  }
}
