/// `n` of every `m` neighbours along the input axis stay, as in 2:4.
public struct SparsityPattern: Sendable, Equatable, Codable, CustomStringConvertible {
  public var kept: Int
  public var group: Int

  /// - Returns: nil unless 0 < kept < group ≤ 64.
  public init?(kept: Int, group: Int) {
    guard kept > 0, kept < group, group <= 64 else { return nil }
    self.kept = kept
    self.group = group
  }

  /// Reads "2:4".
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let kept = parts[0], let group = parts[1] else { return nil }
    self.init(kept: kept, group: group)
  }

  public var description: String { "\(kept):\(group)" }

  /// The fraction that goes.
  public var ratio: Double { 1 - Double(kept) / Double(group) }

  /// Which of the scores go: of each group along the middle axis of `[outer, count, inner]` the
  /// lowest, of equal ones the first. A group of fewer than `group` at the end of the axis loses only
  /// what it has beyond `kept`.
  func pruned(_ scores: [Float], outer: Int, count: Int, inner: Int) -> [Bool] {
    var result = [Bool](repeating: false, count: scores.count)
    var members: [Int] = []
    for row in 0..<outer {
      for first in stride(from: 0, to: count, by: group) {
        let size = min(group, count - first)
        guard size > kept else { continue }
        for column in 0..<inner {
          members.removeAll(keepingCapacity: true)
          for index in first..<first + size {
            members.append((row * count + index) * inner + column)
          }
          members.sort { (scores[$0], $0) < (scores[$1], $1) }
          for index in members.prefix(size - kept) { result[index] = true }
        }
      }
    }
    return result
  }
}
