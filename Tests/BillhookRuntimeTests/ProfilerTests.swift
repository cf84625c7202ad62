import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import Testing

@Suite struct ProfilerTests {
  @Test func `each operation of a run has a span that names its node and what it fused`() throws {
    let subject = OperatorGraph.fused[0]
    let feeds = try subject.feeds(seed: 3)
    let plan = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch)
    let profiler = Profiler()
    let found = try plan.run(feeds, profiler: profiler)
    let spans = profiler.takeSpans()
    #expect(found == (try plan.run(feeds)))
    #expect(
      spans.map(\.operation.kernel).filter { $0 != "Reorder" } == [
        "ConvMaxPool", "Dense", "Output",
      ])
    let convolution = try #require(spans.first { $0.operation.kernel == "ConvMaxPool" }).operation
    #expect(convolution.op == "Conv")
    #expect(convolution.fused == ["Relu", "MaxPool"])
    #expect(convolution.node == subject.graph.nodes[0].displayName)
    for (span, next) in zip(spans, spans.dropFirst()) {
      #expect(span.start + span.duration <= next.start)
    }
    #expect(profiler.takeSpans().isEmpty)
  }

  @Test func `what makes floats of an integer output has a span too`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3]],
      [
        Node("QuantizeLinear", name: "q", inputs: ["x", "scale", "zero"], outputs: ["q"]),
        Node("DequantizeLinear", name: "d", inputs: ["q", "scale", "zero"], outputs: ["y"]),
      ], ["scale": Tensor(scalar: Float(0.5)), "zero": Tensor(scalar: Int8(0))])
    let profiler = Profiler()
    let feeds = ["x": Tensor([1, -2, 0.3] as [Float], shape: [1, 3])]
    let plan = try InferencePlan(graph, batchSize: 1)
    let found = try plan.run(feeds, profiler: profiler)
    #expect(found["y"]?.floats() == [1, -2, 0.5])
    #expect(
      profiler.takeSpans().map(\.operation.kernel) == ["Quantize", "Dequantize", "Output"])
  }

  @Test func `an operator without a kernel is a span on the host`() throws {
    let graph = Graph.testing("Asinh", [2, 3])
    let profiler = Profiler()
    _ = try InferenceSession(graph).run(
      [graph.inputs[0].name: .seeded([2, 3], seed: 1)], profiler: profiler)
    #expect(
      profiler.takeSpans().map(\.operation) == [
        PlanOperation(kernel: "Host", node: graph.nodes[0].displayName, op: "Asinh")
      ])
  }
}
