internal import BillhookPlugins
internal import BillhookTensor
internal import Synchronization

/// Sets the elements with the lowest scores of some tensors to zero.
///
/// A chunked scorer's scores are never stored: they go piece by piece into a streaming selection,
/// pass after pass. Another scorer's are stored for one selection, and so are those of a scorer in
/// another process, where the calls of a second pass would cost more than the memory.
struct ElementPruning {
  struct Item {
    var name: String
    var context: LayerContext
    /// Of any floating-point type, possibly in a mapped file.
    var weight: Tensor
    var statistics = LayerStatistics()
  }
  struct Written {
    /// In the item's own type.
    var tensor: Tensor
    /// The elements that were selected.
    var pruned: Int
    /// All elements that are zero now.
    var zeros: Int
  }
  struct Result {
    /// The elements that were selected, zeros among them.
    var pruned: Int
    var elements: Int
    /// Indices of the items that the scorer skipped.
    var skipped: [Int]
  }

  let scorer: Scorer
  /// Pieces start at multiples of this many elements, so a piece's number is its first element
  /// divided by this.
  static let pieceElements = Scorer.pieceElementCount

  /// The number of elements that a ratio selects: the nearest integer, of two the even one.
  static func selectedCount(ratio: Double, elements: Int) -> Int {
    min(elements, max(0, Int((ratio * Double(elements)).rounded(.toNearestOrEven))))
  }

  /// Prunes a fraction of all items together.
  ///
  /// - Parameters:
  ///   - bandElements: The most elements that are delivered at a time, a multiple of
  ///     ``pieceElements``; a larger float32 item comes in several flat bands.
  ///   - deliver: Gets each item's index and what became of it, in order.
  func prune(
    _ items: [Item], ratio: Double, bandElements: Int = .max,
    deliver: (_ index: Int, _ written: Written) throws -> Void
  ) throws -> Result {
    let streams = scorer.isPiecewise && !isWorthStoring(items)
    let scores = try streams ? items.map { _ in nil } : storedScores(items)
    let chosen = items.indices.filter { streams || scores[$0] != nil }
    let elements = chosen.reduce(0) { $0 + items[$1].weight.count }
    let wanted = Self.selectedCount(ratio: ratio, elements: elements)
    let granule = Self.pieceElements
    var firstPiece: [Int] = []
    var pieces = 0
    for item in items {
      firstPiece.append(pieces)
      pieces += (item.weight.count + granule - 1) / granule
    }
    guard let selection = StreamingSelection(total: elements, lowest: wanted, pieces: pieces) else {
      throw CompressionError.selectionFailed(plugin: scorer.descriptor.id)
    }
    if streams {
      try sample(items, into: selection, elements: elements)
    } else {
      sample(scores, into: selection, elements: elements)
    }
    passes: while true {
      switch selection.nextPass() {
      case .done: break passes
      case .inconsistent:
        throw CompressionError.selectionFailed(plugin: scorer.descriptor.id)
      case .needed:
        for index in chosen {
          let first = firstPiece[index]
          try forEachPiece(items[index], scores[index]) { element, _, scores in
            let piece = first + element / granule
            return switch scores {
            case .stored(let scores): selection.add(piece: piece, scores)
            case .passing(let scores): selection.spend(piece: piece, scores)
            }
          }
          items[index].weight.discardPages()
        }
      }
    }
    var total = 0
    for index in chosen {
      // Other types are converted as a whole, so their bands would save nothing.
      let weight = items[index].weight
      let band =
        weight.elementType == .float32 ? min(bandElements, max(weight.count, 1)) : .max
      for start in stride(from: 0, to: max(weight.count, 1), by: band) {
        let written = try write(
          items[index], scores[index], selection,
          elements: start..<(weight.count - start > band ? start + band : weight.count),
          firstPiece: firstPiece[index], granule: granule)
        total += written.pruned
        try deliver(index, written)
      }
      weight.discardPages()
    }
    guard total == wanted else {
      throw CompressionError.selectionFailed(plugin: scorer.descriptor.id)
    }
    return Result(
      pruned: total, elements: elements,
      skipped: items.indices.filter { !streams && scores[$0] == nil })
  }

