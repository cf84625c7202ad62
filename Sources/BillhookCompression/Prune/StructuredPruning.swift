internal import BillhookPlugins
internal import BillhookTensor

/// Sets whole blocks of weights to zero, or all but `n` of each `m` elements or blocks.
///
/// Blocks are scored by the plugin where it can; else their score is the mean of their elements'.
struct StructuredPruning {
  let scorer: Scorer
  let block: BlockShape?
  let pattern: SparsityPattern?

  /// nil when plain elements are pruned.
  init?(_ settings: PruneSettings, scorer: Scorer) {
    guard settings.block != nil || settings.pattern != nil else { return nil }
    self.scorer = scorer
    block = settings.block
    pattern = settings.pattern
  }

  /// The same as ``ElementPruning/prune(_:ratio:deliver:)``, but that the result counts units: the
  /// elements or blocks that are kept or pruned as one.
  func prune(
    _ items: [ElementPruning.Item], ratio: Double,
    deliver: (_ index: Int, _ written: ElementPruning.Written) throws -> Void
  ) throws -> ElementPruning.Result {
    var scores: [[Float]] = []
    var chosen: [Int] = []
    var skipped: [Int] = []
    for (index, item) in items.enumerated() {
      guard let found = try unitScores(item) else {
        skipped.append(index)
        continue
      }
      guard found.allSatisfy(\.isFinite) else {
        throw CompressionError.scoresNotFinite(plugin: scorer.descriptor.id, layer: item.name)
      }
      scores.append(found)
      chosen.append(index)
    }
    var masks: [[Bool]] = []
    if let pattern {
      for (index, found) in zip(chosen, scores) {
        let (outer, count, inner) = axes(items[index])
        masks.append(pattern.pruned(found, outer: outer, count: count, inner: inner))
      }
    } else {
      masks = try lowest(scores, ratio: ratio)
    }
    var pruned = 0
    for (index, mask) in zip(chosen, masks) {
      pruned += mask.count { $0 }
      try deliver(index, write(items[index], mask))
    }
    return ElementPruning.Result(
      pruned: pruned, elements: scores.reduce(0) { $0 + $1.count }, skipped: skipped)
  }

  /// How the units of an item lie along its input axis, as `[outer, count, inner]`.
  private func axes(_ item: ElementPruning.Item) -> (outer: Int, count: Int, inner: Int) {
    if let block {
      let grid = BlockGrid(item, block)
      return (grid.rows, grid.columns, 1)
    }
    let shape = item.weight.shape
    let axis = item.context.inAxis
    guard shape.indices.contains(axis) else { return (1, 1, item.weight.count) }
    return (
      shape[..<axis].reduce(1, *), shape[axis], shape[(axis + 1)...].reduce(1, *)
    )
  }

  private func unitScores(_ item: ElementPruning.Item) throws -> [Float]? {
    let pruning = ElementPruning(scorer: scorer)
    guard let block else { return try pruning.elementScores(item)?.floats() }
    if scorer.descriptor.granularities.contains(.block) {
      return try scorer.score(
        item.context, granularity: .block, block: block, weight: item.weight,
        mask: pruning.mask(item), statistics: item.statistics)?.floats()
    }
    guard let scores = try pruning.elementScores(item) else { return nil }
    let grid = BlockGrid(item, block)
    var sums = [Double](repeating: 0, count: grid.rows * grid.columns)
    var counts = [Int](repeating: 0, count: sums.count)
    scores.withUnsafeElements(of: Float.self) { values in
      grid.forEach { element, unit in
        sums[unit] += Double(values[element])
        counts[unit] += 1
      }
    }
    return zip(sums, counts).map { Float($0 / Double(max($1, 1))) }
  }

  /// The lowest of all scores together, of equal ones the first.
  private func lowest(_ scores: [[Float]], ratio: Double) throws -> [[Bool]] {
    let all = scores.flatMap { $0 }
    let granule = ElementPruning.pieceElements
    let wanted = ElementPruning.selectedCount(ratio: ratio, elements: all.count)
    let starts = Array(stride(from: 0, to: all.count, by: granule))
    guard
      let selection = StreamingSelection(total: all.count, lowest: wanted, pieces: starts.count)
    else { throw CompressionError.selectionFailed(plugin: scorer.descriptor.id) }
    var kept = [Float](repeating: 1, count: all.count)
    try all.withUnsafeBufferPointer { values in
      func piece(_ start: Int) -> UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(rebasing: values[start..<min(start + granule, values.count)])
      }
      while true {
        let pass = selection.nextPass()
        if case .done = pass { break }
        guard case .needed = pass else {
          throw CompressionError.selectionFailed(plugin: scorer.descriptor.id)
        }
        for (number, start) in starts.enumerated() { selection.add(piece: number, piece(start)) }
      }
      kept.withUnsafeMutableBufferPointer { out in
        for (number, start) in starts.enumerated() {
          let part = UnsafeBufferPointer(rebasing: out[start..<min(start + granule, out.count)])
          let target = UnsafeMutablePointer(mutating: part.baseAddress!)
          selection.prune(piece: number, piece(start), part, into: target)
        }
      }
    }
    var position = 0
    return scores.map { own in
      defer { position += own.count }
      return kept[position..<position + own.count].map { $0 == 0 }
    }
  }

  private func write(_ item: ElementPruning.Item, _ mask: [Bool]) -> ElementPruning.Written {
    var target = Tensor(item.weight.floats(), shape: item.weight.shape)
    var pruned = 0
    target.withUnsafeMutableElements(of: Float.self) { values in
      if let block {
        BlockGrid(item, block).forEach { element, unit in
          guard mask[unit] else { return }
          values[element] = 0
          pruned += 1
        }
      } else {
        for index in values.indices where mask[index] {
          values[index] = 0
          pruned += 1
        }
      }
    }
    let type = item.weight.elementType
    return ElementPruning.Written(
      tensor: type == .float32 ? target : target.asFloatingPoint(type) ?? target, pruned: pruned,
      zeros: target.zeroCount)
  }
}

/// Which block each element of a weight belongs to. The weight is seen as `[output channels,
/// inputs]`, the inputs being all its other axes in their order.
struct BlockGrid {
  private let block: BlockShape
  private let outer: Int
  private let outputs: Int
  private let inner: Int
  let rows: Int
  let columns: Int

  init(_ item: ElementPruning.Item, _ block: BlockShape) {
    let shape = item.weight.shape
    let axis = item.context.outAxis
    self.block = block
    if shape.indices.contains(axis) {
      outer = shape[..<axis].reduce(1, *)
      outputs = shape[axis]
      inner = shape[(axis + 1)...].reduce(1, *)
    } else {
      outer = 1
      outputs = 1
      inner = shape.reduce(1, *)
    }
    rows = (outputs + block.outputs - 1) / block.outputs
    columns = (outer * inner + block.inputs - 1) / block.inputs
  }

  /// Calls `body` with each element's flat index and its block's.
  func forEach(_ body: (_ element: Int, _ unit: Int) -> Void) {
    var element = 0
    for before in 0..<outer {
      for output in 0..<outputs {
        let row = output / block.outputs * columns
        for behind in 0..<inner {
          body(element, row + (before * inner + behind) / block.inputs)
          element += 1
        }
      }
    }
  }
}
