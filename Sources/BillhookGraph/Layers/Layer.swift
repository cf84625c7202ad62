internal import BillhookTensor

/// A node that has weights: Conv, Gemm, or MatMul with a constant matrix.
public struct Layer: Sendable, Equatable {
  /// The index of the node; of a layer inside a subgraph, that of the outermost node around it.
  public var nodeIndex: Int
  /// The display name of the outermost node whose subgraph the layer is in; nil for the graph's own.
  public var enclosing: String?
  /// The node's display name and operator.
  public var node: String
  public var op: String
  /// The value that the layer reads and the one that it makes.
  public var input: String
  public var output: String
  /// The weight's value name, and its shape.
  public var weight: String
  public var shape: [Int]
  /// The axes of the weight that output and input channels lie along. With `groups` above 1 the
  /// input axis counts the channels of one group.
  public var outAxis: Int
  public var inAxis: Int
  public var groups: Int
  /// The bias's value name; of a MatMul the vector that the Add behind it adds.
  public var bias: String?
  /// The value after the batch norm and the activation that follow the layer, before pooling or a
  /// residual addition; the layer's own output when no activation follows.
  public var activationOutput: String
  /// True when an activation follows.
  public var hasActivation: Bool { activationOutput != output }
}

extension Graph {
  /// The layers in node order; a weight that is computed, or kept as integers, has none.
  ///
  /// - Throws: ``GraphError`` when the graph is wrong.
  public func layers() throws(GraphError) -> [Layer] {
    try verifyStructure()
    let constants = constantTensors()
    let trail = ActivationTrail(self, constants: constants)
    return nodes.indices.flatMap { index -> [Layer] in
      let node = nodes[index]
      guard var layer = node.layer(index, weightShape: constants[node.input(1) ?? ""]?.shape)
      else {
        return node.subgraphs.flatMap {
          $0.layers(inside: node.displayName, at: index, constants: constants)
        }
      }
      let (bias, activation) = trail.follow(layer.output, op: node.op)
      if let name = node.input(2), constants[name] != nil { layer.bias = name }
      layer.bias = layer.bias ?? bias
      layer.activationOutput = activation ?? layer.output
      return [layer]
    }
  }

  /// The layers of a subgraph, with what it sees of the constants around it.
  private func layers(
    inside enclosing: String, at index: Int, constants outer: [String: Tensor]
  ) -> [Layer] {
    let constants = outer.merging(constantTensors()) { _, own in own }
    return nodes.flatMap { node -> [Layer] in
      guard var layer = node.layer(index, weightShape: constants[node.input(1) ?? ""]?.shape)
      else {
        return node.subgraphs.flatMap {
          $0.layers(inside: enclosing, at: index, constants: constants)
        }
      }
      layer.enclosing = enclosing
      return [layer]
    }
  }
}

extension Node {
  /// The layer that the node is if its weight has this shape.
  func layer(_ index: Int, weightShape: [Int]?) -> Layer? {
    let node = self
    guard let shape = weightShape, let weight = node.input(1), let input = node.input(0) else {
      return nil
    }
    let outAxis: Int
    let inAxis: Int
    switch node.op {
    case "Conv": (outAxis, inAxis) = (0, 1)
    case "Gemm" where node.int("transA", default: 0) == 0:
      let isTransposed = node.int("transB", default: 0) != 0
      (outAxis, inAxis) = isTransposed ? (0, 1) : (1, 0)
    case "MatMul" where shape.count == 2: (outAxis, inAxis) = (1, 0)
    default: return nil
    }
    guard shape.count > 1 else { return nil }
    return Layer(
      nodeIndex: index, node: node.displayName, op: node.op, input: input,
      output: node.outputs[0], weight: weight, shape: shape, outAxis: outAxis, inAxis: inAxis,
      groups: node.op == "Conv" ? node.int("group", default: 1) : 1, bias: nil,
      activationOutput: node.outputs[0])
  }
}

/// Walks from a layer's output to its activation.
private struct ActivationTrail {
  let graph: Graph
  let constants: [String: Tensor]
  let readers: [String: [Int]]
  let outputs: Set<String>

  init(_ graph: Graph, constants: [String: Tensor]) {
    self.graph = graph
    self.constants = constants
    readers = graph.consumers()
    outputs = Set(graph.outputs.map(\.name))
  }

  /// The bias that an Add behind a MatMul adds, and the activation's output, if there is one.
  func follow(_ output: String, op: String) -> (bias: String?, activation: String?) {
    var value = output
    var bias: String?
    if op == "MatMul", let node = reader(value), node.op == "Add" {
      let other = node.inputs[0] == value ? node.inputs[1] : node.inputs[0]
      if constants[other]?.rank == 1 { (bias, value) = (other, node.outputs[0]) }
    }
    if let node = reader(value), node.op == "BatchNormalization" { value = node.outputs[0] }
    guard let node = reader(value), ["Relu", "Clip", "Sigmoid"].contains(node.op),
      node.inputs[0] == value
    else { return (bias, nil) }
    return (bias, node.outputs[0])
  }

  /// The one node that reads a value; nil when several do or the value leaves the graph.
  private func reader(_ value: String) -> Node? {
    guard let indices = readers[value], indices.count == 1, !outputs.contains(value) else {
      return nil
    }
    return graph.nodes[indices[0]]
  }
}
