internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// Computes every node whose inputs are all constant, and keeps the results as initializers.
  ///
  /// `Constant` nodes become initializers too, the shapes of values whose sizes are known do, and
  /// initializers that nothing reads any more go. A result that would be larger than its inputs and
  /// than 64 MiB is left to be computed, and so is what is random.
  ///
  /// - Parameters:
  ///   - keepingDequantizedWeights: Leaves a DequantizeLinear of constants alone, so that the
  ///     integers stay small and can be computed with. True by default.
  ///   - binding: Sizes for symbols, as in ``inferTypes(binding:)``.
  ///   - kept: Values that stay initializers even if nothing reads them any more.
  ///   - sparesWeights: Leaves alone what training may change, floating-point tensors of more than
  ///     one element, and what is computed from them.
  /// - Throws: ``GraphError`` when a node is wrong.
  public func foldingConstants(
    keepingDequantizedWeights: Bool = true, binding: [String: Int] = [:],
    keeping kept: Set<String> = [], sparingWeights sparesWeights: Bool = false
  ) throws(GraphError) -> Graph {
    let scope = try inferScope(binding: binding)
    var result = self
    result.nodes = []
    let consumers = consumers()
    // Blocks, and parts that are put together first, are not what an integer layer computes with.
    func isWhole(_ node: Node) -> Bool {
      node.op == "DequantizeLinear" && node.int("block_size", default: 0) == 0
        && !(consumers[node.outputs.first ?? ""] ?? []).contains { nodes[$0].op == "Reshape" }
    }
    var known: [String: Tensor] = [:]
    for (name, initializer) in initializers { known[name] = initializer.tensor }
    func isWeight(_ tensor: Tensor?) -> Bool {
      tensor.map { sparesWeights && $0.elementType.isFloatingPoint && $0.count > 1 } ?? false
    }
    for node in nodes {
      let isKept =
        keepingDequantizedWeights && isWhole(node) || node.reads.contains { isWeight(known[$0]) }
        // Quantization-aware training puts something in the place of Identities.
        || sparesWeights && node.op == "Identity"
      guard !isKept,
        let tensors = try constantOutputs(of: node, known, scope),
        !tensors.contains(where: isWeight)
      else {
        result.nodes.append(node)
        continue
      }
      for (output, tensor) in zip(node.outputs, tensors) where !output.isEmpty {
        known[output] = tensor
        result.initializers[output] = Initializer(tensor)
      }
    }
    let read = Set(result.nodes.flatMap(\.reads)).union(outputs.map(\.name)).union(kept)
    let wasRead = Set(nodes.flatMap(\.reads))
    // What nothing read before is the file's own affair.
    result.initializers = result.initializers.filter { name, _ in
      read.contains(name) || (initializers[name] != nil && !wasRead.contains(name))
    }
    return result
  }

  /// A node's outputs when they are constant and not too large to be worth keeping; nil otherwise.
  private func constantOutputs(
    of node: Node, _ known: [String: Tensor], _ scope: ValueScope
  ) throws(GraphError) -> [Tensor]? {
    let definition = try OperatorTable.definition(of: node)
    if definition.dependence == .randomness { return nil }
    let outputs = node.outputs.filter { !$0.isEmpty }
    let seen = outputs.compactMap { scope.constants[$0] }
    if definition.dependence == .types, seen.count == node.outputs.count { return seen }
    let reads = node.reads.filter { !$0.isEmpty }
    guard reads.allSatisfy({ known[$0] != nil }) else { return nil }
    let inputBytes = reads.reduce(0) { $0 + (known[$1]?.byteCount ?? 0) }
    do {
      return try ReferenceEvaluator.evaluate(
        node, opset: opset, known, maximumByteCount: max(inputBytes, 64 << 20))
    } catch {
      guard case .valueTooLarge = error else { throw error }
      return nil
    }
  }
}
