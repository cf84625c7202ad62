public import BillhookTensor
internal import OrderedCollections

/// Computes a graph in plain loops, in double precision, one node after the other.
///
/// It is slow and obvious on purpose: what the runtime computes fast is tested against it, and
/// constants are folded with it. Each value is rounded to its element type once, when it is stored.
public enum ReferenceEvaluator {
  /// Values above this size are refused rather than allocated.
  public static let maximumByteCount = 1 << 31

  /// Runs a graph once.
  ///
  /// - Parameters:
  ///   - feeds: A tensor for each graph input, by name.
  /// - Returns: Every value of the graph by name: inputs, initializers and node outputs.
  /// - Throws: ``GraphError`` when an input is missing or does not fit, or the graph is wrong.
  public static func run(
    _ graph: Graph, _ feeds: [String: Tensor]
  ) throws(GraphError) -> [String: Tensor] {
    try graph.verifyStructure()
    var values: [String: Tensor] = [:]
    for (name, initializer) in graph.initializers { values[name] = initializer.tensor }
    var sizes: [String: Int] = [:]
    for input in graph.inputs {
      guard let tensor = feeds[input.name] else {
        throw .missingFeed(name: input.name, given: feeds.keys.sorted())
      }
      guard fits(tensor, input, &sizes) else {
        throw .wrongFeed(
          name: input.name, found: "\(ValueType(of: tensor))",
          expected: "\(ValueType(input.elementType, input.shape ?? []))")
      }
      values[input.name] = tensor
    }
    try run(graph.nodes, opset: graph.opset, &values)
    return values
  }

  /// Runs a subgraph once.
  ///
  /// - Parameters:
  ///   - inputs: A tensor for each input of the subgraph, in order.
  ///   - outer: What the subgraph takes from the graph around it.
  static func run(
    body: Graph, opset: Int, inputs: [Tensor], outer: [String: Tensor]
  ) throws(GraphError) -> [Tensor] {
    var values = outer
    for (name, initializer) in body.initializers { values[name] = initializer.tensor }
    for (input, tensor) in zip(body.inputs, inputs) { values[input.name] = tensor }
    try run(body.nodes, opset: opset, &values)
    var results: [Tensor] = []
    for output in body.outputs {
      guard let tensor = values[output.name] else { throw .missingOutput(name: output.name) }
      results.append(tensor)
    }
    return results
  }

  private static func run(
    _ nodes: [Node], opset: Int, _ values: inout [String: Tensor]
  ) throws(GraphError) {
    for node in nodes {
      let results = try evaluate(node, opset: opset, values)
      for (output, tensor) in zip(node.outputs, results) where !output.isEmpty {
        values[output] = tensor
      }
    }
  }

  /// Computes one node; everything that it reads is in `values`.
  ///
  /// - Parameter values: Tensors by name, those that subgraphs take from outside included.
  /// - Throws: ``GraphError``, which names the node.
  public static func evaluate(
    _ node: Node, opset: Int, _ values: [String: Tensor],
    maximumByteCount: Int = ReferenceEvaluator.maximumByteCount
  ) throws(GraphError) -> [Tensor] {
    try evaluate(
      node, opset: opset, inputs: node.inputs.map { values[$0] },
      scope: ValueScope(constants: values), maximumByteCount: maximumByteCount)
  }

  /// Computes one node by its inputs alone.
  ///
  /// - Parameters:
  ///   - inputs: By position, nil where an optional input is left out.
  ///   - running: Runs the node's subgraphs; a node that has some needs it.
  /// - Throws: ``GraphError``, which names the node.
  public static func evaluate(
    _ node: Node, opset: Int, inputs: [Tensor?], running: SubgraphRunner? = nil
  ) throws(GraphError) -> [Tensor] {
    try evaluate(
      node, opset: opset, inputs: inputs, scope: ValueScope(), running: running,
      maximumByteCount: maximumByteCount)
  }

  /// Runs the subgraph that a node has as an attribute: tensors for the subgraph's own inputs, in
  /// order, become its outputs.
  public typealias SubgraphRunner = (
    _ attribute: String, _ inputs: [Tensor]
  ) throws(GraphError) -> [Tensor]

  private static func evaluate(
    _ node: Node, opset: Int, inputs tensors: [Tensor?], scope: ValueScope,
    running: SubgraphRunner? = nil, maximumByteCount: Int
  ) throws(GraphError) -> [Tensor] {
    let context = NodeContext(
      node: node, opset: opset, inputs: tensors.map { $0.map { ValueType(of: $0) } },
      constants: tensors, scope: scope, runSubgraph: running)
    let definition = try OperatorTable.definition(of: node)
    // Only running a body shows what it makes.
    if definition.dependence == .subgraphs { return try definition.evaluate(context, []) }
    let types = try definition.checkedTypes(context)
    for (output, type) in zip(node.outputs, types) {
      let sizes = type.sizes ?? []
      let count = Tensor.elementCount(of: sizes, elementType: type.elementType) ?? .max
      guard count <= maximumByteCount / type.elementType.byteCount else {
        throw .valueTooLarge(value: output, shape: sizes, maximumByteCount: maximumByteCount)
      }
    }
    return try definition.evaluate(context, types)
  }

  /// True when a tensor has the declared type, and the same symbol always stands for the same size.
  private static func fits(
    _ tensor: Tensor, _ input: ValueInfo, _ sizes: inout [String: Int]
  ) -> Bool {
    guard tensor.elementType == input.elementType else { return false }
    guard let shape = input.shape else { return true }
    guard shape.count == tensor.rank else { return false }
    for (dimension, size) in zip(shape, tensor.shape) {
      switch dimension {
      case .fixed(let expected): if expected != size { return false }
      case .symbolic(""): continue
      case .symbolic(let name):
        if let known = sizes[name], known != size { return false }
        sizes[name] = size
      }
    }
    return true
  }
}
