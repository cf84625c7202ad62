import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Every operator on numbers small enough to check by hand.
@Suite struct ReferenceEvaluatorTests {
  func run(_ graph: Graph, _ x: Tensor) throws -> Tensor {
    try #require(try ReferenceEvaluator.run(graph, ["x": x])["y"])
  }

  func run(
    _ op: String, _ x: Tensor, _ constants: KeyValuePairs<String, Tensor> = [:],
    _ attributes: OrderedDictionary<String, Attribute> = [:], opset: Int = 17
  ) throws -> Tensor {
    var graph = Graph.testing(
      op, x.shape.map { .fixed($0) }, constants, attributes: attributes, opset: opset)
    graph.inputs[0].elementType = x.elementType
    return try run(graph, x)
  }

  func vector(_ numbers: Float...) -> Tensor { Tensor(numbers) }

  @Test func `convolution slides a window and adds a bias`() throws {
    let y = try run(
      "Conv", .counting([1, 1, 3, 3]),
      ["w": Tensor([1, 0, 0, 10] as [Float], shape: [1, 1, 2, 2]), "b": vector(100)])
    // x[i][j] + 10 · x[i + 1][j + 1] + 100.
    #expect(y == Tensor([151, 162, 184, 195] as [Float], shape: [1, 1, 2, 2]))
  }

  @Test func `convolution pads, strides, dilates and groups`() throws {
    let padded = try run(
      "Conv", .counting([1, 1, 4]), ["w": Tensor([1, 1, 1] as [Float], shape: [1, 1, 3])],
      ["pads": .ints([1, 1]), "strides": .ints([2])])
    #expect(padded.floats() == [3, 9])
    let dilated = try run(
      "Conv", .counting([1, 1, 5]), ["w": Tensor([1, 10] as [Float], shape: [1, 1, 2])],
      ["dilations": .ints([3])])
    #expect(dilated.floats() == [41, 52])
    let grouped = try run(
      "Conv", .counting([1, 2, 2]), ["w": Tensor([1, 10] as [Float], shape: [2, 1, 1])],
      ["group": .int(2)])
    #expect(grouped.floats() == [1, 2, 30, 40])
    // SAME_UPPER puts the odd padding behind, SAME_LOWER before.
    for (mode, expected) in [("SAME_UPPER", [3, 5, 3]), ("SAME_LOWER", [1, 3, 5])] {
      let same = try run(
        "Conv", .counting([1, 1, 3]), ["w": Tensor([1, 1] as [Float], shape: [1, 1, 2])],
        ["auto_pad": .string(Array(mode.utf8))])
      #expect(same.floats() == expected.map { Float($0) })
    }
  }

  @Test func `a matrix product transposes, scales and adds`() throws {
    let w = Tensor([1, 0, 2, 0, 1, 0] as [Float], shape: [2, 3])
    let y = try run(
      "Gemm", .counting([2, 3]), ["w": w, "c": vector(100, 200)],
      ["transB": .int(1), "alpha": .float(2), "beta": .float(0.5)])
    // Rows 1 2 3 and 4 5 6: 2 · [1 + 6, 2] + [50, 100]; 2 · [4 + 12, 5] + [50, 100].
    #expect(y.floats() == [64, 104, 82, 110])
    let product = try run("MatMul", .counting([2, 1, 2]), ["w": .counting([2, 2])])
    #expect(product == Tensor([7, 10, 15, 22] as [Float], shape: [2, 1, 2]))
  }

  @Test func `batch normalization uses the recorded statistics`() throws {
    let y = try run(
      "BatchNormalization", Tensor([1, 2, 3, 4] as [Float], shape: [1, 2, 2]),
      [
        "s": vector(2, 1), "b": vector(0, 10), "m": vector(1, 4), "v": vector(4, 0.25),
      ], ["epsilon": .float(0)])
    #expect(y.floats() == [0, 1, 8, 10])
  }

