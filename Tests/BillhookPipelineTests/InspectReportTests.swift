import BillhookFormats
import BillhookGraph
import BillhookPipeline
import BillhookTensor
import BillhookTestSupport
import Testing

@Suite struct InspectReportTests {
  private let folder = TemporaryFolder()

  @Test func `every method reaches a weight behind an Identity`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 64]],
      [
        Node("Identity", name: "same", inputs: ["w"], outputs: ["v"]),
        Node("MatMul", name: "one", inputs: ["x", "v"], outputs: ["a"]),
        Node("Relu", name: "relu", inputs: ["a"], outputs: ["b"]),
        Node("MatMul", name: "two", inputs: ["b", "u"], outputs: ["y"]),
      ], ["w": .seeded([64, 48], seed: 1), "u": .seeded([48, 3], seed: 2)])
    try ONNXFile.write(graph, to: folder("m.onnx"))
    let methods = try InspectReport(path: folder("m.onnx")).methods
    #expect(
      methods.map { "\($0.name): \($0.reached) of \($0.total)" } == [
        "prune elements: 2 of 2", "prune channels: 1 of 2", "distill: 3 of 3",
        "quantize (static, dynamic): 2 of 2", "quantize (weight-only): 2 of 2",
      ])
    #expect(methods[1].left == ["1 group: see the table of coupled channels"])
  }
}
