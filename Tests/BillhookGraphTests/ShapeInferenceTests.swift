import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct ShapeInferenceTests {
  func shape(_ graph: Graph, _ value: String = "y") throws -> [Dimension]? {
    try graph.inferTypes()[value]?.shape
  }

  @Test func `a convolution keeps the symbolic batch`() throws {
    let graph = Graph.testing(
      "Conv", ["N", 4, 9, 8], ["w": Tensor(zeros: [6, 2, 3, 3])],
      attributes: [
        "group": .int(2), "strides": .ints([2, 1]), "pads": .ints([1, 0, 1, 0]),
        "dilations": .ints([1, 2]),
      ])
    // Rows: (9 + 2 - 3) / 2 + 1 = 5; columns: (8 - 5) / 1 + 1 = 4.
    #expect(try shape(graph) == ["N", 6, 5, 4])
  }

  @Test(arguments: [("SAME_UPPER", 4), ("SAME_LOWER", 4), ("VALID", 3), ("NOTSET", 3)])
  func `automatic padding gives the output size`(mode: String, size: Int) throws {
    let graph = Graph.testing(
      "Conv", [1, 1, 8], ["w": Tensor(zeros: [1, 1, 3])],
      attributes: ["auto_pad": .string(Array(mode.utf8)), "strides": .ints([2])])
    #expect(try shape(graph) == [1, 1, .fixed(size)])
  }

  @Test func `a window with room for itself keeps a symbolic spatial axis`() throws {
    var graph = Graph.testing(
      "Conv", ["N", 1, "H", 8], ["w": Tensor(zeros: [2, 1, 3, 3])],
      attributes: ["pads": .ints([1, 1, 1, 1])])
    #expect(try shape(graph) == ["N", 2, "H", 8])
    graph.nodes[0].attributes["strides"] = .ints([2, 2])
    #expect(try shape(graph) == ["N", 2, "", 4])
  }

  @Test func `rounding up drops a window that starts behind the input`() throws {
    let pool = { (size: Int, stride: Int, pad: Int) in
      Graph.testing(
        "MaxPool", [1, 1, .fixed(size)],
        attributes: [
          "kernel_shape": .ints([2]), "strides": .ints([stride]), "ceil_mode": .int(1),
          "pads": .ints([pad, pad]),
        ])
    }
    #expect(try shape(pool(5, 2, 0)) == [1, 1, 3])
    // (4 + 2 - 2) / 3 rounded up is 2, but the third window would start at 6 > 4 + 1.
    #expect(try shape(pool(4, 3, 1)) == [1, 1, 2])
  }

  @Test(
    arguments: [
      ([-1, 3136], ["N", 3136]), ([0, -1], ["N", 3136]), ([0, 0, 49], ["N", 64, 49]),
      ([-1], [""]), ([2, -1, 3136], [2, "", 3136]), ([1, 3136], [1, 3136]),
    ] as [([Int64], [Dimension])])
  func `reshape follows the symbolic batch`(target: [Int64], expected: [Dimension]) throws {
    let graph = Graph.testing("Reshape", ["N", 64, 7, 7], ["to": Tensor(target)])
    #expect(try shape(graph) == expected)
  }

  @Test func `a bound batch makes every size known`() throws {
    let graph = Graph.testing("Reshape", ["", 64, 7, 7], ["to": Tensor([-1, 32] as [Int64])])
    #expect(try shape(graph) == ["", 32])
    #expect(graph.binding(batchSize: 5) == ["N": 5])
    #expect(try graph.inferTypes(binding: ["N": 5])["y"]?.shape == [490, 32])
  }

  @Test(
    arguments: [
      (["N", 8, 4, 4], [8, 1, 1], ["N", 8, 4, 4]), (["N", 1], ["N", 5], ["N", 5]),
      (["N", 3], ["M", 3], ["", 3]), (["N", 3], [7, 1], [7, 3]), ([], [2], [2]),
    ] as [([Dimension], [Dimension], [Dimension])])
  func `shapes broadcast`(left: [Dimension], right: [Dimension], expected: [Dimension]) throws {
    let graph = Graph.testing(
      inputs: ["a": left, "b": right],
      [Node("Add", name: "add", inputs: ["a", "b"], outputs: ["y"])])
    #expect(try shape(graph) == expected)
  }

  @Test func `matrix products follow NumPy's rules`() throws {
    let product = { (a: [Dimension], b: [Dimension]) in
      Graph.testing(
        inputs: ["a": a, "b": b], [Node("MatMul", name: "", inputs: ["a", "b"], outputs: ["y"])])
    }
    #expect(try shape(product(["N", 3], [3, 5])) == ["N", 5])
    #expect(try shape(product([2, 1, 4, 3], [7, 3, 5])) == [2, 7, 4, 5])
    #expect(try shape(product([3], [3, 5])) == [5])
    #expect(try shape(product([4, 3], [3])) == [4])
  }

  @Test func `flatten multiplies what it joins`() throws {
    #expect(try shape(.testing("Flatten", ["N", 3, 8, 8])) == ["N", 192])
    #expect(
      try shape(.testing("Flatten", ["N", 3, 8, 8], attributes: ["axis": .int(-1)])) == ["", 8])
    #expect(
      try shape(.testing("Flatten", ["N", 3], attributes: ["axis": .int(0)])) == [1, ""])
  }

  @Test func `concatenation adds sizes along its axis`() throws {
    let node = Node(
      "Concat", name: "", inputs: ["a", "b"], outputs: ["y"], attributes: ["axis": .int(1)])
    let graph = Graph.testing(inputs: ["a": ["N", 3, 4], "b": ["N", 5, 4]], [node])
    #expect(try shape(graph) == ["N", 8, 4])
  }

  @Test func `quantization changes the element type`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3]],
      [
        Node("QuantizeLinear", name: "", inputs: ["x", "s", "z"], outputs: ["q"]),
        Node("DequantizeLinear", name: "", inputs: ["q", "s", "z"], outputs: ["y"]),
      ], ["s": Tensor(scalar: Float(0.5)), "z": Tensor(scalar: Int8(0))])
    let types = try graph.inferTypes()
    #expect(types["q"] == ValueType(.int8, ["N", 3]))
    #expect(types["y"] == ValueType(.float32, ["N", 3]))
  }
}