  @Test func `pooling takes maxima and means`() throws {
    let x = Tensor.counting([1, 1, 5])
    let kernel: (Int, Int) -> OrderedDictionary<String, Attribute> = { kernel, ceil in
      [
        "kernel_shape": .ints([kernel]), "strides": .ints([2]), "pads": .ints([1, 1]),
        "ceil_mode": .int(ceil),
      ]
    }
    #expect(try run("MaxPool", x, [:], kernel(3, 0)).floats() == [2, 4, 5])
    #expect(try run("AveragePool", x, [:], kernel(3, 0)).floats() == [1.5, 3, 4.5])
    var counting = kernel(3, 0)
    counting["count_include_pad"] = .int(1)
    #expect(try run("AveragePool", x, [:], counting).floats() == [1, 3, 3])
    // Rounding up, the last window of four covers 4, 5 and two elements, one of them padding.
    #expect(try run("MaxPool", x, [:], kernel(4, 1)).floats() == [3, 5, 5])
    var rounded = kernel(4, 1)
    rounded["count_include_pad"] = .int(1)
    #expect(try run("AveragePool", x, [:], rounded).floats() == [1.5, 3.5, 3])
    #expect(try run("GlobalAveragePool", .counting([1, 2, 2, 2])).floats() == [2.5, 6.5])
    let dilated = try run(
      "MaxPool", x, [:], ["kernel_shape": .ints([2]), "dilations": .ints([3])])
    #expect(dilated.floats() == [4, 5])
  }

