internal import BillhookKernels

/// The lowest `k` of `n` scores, exactly, without ever holding all of the scores.
///
/// Scores are ordered by value, equal ones by flat index, the lower index first. They come in
/// pieces, over as many passes as ``nextPass()`` asks for; different pieces may come on different
/// threads. The result is a function of the scores alone.
public final class StreamingSelection: @unchecked Sendable {
  private let selection: OpaquePointer

  /// - Parameters:
  ///   - total: The number of scores, `n`.
  ///   - lowest: How many of them are selected, 0...`total`.
  ///   - pieces: The number of pieces; they are numbered in the order of their flat index.
  /// - Returns: nil when the counts do not fit together.
  public init?(total: Int, lowest: Int, pieces: Int) {
    guard let selection = bh_select_create(Int64(total), Int64(lowest), Int64(pieces)) else {
      return nil
    }
    self.selection = selection
  }

  deinit { bh_select_destroy(selection) }

  /// What the end of a pass says.
  public enum Pass: Sendable {
    /// Hand over every piece once more.
    case needed
    /// The threshold is known.
    case done
    /// The pieces did not hold all scores, or two passes differed.
    case inconsistent
  }

  /// Hands over neighbouring scores from one of many places, before the first pass; with about 4096
  /// times 64 scores a large selection needs one pass. Changes the speed, never the result.
  public func sample(_ scores: UnsafeBufferPointer<Float>) {
    guard let base = scores.baseAddress else { return }
    bh_select_sample(selection, base, Int64(scores.count))
  }

  /// Ends a pass, and says whether another one is needed.
  public func nextPass() -> Pass {
    switch bh_select_next(selection) {
    case 1: .needed
    case 0: .done
    default: .inconsistent
    }
  }

  /// Takes one piece of a pass.
  ///
  /// - Returns: False when a score is NaN or infinite.
  @discardableResult
  public func add(piece: Int, _ scores: UnsafeBufferPointer<Float>) -> Bool {
    guard let base = scores.baseAddress else { return true }
    return bh_select_add(selection, Int64(piece), base, Int64(scores.count)) == 0
  }

  /// Takes one piece of a pass, and leaves NaN in the place of each score.
  ///
  /// - Returns: False when a score is NaN or infinite.
  public func spend(piece: Int, _ scores: UnsafeMutableBufferPointer<Float>) -> Bool {
    guard let base = scores.baseAddress else { return true }
    return bh_select_spend(selection, Int64(piece), base, Int64(scores.count)) == 0
  }

  /// Writes the weights with zeros where their score is among the lowest.
  ///
  /// `target` has as many elements as `scores`.
  ///
  /// - Returns: The number of zeros written.
  @discardableResult
  public func prune(
    piece: Int, _ scores: UnsafeBufferPointer<Float>, _ weights: UnsafeBufferPointer<Float>,
    into target: UnsafeMutablePointer<Float>
  ) -> Int {
    guard let base = scores.baseAddress, let source = weights.baseAddress else { return 0 }
    return Int(
      bh_select_prune(selection, Int64(piece), base, source, target, Int64(scores.count)))
  }

  /// As ``prune(piece:_:_:into:)``; leaves NaN in the place of each score.
  ///
  /// - Returns: The number of zeros written; nil when a score is NaN or infinite.
  public func prune(
    piece: Int, spending scores: UnsafeMutableBufferPointer<Float>,
    _ weights: UnsafeBufferPointer<Float>, into target: UnsafeMutablePointer<Float>
  ) -> Int? {
    guard let base = scores.baseAddress, let source = weights.baseAddress else { return 0 }
    var nonfinite: Int32 = 0
    let pruned = bh_select_spend_pruning(
      selection, Int64(piece), base, source, target, Int64(scores.count), &nonfinite)
    return nonfinite == 0 ? Int(pruned) : nil
  }

  /// The highest of the selected scores; infinite when none is selected.
  public var threshold: Float { bh_select_threshold(selection) }
}
