import BillhookGraph
import Foundation
import Testing

@Suite struct OperatorTableTests {
  @Test func `the operators are listed in order, each once`() {
    #expect(Graph.supportedOperators == Set(Graph.supportedOperators).sorted())
  }

  @Test func `the documentation has a row for every operator`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: root.appending(path: "docs/operators.md"), encoding: .utf8)
    let rows = text.split(separator: "\n").filter { $0.hasPrefix("|") }.dropFirst(2)
    let named = rows.flatMap { row in
      row.split(separator: "|")[0].split(separator: ",").map {
        $0.trimmingCharacters(in: .whitespaces)
      }
    }
    #expect(named.sorted() == Graph.supportedOperators)
  }
}
