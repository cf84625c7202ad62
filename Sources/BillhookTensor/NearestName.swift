/// The names that somebody may have meant, nearest first, at most three.
///
/// A name counts when at most a third of the longer word's letters (and two at least) must change,
/// or when one contains the other. Equal distances keep the order of `names`.
package func nearestNames(to name: String, in names: [String]) -> [String] {
  let wanted = name.lowercased()
  let ranked = names.enumerated().compactMap { index, candidate -> (Int, Int, String)? in
    // The last part alone is what people type: "magnitud" for "org.billhook.magnitude".
    let last = candidate.split(separator: ".").last.map(String.init) ?? candidate
    let (distance, longer) =
      [candidate, last].map {
        (editDistance(wanted, $0.lowercased()), max(wanted.utf8.count, $0.utf8.count))
      }.min { $0.0 < $1.0 } ?? (0, 0)
    let limit = max(2, longer / 3)
    // A short word must keep at least one letter, or "a" would suggest "mlp".
    let isNear = distance <= limit && distance < longer
    let isContained = wanted.utf8.count >= 3 && candidate.lowercased().contains(wanted)
    return isNear || isContained ? (min(distance, limit + 1), index, candidate) : nil
  }
  return ranked.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.prefix(3).map(\.2)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to turn one
/// word into the other.
///
/// Source: Damerau, *A technique for computer detection and correction of spelling errors*, 1964;
/// the restricted form ("optimal string alignment").
package func editDistance(_ left: String, _ right: String) -> Int {
  let (left, right) = (Array(left), Array(right))
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