  /// Some of the item's elements with zeros where their scores are among the lowest; all of them
  /// in the item's shape, a part as one axis.
  private func write(
    _ item: Item, _ scores: Tensor?, _ selection: StreamingSelection, elements: Range<Int>,
    firstPiece: Int, granule: Int
  ) throws -> Written {
    let isWhole = elements.count == item.weight.count
    var target = Tensor(zeros: isWhole ? item.weight.shape : [elements.count])
    let pruned = Atomic(0)
    let zeros = Atomic(0)
    try target.withUnsafeMutableElements(of: Float.self) { buffer in
      // Pieces are disjoint parts of the buffer, which outlives them.
      nonisolated(unsafe) let base = buffer.baseAddress
      let first = elements.lowerBound
      try forEachPiece(item, scores, elements) { element, weights, scores in
        guard let base else { return true }
        let place = base + (element - first)
        let piece = firstPiece + element / granule
        let found =
          switch scores {
          case .stored(let scores): selection.prune(piece: piece, scores, weights, into: place)
          case .passing(let scores):
            selection.prune(piece: piece, spending: scores, weights, into: place)
          }
        guard let found else { return false }
        pruned.add(found, ordering: .relaxed)
        // Counted while the piece is in the cache.
        zeros.add(
          countZeros(UnsafeBufferPointer(start: place, count: weights.count)), ordering: .relaxed)
        return true
      }
    }
    let type = item.weight.elementType
    return Written(
      tensor: type == .float32 ? target : target.asFloatingPoint(type) ?? target,
      pruned: pruned.load(ordering: .relaxed), zeros: zeros.load(ordering: .relaxed))
  }

  /// The most elements whose scores from another process are stored: 64 MiB of them.
  private static let storedElements = 1 << 24

  private func isWorthStoring(_ items: [Item]) -> Bool {
    scorer.isRemote && items.reduce(0) { $0 + $1.weight.count } <= Self.storedElements
  }

  /// The scores of whole items; nil for those that the scorer skips.
  private func storedScores(_ items: [Item]) throws -> [Tensor?] {
    guard scorer.isPiecewise else { return try items.map(elementScores) }
    return try scorer.storedChunks(
      items.map {
        Scorer.ChunkedLayer(
          layer: $0.context, weight: $0.weight.asFloat32(), statistics: $0.statistics)
      })
  }

  /// The scores of all elements of an item; nil when the scorer skips it.
  func elementScores(_ item: Item) throws -> Tensor? {
    try scorer.score(
      item.context, granularity: .element, weight: item.weight, mask: mask(item),
      statistics: item.statistics)
  }

  /// What is left of an item from pruning before, where the scorer asks for it; nil on the first
  /// step.
  func mask(_ item: Item) -> Tensor? { scorer.mask(item.weight) }

  /// Scores of a piece.
  private enum PieceScores {
    /// Known to be finite, and looked at again.
    case stored(UnsafeBufferPointer<Float>)
    /// Fresh from the plugin. Whoever gets them looks for NaN, and leaves NaN.
    case passing(UnsafeMutableBufferPointer<Float>)
  }

