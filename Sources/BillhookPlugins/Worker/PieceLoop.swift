internal import BillhookKernels
internal import BillhookSDK
internal import BillhookSandbox
internal import Synchronization

/// The worker's side of ``HookCall/scorePieces``: one call of `score` a piece, on the pool.
///
/// Safety of `@unchecked`: all but the status is constant, and the pointers are those of a call that
/// lasts as long.
final class PieceLoop: @unchecked Sendable {
  private let context: CallContext
  private let piece: PieceCall
  private let scores: UnsafeMutableBufferPointer<Float>
  /// The first piece, by number, that was not scored.
  private let worst = Mutex<(piece: Int, status: bh_status)?>(nil)

  /// - Parameter arguments: The layer, the inputs and the scores; weight, gradient and scores are
  ///   flat, from the layer's `element_begin` on.
  init?(
    _ plugin: Plugin, _ instance: UnsafeMutableRawPointer?, _ context: CallContext,
    _ arguments: UnsafeBufferPointer<UInt>
  ) {
    guard case .scorer(let table) = plugin.entry.functions, let function = table.score,
      arguments.count == 3,
      let layer = UnsafePointer<bh_layer>(bitPattern: arguments[0])?.pointee,
      let input = UnsafePointer<bh_score_in>(bitPattern: arguments[1])?.pointee,
      let out = UnsafePointer<bh_tensor>(bitPattern: arguments[2])?.pointee, out.ndim == 1,
      let count = out.shape?[0], count > 0, let target = out.data,
      let weights = input.weight?.pointee.data
    else { return nil }
    self.context = context
    piece = PieceCall(
      function: function, instance: instance, layer: layer, input: input,
      first: Int(layer.element_begin),
      weights: UnsafePointer(weights.assumingMemoryBound(to: Float.self)),
      gradient: (input.grad?.pointee.data?.assumingMemoryBound(to: Float.self))
        .map { UnsafePointer($0) })
    scores = UnsafeMutableBufferPointer(
      start: target.assumingMemoryBound(to: Float.self), count: Int(count))
  }

  /// The status of the first piece that was not scored, or `BH_OK`.
  func run() -> bh_status {
    let start = bh_monotonic_nanoseconds()
    run(0)
    let piece = Scorer.pieceElementCount
    let rest = (scores.count - 1) / piece
    // To wake the pool's other threads takes as long as several pieces of a quick plugin.
    let isQuick = (bh_monotonic_nanoseconds() - start) * UInt64(rest) < 60_000
    if isQuick {
      for number in 0..<rest { run(number + 1) }
    } else {
      bh_parallel_for(
        Int64(rest), 1,
        { begin, end, data in
          let loop = Unmanaged<PieceLoop>.fromOpaque(data!).takeUnretainedValue()
          for number in begin..<end { loop.run(Int(number) + 1) }
        }, Unmanaged.passUnretained(self).toOpaque())
    }
    return worst.withLock { $0?.status } ?? BH_OK
  }

  private func run(_ number: Int) {
    guard worst.withLock({ $0 == nil }) else { return }
    let start = number * Scorer.pieceElementCount
    let end = min(start + Scorer.pieceElementCount, scores.count)
    let part = UnsafeMutableBufferPointer(rebasing: scores[start..<end])
    // Here and not in the host, because the plugin writes to the same cache: rule BH-03.
    UnsafeMutableRawBufferPointer(part).initializeMemory(as: UInt8.self, repeating: 0xFF)
    let status = context.task().enter { piece($0, piece.first + start, part) }
    guard status < 0 || status == BH_SKIP else { return }
    worst.withLock { worst in
      if worst.map({ number < $0.piece }) ?? true { worst = (number, status) }
    }
  }
}
