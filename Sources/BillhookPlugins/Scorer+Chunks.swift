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
    elements: Range<Int>? = nil,
    consume:
      @Sendable (
        _ firstElement: Int, _ weights: UnsafeBufferPointer<Float>,
        _ scores: UnsafeBufferPointer<Float>
      ) -> Void
  ) throws(PluginError) {
    let elements = elements ?? 0..<weight.count
    precondition(elements.lowerBound >= 0 && elements.upperBound <= weight.count)
    try withLoop(layer, weight: weight, statistics: statistics, consume: consume) { loop in
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
    ranges: [Range<Int>],
    consume:
      @Sendable (
        _ firstElement: Int, _ weights: UnsafeBufferPointer<Float>,
        _ scores: UnsafeBufferPointer<Float>
      ) -> Void
  ) throws(PluginError) {
    precondition(ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= weight.count })
    try withLoop(layer, weight: weight, statistics: statistics, consume: consume) { loop in
      for range in ranges where !range.isEmpty { loop.run(range) }
    }
  }

  private func withLoop(
    _ layer: LayerContext, weight: Tensor, statistics: LayerStatistics,
    consume: @Sendable (Int, UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>) -> Void,
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

    try layer.withLayer(shape: weight.shape) { (cLayer) throws(PluginError) in
      try withoutActuallyEscaping(consume) { (consume) throws(PluginError) in
        let loop = ChunkLoop(
          scorer: self, layer: layer, cLayer: cLayer.pointee, input: input,
          weights: UnsafePointer(data.assumingMemoryBound(to: Float.self)),
          gradient: gradient.map { UnsafePointer($0) }, count: weight.count,
          consume: consume)
        withExtendedLifetime((loop, tensors)) { body(loop) }
        if let error = loop.error.withLock({ $0 }) { throw error }
      }
    }
  }
}

/// One layer's pieces. Safety of `@unchecked`: all but the error is constant, the pointers outlive
/// the loop, and the plugin promises (CONCURRENT) that `score` may run on several threads.
private final class ChunkLoop: @unchecked Sendable {
  private static let pieceCount = Scorer.pieceElementCount

  let scorer: Scorer
  let layer: LayerContext
  let cLayer: bh_layer
  let input: bh_score_in
  let weights: UnsafePointer<Float>
  let gradient: UnsafePointer<Float>?
  let consume: @Sendable (Int, UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>) -> Void
  let error = Mutex<PluginError?>(nil)
  /// The element that a parallel loop's 0 stands for; set before the loop begins.
  var first = 0
  private let failed = Atomic<Bool>(false)
  /// Elements that one thread takes at a time: several pieces share a buffer and a call context,
  /// but a small layer still occupies all threads.
  let grain: Int

  init(
    scorer: Scorer, layer: LayerContext, cLayer: bh_layer, input: bh_score_in,
    weights: UnsafePointer<Float>, gradient: UnsafePointer<Float>?, count: Int,
    consume:
      @escaping @Sendable (
        Int, UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>
      ) -> Void
  ) {
    self.scorer = scorer
    self.layer = layer
    self.cLayer = cLayer
    self.input = input
    self.weights = weights
    self.gradient = gradient
    self.consume = consume
    grain = Self.pieceCount * min(8, max(1, count / Self.pieceCount / 32))
  }

  func run(_ range: Range<Int>) {
    guard !failed.load(ordering: .relaxed) else { return }
    let capacity = min(Self.pieceCount, range.count)
    let scores = UnsafeMutableBufferPointer<Float>.allocate(capacity: capacity)
    defer { scores.deallocate() }
    let context = scorer.instance.context(layer)
    do {
      for begin in stride(from: range.lowerBound, to: range.upperBound, by: Self.pieceCount) {
        let count = min(Self.pieceCount, range.upperBound - begin)
        try score(begin, UnsafeMutableBufferPointer(rebasing: scores[..<count]), context)
      }
    } catch {
      failed.store(true, ordering: .relaxed)
      self.error.withLock { $0 = $0 ?? error }
    }
  }

  private func score(
    _ begin: Int, _ scores: UnsafeMutableBufferPointer<Float>, _ context: CallContext
  ) throws(PluginError) {
    scores.update(repeating: .nan)
    // Sizes and strides of both tensors; everything of a piece lives on the stack.
    var size = Int64(scores.count)
    var stride: Int64 = 1
    let status = try withUnsafeMutablePointer(to: &size) { (size) throws(PluginError) in
      try withUnsafeMutablePointer(to: &stride) { (stride) throws(PluginError) in
        var weight = bh_tensor(
          data: UnsafeMutableRawPointer(mutating: weights + begin), device_type: 1, device_id: 0,
          ndim: 1, code: UInt8(BH_CODE_FLOAT), bits: 32, lanes: 1, shape: size, strides: stride,
          byte_offset: 0)
        var out = weight
        out.data = UnsafeMutableRawPointer(scores.baseAddress)
        var slope = weight
        slope.data = gradient.map { UnsafeMutableRawPointer(mutating: $0 + begin) }
        return try withUnsafePointer(to: &weight) { (weight) throws(PluginError) in
          try withUnsafePointer(to: &slope) { (slope) throws(PluginError) in
            var input = input
            input.weight = weight
            if gradient != nil { input.grad = slope }
            var cLayer = cLayer
            cLayer.element_begin = Int64(begin)
            return try context.run("score") { call in
              scorer.function(scorer.instance.pointer, call, &cLayer, &input, &out)
            }
          }
        }
      }
    }
    guard status != BH_SKIP else {
      throw .wrongResult(
        plugin: scorer.descriptor.id, function: "score", layer: layer.name, result: "the status",
        found: "skip for a piece of the layer", expected: "ok: skipping is for whole layers")
    }
    try scorer.checkFinite(UnsafeBufferPointer(scores), from: begin, layer)
    consume(
      begin, UnsafeBufferPointer(start: weights + begin, count: scores.count),
      UnsafeBufferPointer(scores))
  }
}
