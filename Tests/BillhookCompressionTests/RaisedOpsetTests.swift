import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct RaisedOpsetTests {
  @Test func `an older network is raised to operator set 13 and IR version 7`() throws {
    var graph = Graph.smallChain()
    graph.opsets[""] = 11
    graph.irVersion = 6
    let raised = try graph.raisedOpset()
    #expect(raised.opset == 13 && raised.irVersion == 7)
    #expect(try Graph.smallChain().raisedOpset().opset == 17)
  }

  @Test func `an operator whose meaning changed is an error that names the node`() {
    let graph = Graph.testing(
      "Upsample", ["N", 1, 2, 2], attributes: ["scales": .floats([1, 1, 2, 2])], opset: 8)
    #expect { try graph.raisedOpset() } throws: {
      "\($0)" == """
        The network uses operator set 8, and quantization needs 13; the node "node" (Upsample) may \
        mean something else there, so the network was not raised. Export it again with operator set \
        13 or higher.
        """
    }
  }

  /// Nodes of older operator sets, each from "x" of 2 × 3 × 4 numbers.
  private static let older: [(opset: Int, op: String, [(String, Attribute)])] = [
    (12, "Softmax", [("axis", .int(1))]), (12, "Softmax", [("axis", .int(2))]),
    (12, "Softmax", []), (12, "Softmax", [("axis", .int(0))]),
    (12, "Softmax", [("axis", .int(-1))]),
    (11, "LogSoftmax", [("axis", .int(1))]), (12, "Hardmax", [("axis", .int(1))]),
    (9, "Slice", [("starts", .ints([1, 0])), ("ends", .ints([3, 2])), ("axes", .ints([2, 1]))]),
    (9, "Clip", [("min", .float(-0.5)), ("max", .float(0.5))]),
    (10, "Clip", [("max", .float(0.1))]),
    (10, "Pad", [("pads", .ints([0, 1, 0, 0, 0, 2])), ("value", .float(3))]),
    (12, "ReduceSum", [("axes", .ints([1])), ("keepdims", .int(0))]),
    (12, "Unsqueeze", [("axes", .ints([0, 2]))]), (12, "ReduceMean", [("axes", .ints([1, 2]))]),
  ]

  @Test(arguments: 0..<older.count)
  func `a raised node computes what it did`(index: Int) throws {
    let (opset, op, attributes) = Self.older[index]
    var graph = Graph.testing(
      inputs: ["x": ["N", 3, 4]],
      [
        Node(
          op, name: "old", inputs: ["x"], outputs: ["y"],
          attributes: OrderedDictionary(uniqueKeysWithValues: attributes))
      ])
    graph.opsets[""] = opset
    let x = Tensor.seeded([2, 3, 4], seed: UInt64(index), "x")
    let wanted = try ReferenceEvaluator.run(graph, ["x": x])["y"]!
    for needed in [13, 21] {
      let raised = try graph.raisedOpset(to: needed)
      #expect(raised.opset == needed)
      let found = try ReferenceEvaluator.run(raised, ["x": x])["y"]!
      #expect(found.shape == wanted.shape)
      for (a, b) in zip(found.floats(), wanted.floats()) { #expect(abs(a - b) < 1e-6) }
    }
  }
}
