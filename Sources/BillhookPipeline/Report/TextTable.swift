/// Rows of text in aligned columns.
struct TextTable {
  enum Alignment { case left, right }

  var columns: [(title: String, alignment: Alignment)]
  var rows: [[String]] = []

  init(_ columns: [(String, Alignment)]) {
    self.columns = columns.map { (title: $0.0, alignment: $0.1) }
  }

  mutating func add(_ cells: [String]) {
    precondition(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
    rows.append(cells)
  }

  /// Lines without trailing spaces, two spaces between columns, a rule under the titles. Columns
  /// that are empty in every row are left out.
  func text() -> String {
    let used = columns.indices.filter { column in
      rows.isEmpty || rows.contains { !$0[column].isEmpty }
    }
    let widths = used.map { column in
      rows.reduce(columns[column].title.count) { max($0, $1[column].count) }
    }
    func line(_ cells: [String]) -> String {
      var result = ""
      for (position, column) in used.enumerated() {
        let cell = cells[column]
        let padding = String(repeating: " ", count: widths[position] - cell.count)
        if position > 0 { result += "  " }
        result += columns[column].alignment == .left ? cell + padding : padding + cell
      }
      while result.last == " " { result.removeLast() }
      return result
    }
    let rule = widths.map { String(repeating: "-", count: $0) }.joined(separator: "  ")
    return ([line(columns.map(\.title)), rule] + rows.map(line)).map { $0 + "\n" }.joined()
  }
}