  @Test func `element-wise operators broadcast`() throws {
    let x = Tensor.counting([2, 2])
    #expect(try run("Add", x, ["b": vector(10, 20)]).floats() == [11, 22, 13, 24])
    #expect(
      try run("Mul", x, ["b": Tensor([10, 20] as [Float], shape: [2, 1])]).floats()
        == [10, 20, 60, 80])
    #expect(
      try run("Add", Tensor([250, 1] as [UInt8]), ["b": Tensor([10, 1] as [UInt8])])
        == Tensor([4, 2] as [UInt8]))
    #expect(try run("Relu", vector(-1, 0, 2)).floats() == [0, 0, 2])
    #expect(try run("Sigmoid", vector(0)).floats() == [0.5])
    #expect(try run("Identity", vector(7)).floats() == [7])
  }

  @Test func `clip takes its bounds from inputs or, in old operator sets, from attributes`() throws
  {
    let x = vector(-5, 1, 9)
    #expect(
      try run("Clip", x, ["lo": Tensor(scalar: Float(0)), "hi": Tensor(scalar: Float(6))]).floats()
        == [0, 1, 6])
    #expect(try run("Clip", x, [:], ["min": .float(-1)], opset: 10).floats() == [-1, 1, 9])
  }

  @Test func `softmax joins the trailing axes before operator set 13`() throws {
    let x = Tensor([Float](repeating: 3, count: 8), shape: [2, 2, 2])
    #expect(try run("Softmax", x).floats() == [Float](repeating: 0.5, count: 8))
    #expect(try run("Softmax", x, opset: 12).floats() == [Float](repeating: 0.25, count: 8))
    let large = try run("Softmax", vector(1000, 1000), [:], ["axis": .int(0)])
    #expect(large.floats() == [0.5, 0.5])
  }

  /// The test that operator set 10 itself had, and what Upsample always did.
  @Test func `the first Resize takes the right neighbour where it makes an axis smaller`() throws {
    func resized(_ scales: [Float]) throws -> [Float]? {
      let graph = Graph.testing(
        "Resize", [1, 1, 2, 4], ["scales": Tensor(scales)], opset: 10)
      return try ReferenceEvaluator.run(graph, ["x": .counting([1, 1, 2, 4])])["y"]?.floats()
    }
    #expect(try resized([1, 1, 0.6, 0.6]) == [1, 3])
    #expect(try resized([1, 1, 1, 1.5]) == [1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8])
  }

  @Test func `dropout leaves the value alone`() throws {
    let x = vector(1, 2)
    #expect(try run("Dropout", x, ["ratio": Tensor(scalar: Float(0.5))]) == x)
    #expect(try run("Dropout", x, [:], ["ratio": .float(0.5)], opset: 10) == x)
  }

  @Test func `shaping operators move elements and nothing else`() throws {
    let x = Tensor.counting([2, 3])
    #expect(try run("Flatten", x, [:], ["axis": .int(0)]) == .counting([1, 6]))
    #expect(try run("Reshape", x, ["to": Tensor([3, -1] as [Int64])]) == .counting([3, 2]))
    #expect(
      try run("Transpose", x) == Tensor([1, 4, 2, 5, 3, 6] as [Float], shape: [3, 2]))
    #expect(
      try run("Concat", x, ["b": Tensor([8, 9] as [Float], shape: [2, 1])], ["axis": .int(1)])
        == Tensor([1, 2, 3, 8, 4, 5, 6, 9] as [Float], shape: [2, 4]))
  }

  @Test func `quantization rounds halves to even and saturates`() throws {
    let x = vector(0.5, 1.5, 2.5, -0.5, 300, -300, .nan, .infinity)
    let q = try run(
      "QuantizeLinear", x, ["s": Tensor(scalar: Float(1)), "z": Tensor(scalar: Int8(1))])
    #expect(q == Tensor([1, 3, 3, 1, 127, -128, 1, 127] as [Int8]))
    let plain = try run("QuantizeLinear", vector(-3, 3), ["s": Tensor(scalar: Float(2))])
    #expect(plain == Tensor([0, 2] as [UInt8]))
  }

  @Test func `dequantization takes a scale a channel`() throws {
    let x = Tensor([10, 20, 30, 40] as [Int8], shape: [2, 2])
    let y = try run(
      "DequantizeLinear", x, ["s": vector(1, 0.5), "z": Tensor([0, 10] as [Int8])],
      ["axis": .int(0)])
    #expect(y.floats() == [10, 20, 10, 15])
  }

  @Test func `one scale and one zero point may be a scalar and a vector`() throws {
    let x = Tensor([10, 20] as [Int8])
    let zero = Tensor([4] as [Int8])
    for (s, z) in [(vector(2), zero.reshaped([])), (vector(2).reshaped([]), zero)] {
      #expect(try run("DequantizeLinear", x, ["s": s, "z": z]).floats() == [12, 32])
      #expect(try run("QuantizeLinear", vector(12, 32), ["s": s, "z": z]) == x)
    }
  }

  @Test func `constants come in every form`() throws {
    let forms: [(String, Attribute, Tensor)] = [
      ("value", .tensor(Initializer(Tensor([1, 2] as [Int32]))), Tensor([1, 2] as [Int32])),
      ("value_float", .float(2), Tensor(scalar: Float(2))),
      ("value_floats", .floats([1, 2]), Tensor([1, 2] as [Float])),
      ("value_int", .int(3), Tensor(scalar: Int64(3))),
      ("value_ints", .ints([3, 4]), Tensor([3, 4] as [Int64])),
    ]
    for (key, attribute, expected) in forms {
      let node = Node(
        "Constant", name: "", inputs: [], outputs: ["y"], attributes: [key: attribute])
      var graph = Graph.testing(inputs: [:], [node])
      graph.outputs[0].elementType = expected.elementType
      #expect(try ReferenceEvaluator.run(graph, [:])["y"] == expected)
      #expect(graph.constant("y") == expected)
    }
  }

  @Test func `a missing or wrong input is named`() {
    let graph = Graph.testing("Relu", ["N", 3])
    let missing = #expect(throws: GraphError.self) {
      _ = try ReferenceEvaluator.run(graph, ["z": Tensor(zeros: [1])])
    }
    #expect(missing?.description == "No tensor was given for the input \"x\". Given: \"z\".")
    let wrong = #expect(throws: GraphError.self) {
      _ = try ReferenceEvaluator.run(graph, ["x": Tensor(zeros: [1, 4])])
    }
    #expect(
      wrong?.description
        == "The tensor for the input \"x\" is float32 [1, 4], expected float32 [N, 3].")
  }
}
