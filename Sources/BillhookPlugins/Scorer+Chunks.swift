internal import BillhookKernels
internal import BillhookSDK
public import BillhookTensor
internal import Synchronization

extension Scorer {
  /// True when ``scoreChunks`` may be used: the plugin declares CHUNKED and CONCURRENT, scores
  /// elements, and does not look at the mask.
  public var isChunked: Bool { missingForChunks == nil }

  private var missingForChunks: String? {
    if !descriptor.granularities.contains(.element) { return "does not score elements" }
    if !descriptor.capabilities.contains(.chunked) { return "lacks the CHUNKED flag" }
    if !descriptor.capabilities.contains(.concurrent) { return "lacks the CONCURRENT flag" }
    if descriptor.needs.contains(.previousMask) { return "needs the mask" }
    return nil
  }

  /// Elements of a piece of ``scoreChunks``; the last one may have fewer. Weights and scores of a
  /// piece, 128 KiB, stay in the second-level cache.
  public static let pieceElementCount = 16 * 1024

  /// Gets a piece's first element index, its weights and its scores, all of them finite.
  public typealias PieceReader =
    @Sendable (
      _ firstElement: Int, _ weights: UnsafeBufferPointer<Float>,
      _ scores: UnsafeBufferPointer<Float>
    ) -> Void

  /// Gets the same before anybody looked at the scores, which may hold NaN. It must look at each of
  /// them, leave NaN in the place of each, and return whether all were finite.
  ///
  /// That is what rule BH-03 takes, at the price of the pass that reads the scores anyway.
  public typealias PieceSpender =
    @Sendable (
      _ firstElement: Int, _ weights: UnsafeBufferPointer<Float>,
      _ scores: UnsafeMutableBufferPointer<Float>
    ) -> Bool

  /// Element scores piece by piece, never stored as a whole: for plugins with the CHUNKED flag.
  ///
  /// `consume` gets each piece's first element index (a multiple of ``pieceElementCount``), its
  /// weights and its scores, on several threads at once, each piece exactly once. Pieces do not
  /// depend on the number of threads.
  ///
  /// - Parameter elements: Only these, from a multiple of ``pieceElementCount`` on; nil for all.
  /// - Throws: ``PluginError``; pieces may have been consumed by then.
  public func scoreChunks(
    _ layer: LayerContext, weight: Tensor, statistics: LayerStatistics = .init(),
    elements: Range<Int>? = nil, consume: PieceReader
  ) throws(PluginError) {
    try withoutActuallyEscaping(consume) { (consume) throws(PluginError) in
      try forEachPiece(layer, weight, statistics, elements, .reader(consume))
    }
  }

  /// As ``scoreChunks(_:weight:statistics:elements:consume:)``, for those who look for scores that
  /// are not finite themselves.
  public func scoreChunks(
    _ layer: LayerContext, weight: Tensor, statistics: LayerStatistics = .init(),
    elements: Range<Int>? = nil, spend: PieceSpender
  ) throws(PluginError) {
    try withoutActuallyEscaping(spend) { (spend) throws(PluginError) in
      try forEachPiece(layer, weight, statistics, elements, .spender(spend))
    }
  }

  private func forEachPiece(
    _ layer: LayerContext, _ weight: Tensor, _ statistics: LayerStatistics, _ elements: Range<Int>?,
    _ consumer: PieceConsumer
  ) throws(PluginError) {
    let elements = elements ?? 0..<weight.count
    precondition(elements.lowerBound >= 0 && elements.upperBound <= weight.count)
    try withLoop(layer, weight: weight, statistics: statistics, consumer) { loop in
      if isRemote { return loop.runRemotely(elements) }
      loop.first = elements.lowerBound
      bh_parallel_for(
        Int64(elements.count), Int64(loop.grain),
        { begin, end, data in
          let loop = Unmanaged<ChunkLoop>.fromOpaque(data!).takeUnretainedValue()
          loop.run(loop.first + Int(begin)..<loop.first + Int(end))
        }, Unmanaged.passUnretained(loop).toOpaque())
    }
  }

