import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Training weights that a network computes from its constants, as exporters write what they did not
/// fold.
@Suite struct ComputedWeightTests {
  private static func node(
    _ op: String, _ inputs: [String], _ outputs: String...,
    attributes: OrderedDictionary<String, Attribute> = [:]
  ) -> Node {
    Node(op, name: outputs[0], inputs: inputs, outputs: outputs, attributes: attributes)
  }

  /// Checks the gradients of `weights`; `fixed` are constants that training leaves alone.
  private func check(
    _ x: [Dimension], _ nodes: [Node], weights: [String: [Int]], fixed: [String: Tensor] = [:]
  ) throws {
    var graph = Graph.testing(inputs: ["x": x], nodes)
    var trained: [String: Tensor] = [:]
    for (name, shape) in weights {
      trained[name] = .seeded(shape, seed: 1, name)
      graph.initializers[name] = Initializer(trained[name]!)
    }
    for (name, tensor) in fixed { graph.initializers[name] = Initializer(tensor) }
    let shape = x.map { $0.size ?? centralDifferenceBatch }
    try expectCentralDifferences(graph, trained, ["x": .seeded(shape, seed: 2)])
  }

  @Test func `the transpose of a linear layer's weight`() throws {
    try check(
      ["N", 4, 5],
      [
        Self.node("Transpose", ["w"], "wt", attributes: ["perm": .ints([1, 0])]),
        Self.node("MatMul", ["x", "wt"], "m"), Self.node("Unsqueeze", ["b", "zero"], "bias"),
        Self.node("Add", ["m", "bias"], "y"),
      ], weights: ["w": [6, 5], "b": [6]], fixed: ["zero": Tensor([0] as [Int64])])
  }

  @Test func `parts of one weight, as attention's queries and keys`() throws {
    try check(
      ["N", 4],
      [
        Self.node("Split", ["w"], "q", "k", attributes: ["axis": .int(0)]),
        Self.node("Transpose", ["q"], "qt"), Self.node("Transpose", ["k"], "kt"),
        Self.node("MatMul", ["x", "qt"], "a"), Self.node("MatMul", ["x", "kt"], "b"),
        Self.node("Mul", ["a", "b"], "y"),
      ], weights: ["w": [6, 4]])
  }

  /// Weight normalisation: g · v / ‖v‖.
  @Test(arguments: [1, 2, 4])
  func `the normalised weight of a convolution`(groups: Int) throws {
    try check(
      ["N", 4, 6, 5],
      [
        Self.node(
          "ReduceL2", ["v"], "size", attributes: ["axes": .ints([1, 2, 3]), "keepdims": .int(1)]),
        Self.node("Div", ["v", "size"], "unit"), Self.node("Mul", ["unit", "g"], "w"),
        Self.node("Conv", ["x", "w", "b"], "y", attributes: ["group": .int(groups)]),
      ], weights: ["v": [8, 4 / groups, 3, 3], "g": [8, 1, 1, 1], "b": [8]])
  }

  @Test func `the weights of a recurrent layer`() throws {
    try check(
      [5, 3, 3],
      [
        Self.node("Unsqueeze", ["w", "zero"], "W"), Self.node("Unsqueeze", ["r", "zero"], "R"),
        Self.node("Concat", ["b", "c"], "bc", attributes: ["axis": .int(0)]),
        Self.node("Unsqueeze", ["bc", "zero"], "B"),
        Self.node("GRU", ["x", "W", "R", "B"], "", "y", attributes: ["hidden_size": .int(2)]),
      ], weights: ["w": [6, 3], "r": [6, 2], "b": [6], "c": [6]],
      fixed: ["zero": Tensor([0] as [Int64])])
  }

