import BillhookGraph
import BillhookTestSupport
import Foundation
import Testing

@Suite struct OperatorTableTests {
  @Test func `the operators are listed in order, each once`() {
    #expect(Graph.supportedOperators == Set(Graph.supportedOperators).sorted())
  }

  @Test(arguments: [("", true), ("ai.onnx", true), ("com.example", false)])
  func `both names of the domain mean ONNX's own operators`(domain: String, isOwn: Bool) {
    let node = Node("Relu", name: "n", inputs: ["x"], outputs: ["y"], domain: domain)
    #expect(node.isStandard == isOwn)
    let graph = Graph.testing(inputs: ["x": ["N", 2]], [node])
    #expect(((try? graph.verify()) != nil) == isOwn)
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
