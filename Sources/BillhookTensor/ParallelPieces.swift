internal import BillhookKernels

/// Work on fixed pieces of a range, on the process's one thread pool.
public enum ParallelPieces {
  /// Calls `body` on 0..<`count` cut into pieces of `grain`, on several threads at once, and returns
  /// the results in the order of the pieces.
  ///
  /// The pieces depend on `count` and `grain` alone, so that sums over them are the same for any
  /// number of threads.
  public static func map<Result: Sendable>(
    count: Int, grain: Int, _ body: @Sendable (Range<Int>) -> Result
  ) -> [Result] {
    let pieceCount = (count + grain - 1) / grain
    return [Result](unsafeUninitializedCapacity: pieceCount) { results, initializedCount in
      // Each piece writes an element of its own; the buffer and the closure outlive the loop.
      nonisolated(unsafe) let base = results.baseAddress
      withoutActuallyEscaping(body) { body in
        let loop = Loop { range in (base! + range.lowerBound / grain).initialize(to: body(range)) }
        withExtendedLifetime(loop) {
          bh_parallel_for(
            Int64(count), Int64(grain),
            { begin, end, context in
              Unmanaged<Loop>.fromOpaque(context!).takeUnretainedValue()
                .body(Int(begin)..<Int(end))
            }, Unmanaged.passUnretained(loop).toOpaque())
        }
      }
      initializedCount = pieceCount
    }
  }

  private final class Loop: Sendable {
    let body: @Sendable (Range<Int>) -> Void
    init(body: @escaping @Sendable (Range<Int>) -> Void) { self.body = body }
  }
}
