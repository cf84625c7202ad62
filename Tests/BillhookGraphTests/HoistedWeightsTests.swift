import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Weights inside of subgraphs.
@Suite struct HoistedWeightsTests {
  /// A choice of two layers whose weights have the same name in both branches.
  static let choice: Graph = {
    func branch(_ output: String, seed: UInt64) -> Graph {
      var graph = Graph(name: output, outputs: [ValueInfo(output, shape: nil)])
      graph.nodes = [
        Node(
          "Constant", name: "made", inputs: [], outputs: ["w"],
          attributes: ["value": .tensor(Initializer(.seeded([4, 3], seed: seed)))]),
        Node("MatMul", name: "\(output)_layer", inputs: ["x", "w"], outputs: ["\(output)_p"]),
        Node("Relu", name: "relu", inputs: ["\(output)_p"], outputs: [output]),
      ]
      return graph
    }
    var graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node(
          "If", name: "choice", inputs: ["c"], outputs: ["y"],
          attributes: [
            "then_branch": .graph(branch("a", seed: 1)),
            "else_branch": .graph(branch("b", seed: 2)),
          ])
      ])
    graph.inputs.append(ValueInfo("c", .bool, shape: []))
    return graph
  }()

  @Test func `each weight gets a name of its own outside`() {
    let hoisted = Self.choice.hoistingWeights()
    #expect(Array(hoisted.initializers.keys) == ["w_2", "w_3"])
    #expect(hoisted.constant("w_2") == .seeded([4, 3], seed: 1))
    #expect(hoisted.constant("w_3") == .seeded([4, 3], seed: 2))
  }

  @Test func `layers inside of subgraphs name the node around them`() throws {
    let layers = try Self.choice.hoistingWeights().layers()
    #expect(layers.map(\.node) == ["a_layer", "b_layer"])
    #expect(layers.map(\.weight) == ["w_2", "w_3"])
    #expect(layers.map(\.enclosing) == ["choice", "choice"])
  }

  @Test(arguments: [true, false])
  func `the graph computes what it did`(choice: Bool) throws {
    let feeds = ["x": Tensor.seeded([2, 4], seed: 3), "c": Tensor(scalar: choice)]
    let before = try ReferenceEvaluator.run(Self.choice, feeds)["y"]
    #expect(before != nil)
    #expect(try ReferenceEvaluator.run(Self.choice.hoistingWeights(), feeds)["y"] == before)
  }
}
