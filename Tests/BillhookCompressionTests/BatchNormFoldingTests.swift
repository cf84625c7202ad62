import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct BatchNormFoldingTests {
  @Test(arguments: 0..<4 as Range<UInt64>)
  func `the folded network computes the same`(seed: UInt64) throws {
    let graph = Graph.smallChain(seed: seed)
    let (folded, names) = graph.foldingBatchNorms()
    #expect(names == ["bn1"])
    #expect(folded.nodes.map(\.op) == ["Conv", "Relu", "MaxPool", "Flatten", "Gemm"])
    let x = Tensor.seeded([3, 1, 4, 4], seed: seed, "x")
    let before = try ReferenceEvaluator.run(graph, ["x": x])
    let after = try ReferenceEvaluator.run(folded, ["x": x])
    for (a, b) in zip(before["y"]!.floats(), after["y"]!.floats()) {
      #expect(abs(a - b) < 1e-5)
    }
    // The layer makes what the batch norm made, under its name.
    #expect(folded.nodes[0].outputs == ["bn1.out"])
    #expect(folded.initializers["bn1.scale"] == nil)
    try folded.verify()
  }

  @Test func `one channel by hand`() throws {
    // w = 2, scale 3, shift 1, mean 4, variance 0.25 − ε: factor 6, bias (0 − 4) · 6 + 1 = −23.
    var graph = Graph.smallChain(width: 1)
    graph.setConstant("conv1.weight", Tensor([Float](repeating: 2, count: 9), shape: [1, 1, 3, 3]))
    graph.setConstant("bn1.scale", Tensor([3] as [Float]))
    graph.setConstant("bn1.bias", Tensor([1] as [Float]))
    graph.setConstant("bn1.mean", Tensor([4] as [Float]))
    graph.setConstant("bn1.var", Tensor([0.25] as [Float]))
    graph.nodes[1].attributes["epsilon"] = .float(0)
    let folded = graph.foldingBatchNorms().graph
    #expect(folded.constant("conv1.weight")!.floats() == [Float](repeating: 12, count: 9))
    #expect(folded.constant(folded.nodes[0].inputs[2])!.floats() == [-23])
  }

  @Test func `a pruned element stays zero`() throws {
    var graph = Graph.smallChain()
    var weight = graph.constant("conv1.weight")!.floats()
    weight[3] = 0
    weight[30] = 0
    graph.setConstant("conv1.weight", Tensor(weight, shape: [4, 1, 3, 3]))
    let folded = graph.foldingBatchNorms().graph
    #expect(folded.constant("conv1.weight")!.zeroCount == 2)
  }

  @Test func `a layer whose output others read keeps its batch norm`() {
    var graph = Graph.smallChain()
    graph.outputs.append(ValueInfo("conv1.out", shape: nil))
    #expect(graph.foldingBatchNorms().folded == [])
  }

  @Test func `a weight that two layers share is folded for one of them alone`() throws {
    var graph = Graph.smallChain()
    graph.nodes.insert(
      Node(
        "Conv", name: "twin", inputs: ["x", "conv1.weight"], outputs: ["twin.out"],
        attributes: ["pads": .ints([1, 1, 1, 1])]), at: 0)
    graph.outputs.append(ValueInfo("twin.out", shape: nil))
    let x = Tensor.seeded([2, 1, 4, 4], seed: 5)
    let folded = graph.foldingBatchNorms().graph
    let before = try ReferenceEvaluator.run(graph, ["x": x])
    let after = try ReferenceEvaluator.run(folded, ["x": x])
    #expect(before["twin.out"] == after["twin.out"])
    for (a, b) in zip(before["y"]!.floats(), after["y"]!.floats()) { #expect(abs(a - b) < 1e-5) }
  }
}
