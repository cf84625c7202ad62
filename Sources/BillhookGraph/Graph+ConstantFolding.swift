internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// Computes every node whose inputs are all constant, and keeps the results as initializers.
  ///
  /// `Constant` nodes become initializers too, and initializers that nothing reads any more go.
  /// A result that would be larger than its inputs and than 64 MiB is left to be computed.
  ///
  /// - Parameters:
  ///   - keepingDequantizedWeights: Leaves a DequantizeLinear of constants alone, so that the
  ///     integers stay small and can be computed with. True by default.
  /// - Throws: ``GraphError`` when a node is wrong.
  public func foldingConstants(
    keepingDequantizedWeights: Bool = true
  ) throws(GraphError) -> Graph {
    try verifyStructure()
    var result = self
    result.nodes = []
    var known: [String: Tensor] = [:]
    for (name, initializer) in initializers { known[name] = initializer.tensor }
    for node in nodes {
      let isKept = keepingDequantizedWeights && node.op == "DequantizeLinear"
      let inputs = node.inputs.filter { !$0.isEmpty }
      guard !isKept, inputs.allSatisfy({ known[$0] != nil }) else {
        result.nodes.append(node)
        continue
      }
      let inputBytes = inputs.reduce(0) { $0 + (known[$1]?.byteCount ?? 0) }
      guard
        let tensors = try ReferenceEvaluator.fold(
          node, opset: opset, known, maximumByteCount: max(inputBytes, 64 << 20))
      else {
        result.nodes.append(node)
        continue
      }
      for (output, tensor) in zip(node.outputs, tensors) where !output.isEmpty {
        known[output] = tensor
        result.initializers[output] = Initializer(tensor)
      }
    }
    let read = Set(result.nodes.flatMap(\.inputs)).union(outputs.map(\.name))
    let wasRead = Set(nodes.flatMap(\.inputs))
    // What nothing read before is the file's own affair.
    result.initializers = result.initializers.filter { name, _ in
      read.contains(name) || (initializers[name] != nil && !wasRead.contains(name))
    }
    return result
  }
}

extension ReferenceEvaluator {
  /// The node's outputs, or nil when they are too large to be worth keeping.
  fileprivate static func fold(
    _ node: Node, opset: Int, _ values: [String: Tensor], maximumByteCount: Int
  ) throws(GraphError) -> [Tensor]? {
    do {
      return try evaluate(node, opset: opset, values, maximumByteCount: maximumByteCount)
    } catch .valueTooLarge {
      return nil
    }
  }
}
