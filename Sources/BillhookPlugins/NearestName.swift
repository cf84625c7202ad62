/// The names that somebody may have meant, nearest first, at most three.
///
/// A name counts when at most a third of its letters (and two at least) must change, or when one
/// contains the other. Equal distances keep the order of `names`.
func nearestNames(to name: String, in names: [String]) -> [String] {
  let wanted = name.lowercased()
  let ranked = names.enumerated().compactMap { index, candidate -> (Int, Int, String)? in
    // The last part alone is what people type: "magnitud" for "org.billhook.magnitude".
    let last = candidate.split(separator: ".").last.map(String.init) ?? candidate
    let distance =
      [candidate, last]
      .map { editDistance(Array(wanted.utf8), Array($0.lowercased().utf8)) }.min() ?? 0
    let limit = max(2, wanted.utf8.count / 3)
    let contained = wanted.utf8.count >= 3 && candidate.lowercased().contains(wanted)
    return distance <= limit || contained ? (min(distance, limit + 1), index, candidate) : nil
  }
  return ranked.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.prefix(3).map(\.2)
}

/// Levenshtein's distance: insertions, deletions and replacements.
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
  var row = Array(0...right.count)
  for (i, a) in left.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, b) in right.enumerated() {
      let cost = a == b ? diagonal : min(diagonal, row[j], row[j + 1]) + 1
      diagonal = row[j + 1]
      row[j + 1] = cost
    }
  }
  return row[right.count]
}