  /// Scores of some elements only, one range after the other on this thread: a look at a large
  /// layer before all of it is scored. Ranges must lie within the weight.
  public func scoreRanges(
    _ layer: LayerContext, weight: Tensor, statistics: LayerStatistics = .init(),
    ranges: [Range<Int>], consume: PieceReader
  ) throws(PluginError) {
    precondition(ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= weight.count })
    try withoutActuallyEscaping(consume) { (consume) throws(PluginError) in
      try withLoop(layer, weight: weight, statistics: statistics, .reader(consume)) { loop in
        for range in ranges where !range.isEmpty {
          if isRemote { loop.runRemotely(range) } else { loop.run(range) }
        }
      }
    }
  }

  /// True when the plugin runs in another process, so that its scores are worth keeping.
  public var isRemote: Bool { instance.plugin.worker != nil }

  func withLoop(
    _ layer: LayerContext, weight: Tensor, statistics: LayerStatistics, _ consumer: PieceConsumer,
    _ body: (ChunkLoop) -> Void
  ) throws(PluginError) {
    if let missing = missingForChunks { throw .notChunked(plugin: descriptor.id, missing: missing) }
    guard weight.elementType == .float32 else {
      throw wrong("weight", "\(weight.elementType)", "float32")
    }
    try check(layer, weight)
    guard weight.count > 0 else { return }
    let tensors = BorrowedTensors(for: instance)
    var input = try scoreInput(layer, weight.shape, statistics, tensors)
    input.granularity = Granularity.element.code
    let gradient = input.grad?.pointee.data?.assumingMemoryBound(to: Float.self)
    guard let view = tensors.input(weight), let data = view.pointee.data else { return }

    let piece = PieceCall(
      function: function, instance: instance.pointer,
      layer: layer.cLayer(shape: weight.shape, in: tensors.memory).pointee, input: input,
      first: 0, weights: UnsafePointer(data.assumingMemoryBound(to: Float.self)),
      gradient: gradient.map { UnsafePointer($0) })
    let loop = ChunkLoop(
      scorer: self, layer: layer, piece: piece, tensors: tensors, count: weight.count,
      consumer: consumer)
    withExtendedLifetime((loop, tensors)) { body(loop) }
    if let error = loop.error.withLock({ $0 }) { throw error }
  }
}

/// What becomes of the scores of a piece.
enum PieceConsumer {
  case reader(Scorer.PieceReader)
  case spender(Scorer.PieceSpender)
}

/// One layer's pieces. Safety of `@unchecked`: all but the error is constant, the pointers outlive
/// the loop, and the plugin promises (CONCURRENT) that `score` may run on several threads.
final class ChunkLoop: @unchecked Sendable {
  private static let pieceCount = Scorer.pieceElementCount
  /// Elements of one call of a worker: their scores take 16 MiB.
  private static let bandCount = 1 << 22

  let scorer: Scorer
  let layer: LayerContext
  let piece: PieceCall
  let tensors: BorrowedTensors
  let consumer: PieceConsumer
  let error = Mutex<PluginError?>(nil)
  /// The element that a parallel loop's 0 stands for; set before the loop begins.
  var first = 0
  private let failed = Atomic<Bool>(false)
  /// Elements that one thread takes at a time: several pieces share a call context, but a small
  /// layer still occupies all threads.
  let grain: Int

  init(
    scorer: Scorer, layer: LayerContext, piece: PieceCall, tensors: BorrowedTensors, count: Int,
    consumer: PieceConsumer
  ) {
    self.scorer = scorer
    self.layer = layer
    self.piece = piece
    self.tensors = tensors
    self.consumer = consumer
    grain = Self.pieceCount * min(8, max(1, count / Self.pieceCount / 32))
  }

  func run(_ range: Range<Int>) {
    guard !failed.load(ordering: .relaxed) else { return }
    let context = scorer.instance.context(layer)
    let thread = Int(bh_thread_index())
    attempt { () throws(PluginError) in
      for begin in stride(from: range.lowerBound, to: range.upperBound, by: Self.pieceCount) {
        let count = min(Self.pieceCount, range.upperBound - begin)
        let scores = scorer.pieceBuffers.take(count, thread: thread)
        try call(context, begin, scores)
        try consume(context, begin, scores)
      }
    }
  }

