/// Notes when each operation of a run starts and ends.
///
/// Operations are then run one by one, which costs a run some microseconds.
public final class Profiler {
  /// One operation of one run.
  public struct Span: Sendable {
    public var operation: PlanOperation
    /// Since the profiler was made.
    public var start: Duration
    public var duration: Duration
  }

  /// In running order, those of all runs since the last ``takeSpans()``.
  private var spans: [Span] = []
  private let clock = ContinuousClock()
  private let origin: ContinuousClock.Instant

  public init() { origin = clock.now }

  /// What was noted, which the profiler then forgets.
  public func takeSpans() -> [Span] {
    defer { spans.removeAll(keepingCapacity: true) }
    return spans
  }

  func time<Result>(
    _ operation: @autoclosure () -> PlanOperation, _ body: () throws -> Result
  ) rethrows -> Result {
    let start = clock.now
    defer {
      let end = clock.now
      spans.append(Span(operation: operation(), start: start - origin, duration: end - start))
    }
    return try body()
  }
}
