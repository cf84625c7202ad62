internal import BillhookGraph
public import BillhookPlugins
public import BillhookTensor
public import OrderedCollections

/// Prunes single elements, or blocks of them, of the weights of a graph.
func pruneElements(
  _ graph: Graph, scorer: Scorer, settings: PruneSettings, data: Dataset?,
  progress: (any ProgressReporting)?
) throws -> PruneOutcome {
  try scorer.requireElements(settings)
  scorer.expectCall()
  var layers = try chosenLayers(graph, settings.layers, task: "prune")
  var notes: [String] = []
  if !scorer.descriptor.needs.subtracting(.previousMask).isEmpty {
    let nested = layers.filter { $0.enclosing != nil }
    layers.removeAll { $0.enclosing != nil }
    guard !layers.isEmpty else { throw CompressionError.noLayers(task: "prune") }
    if let first = nested.first {
      notes.append(
        "\(nested.count) layers inside of subgraphs (such as \"\(first.name)\" in "
          + "\"\(first.enclosing ?? "")\") were left alone: what the scorer needs to know of them "
          + "cannot be observed there.")
    }
  }
  for layer in layers { try graph.constant(layer.weight)!.requireFiniteWeight(of: layer.name) }
  let statistics = try scorer.statistics(
    graph, layers: layers, settings: settings, data: data, progress: progress)
  let scope = try settings.elementScope(for: scorer)
  // A weight that several layers read is pruned once, by the scores of the first one.
  var seen: [String: String] = [:]
  var items: [ElementPruning.Item] = []
  for (index, layer) in layers.enumerated() {
    if let owner = seen[layer.weight] {
      notes.append(
        "The weight \"\(layer.weight)\" of \"\(layer.name)\" is shared with \"\(owner)\" and is "
          + "pruned once, by the scores of \"\(owner)\".")
      continue
    }
    seen[layer.weight] = layer.name
    items.append(
      ElementPruning.Item(
        name: layer.name, context: layer.context(index),
        weight: graph.constant(layer.weight)!, statistics: statistics[index]))
  }
  let owners = layers.filter { seen[$0.weight] == $0.name }
  var result = graph
  var pruning = ElementRecording(items: items)
  try pruning.run(scorer: scorer, settings: settings, scope: scope, progress: progress) {
    index, tensor in result.setConstant(owners[index].weight, tensor)
  }
  for index in pruning.layers.indices {
    pruning.layers[index].op = owners[index].op
    pruning.layers[index].weight = owners[index].weight
  }
  var record = pruning.record(settings, scope: scope)
  record.statisticsSamples = Int(statistics.first?.sampleCount ?? 0)
  record.notes = notes
  return PruneOutcome(graph: result, record: record)
}

/// Prunes single elements of the tensors of a checkpoint, tensor by tensor.
///
/// Pruned are the floating-point tensors of rank 2 and more that the settings' patterns choose by
/// name; all others are handed on as they are. Memory beyond the tensors given is that of one band, of
/// one tensor where it is not float32 or the scorer does not score piece by piece.
///
/// - Parameters:
///   - tensors: By name, usually views of a mapped file.
///   - bandElements: The most elements of a pruned tensor that are written at a time, a multiple of
///     16,384.
///   - write: Gets every tensor in the given order, a pruned one that is larger than a band as several
///     flat tensors.
/// - Throws: ``CompressionError``, `PluginError`, and what `write` throws.
public func pruneCheckpoint(
  _ tensors: OrderedDictionary<String, Tensor>, scorer: Scorer, settings: PruneSettings,
  progress: (any ProgressReporting)? = nil, bandElements: Int = 1 << 23,
  write: (String, Tensor) throws -> Void
) throws -> PruneRecord {
  try settings.check()
  guard settings.granularity != .channel else {
    throw CompressionError.graphNeeded(task: "channel pruning")
  }
  try scorer.requireElements(settings)
  guard scorer.descriptor.needs.subtracting(.previousMask).isEmpty else {
    throw CompressionError.graphNeeded(
      task: "the scorer \"\(scorer.descriptor.id)\", which needs statistics of activations,")
  }
  let scope = try settings.elementScope(for: scorer)
  let chosen = try checkpointWeights(tensors, settings.layers, task: "prune")
  let items = chosen.enumerated().map { index, name in
    ElementPruning.Item(
      name: name, context: .checkpoint(name, index: index), weight: tensors[name]!)
  }
  var order = tensors.keys.makeIterator()
  // Hands on what stands before the next pruned tensor.
  func writeUntil(_ pruned: String?) throws {
    while let name = order.next(), name != pruned { try write(name, tensors[name]!) }
  }
  var pruning = ElementRecording(items: items)
  var next = 0
  do {
    try pruning.run(
      scorer: scorer, settings: settings, scope: scope, bandElements: bandElements,
      progress: progress
    ) { index, tensor in
      if index + 1 == next { return try write(chosen[index], tensor) }
      // Tensors that the scorer skipped stand between the pruned ones.
      while next < index {
        try writeUntil(chosen[next])
        try write(chosen[next], tensors[chosen[next]]!)
        next += 1
      }
      try writeUntil(chosen[index])
      try write(chosen[index], tensor)
      next = index + 1
    }
  } catch let error where error.isAboutScores {
    // Only now: a checkpoint may be too large to be read once more for a check that seldom fails.
    for item in items { try item.weight.requireFiniteWeight(of: item.name) }
    throw error
  }
  while next < chosen.count {
    try writeUntil(chosen[next])
    try write(chosen[next], tensors[chosen[next]]!)
    next += 1
  }
  try writeUntil(nil)
  return pruning.record(settings, scope: scope)
}