  private func attempt(_ body: () throws(PluginError) -> Void) {
    do {
      try body()
    } catch {
      failed.store(true, ordering: .relaxed)
      self.error.withLock { $0 = $0 ?? error }
    }
  }

  private func call(
    _ context: CallContext, _ begin: Int, _ scores: UnsafeMutableBufferPointer<Float>
  ) throws(PluginError) {
    if try context.run("score", { piece($0, begin, scores) }) == BH_SKIP { throw skipped }
  }

  private var skipped: PluginError {
    .wrongResult(
      plugin: scorer.descriptor.id, function: "score", layer: layer.name, result: "the status",
      found: "skip for a piece of the layer", expected: "ok: skipping is for whole layers")
  }

  private func consume(
    _ context: CallContext, _ begin: Int, _ scores: UnsafeMutableBufferPointer<Float>
  ) throws(PluginError) {
    let weights = UnsafeBufferPointer(start: piece.weights + begin, count: scores.count)
    switch consumer {
    case .reader(let read):
      try scorer.checkFinite(UnsafeBufferPointer(scores), from: begin, layer)
      read(begin, weights, UnsafeBufferPointer(scores))
    case .spender(let spend):
      if spend(begin, weights, scores) {
        scorer.pieceBuffers.spent(thread: Int(bh_thread_index()))
        return
      }
      // The scores are gone: which one it was, another call tells.
      scores.update(repeating: .nan)
      try call(context, begin, scores)
      try scorer.checkFinite(UnsafeBufferPointer(scores), from: begin, layer)
      throw .wrongResult(
        plugin: scorer.descriptor.id, function: "score", layer: layer.name,
        result: "a score from \(begin) to \(begin + scores.count - 1)",
        found: "not finite in one call and finite in the next", expected: "written and finite")
    }
  }

  // MARK: - In a worker

  /// Scores many pieces in one call of the worker, which cuts them itself, and consumes them here.
  func runRemotely(_ range: Range<Int>) {
    let capacity = min(Self.bandCount, range.count)
    let scores = UnsafeMutableBufferPointer<Float>.allocate(capacity: capacity)
    defer { scores.deallocate() }
    for begin in stride(from: range.lowerBound, to: range.upperBound, by: Self.bandCount) {
      let end = min(begin + Self.bandCount, range.upperBound)
      let band = UnsafeMutableBufferPointer(rebasing: scores[..<(end - begin)])
      guard score(begin..<end, into: band) else {
        return attempt { () throws(PluginError) in
          if error.withLock({ $0 }) == nil { throw skipped }
        }
      }
      for start in stride(from: begin, to: end, by: Self.pieceCount) {
        let piece = start - begin..<min(start + Self.pieceCount, end) - begin
        let found = UnsafeMutableBufferPointer(rebasing: band[piece])
        let weights = UnsafeBufferPointer(start: self.piece.weights + start, count: found.count)
        switch consumer {
        case .reader(let read): read(start, weights, UnsafeBufferPointer(found))
        case .spender(let spend): _ = spend(start, weights, found)
        }
      }
    }
  }

  /// The worker's scores of some elements, checked and out of its reach; false when there are none.
  func score(_ range: Range<Int>, into scores: UnsafeMutableBufferPointer<Float>) -> Bool {
    guard !range.isEmpty else { return true }
    var isScored = false
    attempt { () throws(PluginError) in
      let request = PieceRequest(self, range, into: scores)
      let status = try scorer.instance.context(layer).run("score") { call in
        withExtendedLifetime(request) {
          WorkerInstance.call(.scorePieces, piece.instance, call, request.arguments)
        }
      }
      guard status != BH_SKIP else { return }
      try scorer.checkFinite(UnsafeBufferPointer(scores), from: range.lowerBound, layer)
      isScored = true
    }
    return isScored
  }
}
