internal import BillhookCompression
internal import BillhookPlugins

/// Whether granularity, block, pattern and ratio of a stage fit together.
extension PruneStage {
  /// The first thing that is wrong, at the key that it is about.
  public func shapeProblem(hasRatio: Bool) -> (key: String, sentence: String)? {
    if granularity == .block, block == nil {
      return (
        "block", "Blocks have no size: set block to output channels and inputs, as in [4, 1]."
      )
    }
    if granularity != .block, block != nil {
      return (
        "block", "A block size is for the granularity block, not for \(granularity.rawValue)."
      )
    }
    if let block, block.count != 2 || block.contains(where: { $0 < 1 }) {
      return ("block", "A block has two sizes of at least 1, as in [4, 1].")
    }
    let limit = RecipeKey.sizeRange.upperBound
    if let size = block?.max(), size > limit {
      return (
        "block", "A block has the size \(size), but at most \(limit) is possible; try [4, 1]."
      )
    }
    guard let pattern else {
      return hasRatio
        ? nil : ("ratio", "It is not said how much goes: set ratio, or pattern, as in \"2:4\".")
    }
    guard granularity != .channel else {
      return ("pattern", "A pattern is for elements and blocks; channels go by ratio.")
    }
    guard SparsityPattern(pattern) != nil else {
      return (
        "pattern",
        "\"\(pattern)\" is not a pattern: it is how many stay of how many neighbours, up to 64, as "
          + "in \"2:4\"."
      )
    }
    return hasRatio
      ? ("ratio", "The pattern \(pattern) says how much goes already; leave ratio out.") : nil
  }

  var blockShape: BlockShape? {
    block.flatMap { $0.count == 2 ? BlockShape(outputs: $0[0], inputs: $0[1]) : nil }
  }

  /// What is removed or kept as one: "element", "4x1 block", "channel".
  var unit: String {
    let sizes = block.map { $0.map(String.init).joined(separator: "x") + " " } ?? ""
    return sizes + granularity.rawValue
  }

  /// What goes, for the ledger: "ratio 0.5" or "2:4".
  var amount: String { pattern ?? "ratio \(ratio)" }
}
