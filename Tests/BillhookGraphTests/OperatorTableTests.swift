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
    let text = try String(contentsOf: root.appending(path: "docs/onnx-support.md"), encoding: .utf8)
    let named = text.split(separator: "\n").filter { $0.hasSuffix("|") }
      .map { $0.split(separator: "|")[0].trimmingCharacters(in: .whitespaces) }
      .filter { Graph.supportedOperators.contains($0) }
    #expect(named.sorted() == Graph.supportedOperators)
  }
}
