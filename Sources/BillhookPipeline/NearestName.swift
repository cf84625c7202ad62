/// The candidate that a person most likely meant, or nil when none is close.
///
/// Distance counts insertions, deletions, substitutions and swaps of neighbours; a candidate is
/// close when at most a third of the longer word (and at least two letters) would have to change.
///
/// Source: Damerau, *A technique for computer detection and correction of spelling errors*, 1964;
/// the restricted form ("optimal string alignment").
func nearestName(to word: String, in candidates: [String]) -> String? {
  var best: (name: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(Array(word.lowercased()), Array(candidate.lowercased()))
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

private func editDistance(_ left: [Character], _ right: [Character]) -> Int {
  var rows = [Array(0...right.count)]
  for i in 0..<left.count {
    var row = [i + 1]
    for j in 0..<right.count {
      var cost = min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (left[i] == right[j] ? 0 : 1))
      if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
        cost = min(cost, rows[i - 1][j - 1] + 1)
      }
      row.append(cost)
    }
    rows.append(row)
  }
  return rows[left.count][right.count]
}
