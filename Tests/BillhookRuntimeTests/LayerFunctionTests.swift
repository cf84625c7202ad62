import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Functions and sums behind a layer, of which oneDNN and the layouts that it chooses have traps.
@Suite struct LayerFunctionTests {
  private static let functions: [(op: String, numbers: [Float])] = [
    ("Add", [0.3]), ("Sub", [1.7]), ("Mul", [2]), ("Max", [0.1]), ("Min", [0.6]),
    ("Clip", [-0.2, 0.5]), ("LeakyRelu", []), ("Relu", []), ("Elu", []), ("HardSigmoid", []),
    ("Tanh", []), ("Sigmoid", []),
  ]

  /// oneDNN computes the second of two functions of a kind with the numbers of the first.
  @Test(arguments: functions.indices, ["Conv", "MatMul", "Gemm"])
  func `functions behind a layer are computed one after the other`(first: Int, layer: String)
    throws
  {
    let isConv = layer == "Conv"
    for (op, numbers) in Self.functions {
      var graph = Graph.testing(
        inputs: isConv ? ["x": [2, 3, 5, 5]] : ["x": [6, 3], "w": [3, 4]],
        [Node(layer, name: "layer", inputs: ["x", "w"], outputs: ["h0"])])
      if isConv { graph.initializers["w"] = Initializer(.seeded([4, 3, 1, 1], seed: 1)) }
      for (index, function) in [Self.functions[first], (op: op, numbers: numbers)].enumerated() {
        let names = function.numbers.indices.map { "c\(index)\($0)" }
        for (name, number) in zip(names, function.numbers) {
          graph.initializers[name] = Initializer(Tensor(scalar: number))
        }
        graph.nodes.append(
          Node(
            function.op, name: "f\(index)", inputs: ["h\(index)"] + names,
            outputs: [index == 1 ? "y" : "h1"]))
      }
      let feeds = graph.inputs.reduce(into: [:]) {
        $0[$1.name] = Tensor.seeded($1.shape!.map { $0.size! }, seed: 2, $1.name)
      }
      let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!.floats()
      let found = try InferencePlan(graph, batchSize: 1).run(feeds)["y"]!.floats()
      for (a, b) in zip(found, expected) {
        #expect(abs(a - b) <= 1e-5 * max(1, abs(b)), "\(Self.functions[first].op), \(op)")
      }
    }
  }

  @Test(arguments: [[3, 3], [1], [1, 1, 1, 1], [1, 1, 3, 3], [2, 1, 3, 3], [3], [3, 1]])
  func `a single channel takes an operand of any shape`(shape: [Int]) throws {
    let graph = Graph.testing(
      inputs: ["x": [2, 2, 3, 3], "z": shape.map { .fixed($0) }],
      [
        Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["h"]),
        Node("Sub", name: "difference", inputs: ["h", "c"], outputs: ["d"]),
        Node("Relu", name: "relu", inputs: ["d"], outputs: ["r"]),
        Node("Add", name: "sum", inputs: ["r", "z"], outputs: ["s"]),
        Node("Tanh", name: "tanh", inputs: ["s"], outputs: ["y"]),
      ], ["w": .seeded([1, 2, 1, 1], seed: 1), "c": .seeded(shape, seed: 2)])
    let feeds = [
      "x": Tensor.seeded([2, 2, 3, 3], seed: 3), "z": Tensor.seeded(shape, seed: 4),
    ]
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!.floats()
    let found = try InferencePlan(graph, batchSize: 1).run(feeds)["y"]!.floats()
    for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-5) }
  }

  /// The layouts that a convolution with groups and the values before it have are read while others
  /// are added.
  @Test func `a plan may grow at any place`() throws {
    for count in 0..<24 {
      var nodes: [Node] = []
      for index in 0..<count {
        nodes.append(
          Node(
            "Tanh", name: "t\(index)", inputs: [index == 0 ? "x" : "h\(index - 1)"],
            outputs: ["h\(index)"]))
      }
      let last = count == 0 ? "x" : "h\(count - 1)"
      nodes += [
        Node(
          "Conv", name: "conv", inputs: [last, "w"], outputs: ["c"], attributes: ["group": .int(17)]
        ), Node("Add", name: "sum", inputs: ["c", "z"], outputs: ["y"]),
      ]
      let graph = Graph.testing(
        inputs: ["x": [2, 17, 4, 4], "z": [2, 17, 4, 4]], nodes,
        ["w": .seeded([17, 1, 1, 1], seed: 1)])
      let feeds = [
        "x": Tensor.seeded([2, 17, 4, 4], seed: 2), "z": Tensor.seeded([2, 17, 4, 4], seed: 3),
      ]
      let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!.floats()
      let found = try InferencePlan(graph, batchSize: 1).run(feeds)["y"]!.floats()
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-5) }
    }
  }
}