  @Test func `the places of an embedding, but not a table that is multiplied by`() throws {
    try check(
      ["N", 4, 5],
      [
        Self.node("MatMul", ["x", "w"], "m"), Self.node("Gather", ["places", "order"], "p"),
        Self.node("Add", ["m", "p"], "s"), Self.node("Mul", ["s", "cosines"], "y"),
      ], weights: ["w": [5, 6], "places": [9, 6]],
      fixed: [
        "order": Tensor([3, 1, 0, 8] as [Int64]), "cosines": .seeded([4, 6], seed: 3),
      ])
  }

  @Test func `of two constants the right one is the weight`() throws {
    try check(
      ["N", 4, 6],
      [
        Self.node("MatMul", ["grid", "w"], "bias"), Self.node("MatMul", ["x", "v"], "m"),
        Self.node("Mul", ["m", "bias"], "y"),
      ], weights: ["w": [3, 6], "v": [6, 6]], fixed: ["grid": .seeded([4, 3], seed: 3)])
  }

  @Test func `all operands of an Einsum`() throws {
    try check(
      ["N", 4],
      [
        Self.node(
          "Einsum", ["x", "w", "v", "u"], "y",
          attributes: ["equation": .string(Array("ni,oij,j,o->noj".utf8))])
      ], weights: ["w": [2, 4, 3], "v": [3], "u": [2]])
  }

  @Test func `scales of a Resize that are put together of constants`() throws {
    try check(
      ["N", 2, 3, 3],
      [
        Self.node("Concat", ["one", "three"], "scales", attributes: ["axis": .int(0)]),
        Self.node(
          "Resize", ["x", "", "scales"], "large",
          attributes: ["mode": .string(Array("cubic".utf8))]),
        Self.node("Conv", ["large", "w"], "y"),
      ], weights: ["w": [2, 2, 3, 3]],
      fixed: ["one": Tensor([1, 1] as [Float]), "three": Tensor([3, 2] as [Float])])
  }

  /// An operation that reads a weight keeps it in the order in which it reads it.
  @Test(arguments: [1, 3, 5], ["Tanh", "Sigmoid", "Softmax"])
  func `a weight that is read before its layer`(size: Int, op: String) throws {
    try check(
      ["N", 16, 6, 6],
      [
        Self.node(op, ["w"], "changed"), Self.node("Conv", ["x", "changed"], "a"),
        Self.node("Conv", ["x", "w"], "b"), Self.node("Add", ["a", "b"], "y"),
      ], weights: ["w": [16, 16, size, size]])
  }

  @Test(arguments: [[3, 8, 8], [8, 8]])
  func `a weight that scales before it multiplies`(shape: [Int]) throws {
    try check(
      shape.map { .fixed($0) },
      [
        Self.node("MatMul", ["x", "v"], "h"), Self.node("Mul", ["h", "w"], "s"),
        Self.node("MatMul", ["s", "w"], "y"),
      ], weights: ["v": [8, 8], "w": [8, 8]])
  }

  @Test func `angles of rotary embeddings, masks and what comes before all layers stay`() throws {
    try check(
      ["N", 4, 6],
      [
        Self.node("Unsqueeze", ["mean", "zero"], "m"), Self.node("Mul", ["x", "m"], "scaled"),
        Self.node("Mul", ["w", "mask"], "masked"),
        Self.node("MatMul", ["scaled", "masked"], "h"),
        Self.node(
          "Einsum", ["steps", "rates"], "angles",
          attributes: ["equation": .string(Array("i,j->ij".utf8))]),
        Self.node("Cos", ["angles"], "cosines"), Self.node("Mul", ["h", "cosines"], "y"),
      ], weights: ["w": [6, 6]],
      fixed: [
        "zero": Tensor([0] as [Int64]), "mean": .seeded([6], seed: 3),
        "mask": Tensor((0..<36).map { Float($0 % 3 == 0 ? 0 : 1) }, shape: [6, 6]),
        "steps": Tensor([0, 1, 2, 3] as [Float]), "rates": .seeded([6], seed: 4),
      ])
  }
}