  /// - Parameter body: Returns false when a score is not finite.
  private func forEachPiece(
    _ item: Item, _ scores: Tensor?, _ elements: Range<Int>? = nil,
    _ body: @Sendable (Int, UnsafeBufferPointer<Float>, PieceScores) -> Bool
  ) throws {
    let weight = item.weight.asFloat32()
    guard let scores else {
      try scorer.scoreChunks(
        item.context, weight: weight, statistics: item.statistics, elements: elements,
        spend: { body($0, $1, .passing($2)) })
      return
    }
    let elements = elements ?? 0..<scores.count
    let areFinite = weight.withUnsafeElements(of: Float.self) { weights in
      scores.withUnsafeElements(of: Float.self) { scores in
        // Read only, and both outlive the loop.
        nonisolated(unsafe) let (weights, scores) = (weights, scores)
        return ParallelPieces.map(count: elements.count, grain: Self.pieceElements) { piece in
          let start = elements.lowerBound + piece.lowerBound
          let range = start..<start + piece.count
          return body(
            start, UnsafeBufferPointer(rebasing: weights[range]),
            .stored(UnsafeBufferPointer(rebasing: scores[range])))
        }
      }
    }
    guard areFinite.allSatisfy({ $0 }) else {
      throw CompressionError.scoresNotFinite(plugin: scorer.descriptor.id, layer: item.name)
    }
  }

  /// Scores about 4096 clusters of 64 weights, so that a large selection needs fewer passes. A bad
  /// sample costs time, never exactness.
  private func sample(
    _ items: [Item], into selection: StreamingSelection, elements: Int
  ) throws {
    guard elements > 1 << 20 else { return }
    // Other types would be converted as a whole for the sake of a sample.
    let items = items.filter { $0.weight.elementType == .float32 }
    let clusters = Self.clusters(items.map(\.weight.count), of: 64, step: elements / 4096)
    for (item, ranges) in zip(items, clusters) {
      try scorer.scoreRanges(
        item.context, weight: item.weight, statistics: item.statistics, ranges: ranges
      ) { _, _, scores in selection.sample(scores) }
    }
  }

  /// The same of stored scores: these cost nothing to look at, so few of them are enough to spare a
  /// small selection most of its work.
  private func sample(
    _ scores: [Tensor?], into selection: StreamingSelection, elements: Int
  ) {
    guard elements > 1 << 15 else { return }
    let scores = scores.compactMap(\.self)
    let isLarge = elements > 1 << 20
    let clusters = Self.clusters(
      scores.map(\.count), of: isLarge ? 64 : 8, step: elements / (isLarge ? 4096 : 512))
    for (scores, ranges) in zip(scores, clusters) {
      scores.withUnsafeElements(of: Float.self) { scores in
        for range in ranges { selection.sample(UnsafeBufferPointer(rebasing: scores[range])) }
      }
    }
  }

  /// Where in each of some runs of elements a sample is taken: every `step` elements, counted on from
  /// one run to the next, as many neighbours as `size` says.
  private static func clusters(_ counts: [Int], of size: Int, step: Int) -> [[Range<Int>]] {
    let step = max(step, size)
    var offset = 0
    return counts.map { count in
      let starts = Array(stride(from: offset, to: count - size + 1, by: step))
      offset = max(0, (starts.last.map { $0 + step } ?? offset) - count)
      return starts.map { $0..<$0 + size }
    }
  }
}

extension Scorer {
  /// 1 where a weight is not zero, for a scorer that asks for it; nil when nothing was pruned yet.
  func mask(_ weight: Tensor) -> Tensor? {
    guard descriptor.needs.contains(.previousMask) else { return nil }
    let values = weight.floats()
    guard values.contains(0) else { return nil }
    return Tensor(values.map { $0 == 0 ? Float(0) : 1 }, shape: weight.shape)
  }

  /// True when element scores come piece by piece and are never stored.
  var isPiecewise: Bool { isChunked && !descriptor.needs.contains(.previousMask) }
}

/// The number of elements that are 0, sixteen at a time.
private func countZeros(_ values: UnsafeBufferPointer<Float>) -> Int {
  let bytes = UnsafeRawBufferPointer(values)
  var lanes = SIMD16<Int32>()
  let whole = values.count / 16 * 16
  for index in stride(from: 0, to: whole, by: 16) {
    let numbers = bytes.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self)
    lanes.replace(with: lanes &+ 1, where: numbers .== 0)
  }
  return Int(lanes.wrappedSum()) + values[whole...].count { $0 == 0 }
}