extension Error {
  /// Whether weights that are not finite may be the reason of a failed scoring.
  fileprivate var isAboutScores: Bool {
    if self is PluginError { return true }
    return switch self as? CompressionError {
    case .some(.scoresNotFinite), .some(.selectionFailed): true
    default: false
    }
  }
}

/// The tensors of a checkpoint that count as weights and are chosen.
func checkpointWeights(
  _ tensors: OrderedDictionary<String, Tensor>, _ filter: LayerFilter, task: String
) throws(CompressionError) -> [String] {
  let weights = tensors.keys.filter { name in
    let tensor = tensors[name]!
    return tensor.rank >= 2 && tensor.elementType.isFloatingPoint && tensor.count > 0
  }
  guard !weights.isEmpty else { throw .checkpointWithoutWeights(task: task, count: tensors.count) }
  let selected = try filter.select(Array(weights))
  return zip(weights, selected).filter(\.1).map(\.0)
}

extension LayerContext {
  /// A tensor of a checkpoint, where nothing is known of the layer but its weight `[O, I, ...]`.
  static func checkpoint(_ name: String, index: Int) -> LayerContext {
    LayerContext(
      role: .weight, index: index, name: name, op: "Weight", outAxis: 0, inAxis: 1, groups: 1)
  }
}

/// Runs element pruning over one or many scopes and writes down what happened.
struct ElementRecording {
  let items: [ElementPruning.Item]
  var layers: [PruneRecord.Layer]
  private var prunable = 0
  private var pruned = 0

  init(items: [ElementPruning.Item]) {
    self.items = items
    layers = items.map { item in
      PruneRecord.Layer(
        name: item.name, op: item.context.op, weight: item.name, shapeBefore: item.weight.shape,
        shapeAfter: item.weight.shape, elements: item.weight.count, zeros: 0, pruned: 0,
        sparsity: 0, skipped: nil)
    }
  }

  mutating func run(
    scorer: Scorer, settings: PruneSettings, scope: PruneSettings.Scope,
    bandElements: Int = .max, progress: (any ProgressReporting)?,
    deliver: (Int, Tensor) throws -> Void
  ) throws {
    let pruning = ElementPruning(scorer: scorer)
    let structured = StructuredPruning(settings, scorer: scorer)
    let total = items.reduce(0) { $0 + $1.weight.count }
    progress?.begin("prune", total: total, unit: "weights")
    var done = 0
    // What was ranked together.
    var largest = 0
    let scopes = scope == .global ? [Array(items.indices)] : items.indices.map { [$0] }
    for members in scopes {
      let chosen = members.map { items[$0] }
      func keep(_ index: Int, _ written: ElementPruning.Written) throws {
        let member = members[index]
        let count = written.tensor.count
        layers[member].pruned += written.pruned
        layers[member].zeros += written.zeros
        layers[member].sparsity =
          Double(layers[member].zeros) / Double(max(layers[member].elements, 1))
        try deliver(member, written.tensor)
        done += count
        progress?.advance(done, detail: layers[member].name)
      }
      let result =
        try structured?.prune(chosen, ratio: settings.ratio, deliver: keep)
        ?? pruning.prune(
          chosen, ratio: settings.ratio, bandElements: bandElements, deliver: keep)
      for index in result.skipped {
        layers[members[index]].skipped = "the scorer left it out"
      }
      prunable += result.elements
      largest = max(largest, result.elements)
      pruned += result.pruned
    }
    progress?.end("\(layers.reduce(0) { $0 + $1.pruned }) of \(total) weights")
    guard layers.contains(where: { $0.skipped == nil }) else {
      throw CompressionError.everythingSkipped(plugin: scorer.descriptor.id)
    }
    guard pruned == 0 else { return }
    if let pattern = settings.pattern {
      throw CompressionError.patternTakesNothing(pattern: "\(pattern)")
    }
    if settings.ratio > 0 {
      throw CompressionError.ratioTakesNothing(
        ratio: settings.ratio, count: largest, unit: settings.block == nil ? "weight" : "block")
    }
  }

  func record(_ settings: PruneSettings, scope: PruneSettings.Scope) -> PruneRecord {
    PruneRecord(
      granularity: settings.granularity.rawValue, block: settings.block,
      pattern: settings.pattern?.description, scope: scope.rawValue, ratio: settings.ratio,
      prunable: prunable, pruned: pruned, layers: layers, groups: [], equivalence: nil,
      statisticsSamples: 0, reestimatedSamples: 0, notes: [])
  }
}
