internal import BillhookPlugins

/// The candidate that a person most likely meant, or nil when none is close.
///
/// Distance counts insertions, deletions, substitutions and swaps of neighbours; a candidate is
/// close when at most a third of the longer word (and at least two letters) would have to change.
func nearestName(to word: String, in candidates: [String]) -> String? {
  var best: (name: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(word.lowercased(), candidate.lowercased())
    let limit = max(2, max(word.count, candidate.count) / 3)
    // A short word must keep at least one letter, or "a" would suggest "mlp".
    guard distance <= limit, distance < max(word.count, candidate.count) else { continue }
    if best == nil || distance < best!.distance { best = (candidate, distance) }
  }
  return best?.name
}

/// ` Did you mean "X"?`, or nothing.
func suggestion(for word: String, in candidates: [String]) -> String {
  nearestName(to: word, in: candidates).map { " Did you mean \"\($0)\"?" } ?? ""
}
