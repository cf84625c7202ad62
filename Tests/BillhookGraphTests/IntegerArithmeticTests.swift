import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct IntegerArithmeticTests {
  private func run(_ graph: Graph, _ x: Tensor) throws -> [String: Tensor] {
    try ReferenceEvaluator.run(graph, ["x": x])
  }

  @Test func `dynamic quantization maps the range of the values to 0 to 255`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3]],
      [Node("DynamicQuantizeLinear", name: "node", inputs: ["x"], outputs: ["y", "s", "z"])],
      outputs: ["y", "s", "z"])
    // Range −1 to 4.1: scale 5.1 / 255 = 0.02, zero point 1 / 0.02 = 50.
    let found = try run(graph, Tensor([-1, 0, 4.1] as [Float], shape: [1, 3]))
    #expect(found["y"]!.elements(of: UInt8.self) == [0, 50, 255])
    #expect(abs(found["s"]!.floats()[0] - 0.02) < 1e-7)
    #expect(found["z"]!.elements(of: UInt8.self) == [50])
    // Zero belongs to the range: 51 to 255 becomes 0 to 255.
    let positive = try run(graph, Tensor([51, 102, 255] as [Float], shape: [1, 3]))
    #expect(positive["z"]!.elements(of: UInt8.self) == [0])
    #expect(positive["y"]!.elements(of: UInt8.self) == [51, 102, 255])
    let zeros = try run(graph, Tensor(zeros: [1, 3]))
    #expect(zeros["y"]!.elements(of: UInt8.self) == [0, 0, 0])
    #expect(zeros["s"]!.floats() == [1])
  }

  private func integers(
    _ op: String, _ x: [Dimension], _ w: Tensor, _ zeroPoint: UInt8,
    _ weightZeroPoint: Tensor? = nil,
    attributes: [(String, Attribute)] = []
  ) -> Graph {
    var node = Node(op, name: "node", inputs: ["x", "w", "xz"], outputs: ["y"])
    var constants: [(String, Tensor)] = [("w", w), ("xz", Tensor(scalar: zeroPoint))]
    if let weightZeroPoint {
      node.inputs.append("wz")
      constants.append(("wz", weightZeroPoint))
    }
    for (key, value) in attributes { node.attributes[key] = value }
    var graph = Graph.testing(inputs: ["x": x], [node])
    graph.inputs[0].elementType = .uint8
    for (name, tensor) in constants { graph.initializers[name] = Initializer(tensor) }
    return graph
  }

  @Test func `a product of integers counts from the zero points`() throws {
    // (10 − 3, 1 − 3) · ((1, −2), (5, 4)) = (7 − 10, −14 − 8).
    let w = Tensor([1, -2, 5, 4] as [Int8], shape: [2, 2])
    let x = Tensor([10, 1] as [UInt8], shape: [1, 2])
    let plain = integers("MatMulInteger", ["N", 2], w, 3)
    #expect(try run(plain, x)["y"]!.elements(of: Int32.self) == [-3, -22])
    // Columns less (1, −2): ((0, 0), (4, 6)).
    let shifted = integers("MatMulInteger", ["N", 2], w, 3, Tensor([1, -2] as [Int8]))
    #expect(try run(shifted, x)["y"]!.elements(of: Int32.self) == [-8, -12])
  }

  @Test func `a convolution of integers takes its padding for zero`() throws {
    let w = Tensor([1, 1, 1, 2, 2, 2, 3, 3, 3] as [Int8], shape: [1, 1, 3, 3])
    let graph = integers(
      "ConvInteger", ["N", 1, 2, 2], w, 100, attributes: [("pads", .ints([1, 1, 1, 1]))])
    // Less 100 the image is ((1, 2), (3, 4)); its top left sum is 2·(1 + 2) + 3·(3 + 4) = 27.
    let x = Tensor([101, 102, 103, 104] as [UInt8], shape: [1, 1, 2, 2])
    #expect(try run(graph, x)["y"]!.elements(of: Int32.self) == [27, 27, 17, 17])
  }

  @Test func `sums of integers do not saturate`() throws {
    // 64 products of 255 · 127 are 2,072,640.
    let w = Tensor([Int8](repeating: 127, count: 64), shape: [64, 1])
    let x = Tensor([UInt8](repeating: 255, count: 64), shape: [1, 64])
    let found = try run(integers("MatMulInteger", ["N", 64], w, 0), x)
    #expect(found["y"]!.elements(of: Int32.self) == [2_072_640])
  }

  @Test func `a cast cuts fractions off`() throws {
    let graph = Graph.testing("Cast", ["N"], attributes: ["to": .int(6)])
    let found = try run(graph, Tensor([1.9, -1.9, .nan, 3] as [Float]))
    #expect(found["y"]!.elements(of: Int32.self) == [1, -1, 0, 3])
  }

  @Test func `a cast to no type names the code`() {
    let graph = Graph.testing("Cast", ["N"], attributes: ["to": .int(99)])
    #expect(throws: GraphError.self) { try graph.inferTypes() }
  }
}
