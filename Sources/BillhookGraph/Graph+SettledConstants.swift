internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph in which layers find their weights: those inside of subgraphs hoisted, and those that
  /// are computed from constants settled.
  ///
  /// - Throws: ``GraphError`` when a node is wrong.
  public func reachingWeights() throws(GraphError) -> Graph {
    try hoistingWeights().settlingConstants()
  }

  /// The graph with the floating-point numbers that its nodes make of constants alone in place of
  /// these nodes.
  ///
  /// Exporters write one tensor for several equal ones and an Identity for each of the others, leave
  /// a weight's Transpose in the graph, or its norm and direction apart. Behind an Identity the
  /// constant itself is read. Anything else is computed where the file does not grow by it: what a
  /// tensor of more than a thousand elements becomes stays computed while something else reads the
  /// tensor too, as an embedding that is the last layer's weight as well. Weights that are kept as
  /// integers or in another precision are left alone.
  ///
  /// - Throws: ``GraphError`` when a node is wrong.
  public func settlingConstants() throws(GraphError) -> Graph {
    var known = constantTensors()
    let outputs = Set(outputs.map(\.name))
    var isConstant = Set(known.keys)
    // The constants that Identities give other names.
    var origins: [String: String] = [:]
    for node in nodes where node.isSettled(isConstant) {
      isConstant.formUnion(node.outputs)
      guard node.op == "Identity" else { continue }
      origins[node.outputs[0]] = origins[node.inputs[0]] ?? node.inputs[0]
    }
    let lasting = Set(
      outputs.union(nodes.filter { !$0.isSettled(isConstant) }.flatMap(\.reads))
        .map { origins[$0] ?? $0 })
    func isFree(_ name: String) -> Bool {
      guard let tensor = known[name], tensor.count > 1024 else { return true }
      return !lasting.contains(origins[name] ?? name)
    }
    var result = self
    result.nodes = []
    var gone: [Node] = []
    var aliases: [(old: String, new: String)] = []
    var settled: [String] = []
    for node in nodes {
      guard node.isSettled(isConstant), node.op != "Constant",
        node.inputs.allSatisfy({ $0.isEmpty || known[$0] != nil }),
        !node.outputs.contains(where: { outputs.contains($0) })
      else {
        result.nodes.append(node)
        continue
      }
      if node.op == "Identity" {
        known[node.outputs[0]] = known[node.inputs[0]]
        aliases.append((node.outputs[0], node.inputs[0]))
        gone.append(node)
        continue
      }
      let bytes = node.inputs.reduce(0) { $0 + (known[$1]?.byteCount ?? 0) }
      guard node.inputs.allSatisfy(isFree),
        known[node.inputs.first ?? ""]?.elementType == .float32,
        let tensors = try node.settledOutputs(opset, known, largest: bytes)
      else {
        result.nodes.append(node)
        continue
      }
      for (output, tensor) in zip(node.outputs, tensors) where !output.isEmpty {
        known[output] = tensor
        settled.append(output)
      }
      gone.append(node)
    }
    guard !gone.isEmpty else { return self }
    for name in settled { result.initializers[name] = Initializer(known[name]!) }
    // An Identity may read another one's output, so the last come first.
    for (old, new) in aliases.reversed() { result.rename(old, to: new) }
    let names = Set(gone.flatMap(\.outputs))
    result.valueInfos.removeAll { names.contains($0.name) }
    result.dropUnreadConstants(gone.flatMap(\.inputs) + settled)
    return result
  }
}

extension Node {
  /// True when the node makes the same of constants in each run.
  fileprivate func isSettled(_ isConstant: Set<String>) -> Bool {
    guard subgraphs.isEmpty, isStandard,
      !["DequantizeLinear", "QuantizeLinear", "Cast", "CastLike", "Constant"].contains(op),
      let definition = try? OperatorTable.definition(of: self), definition.dependence == .values
    else { return false }
    return !inputs.isEmpty && inputs.allSatisfy { $0.isEmpty || isConstant.contains($0) }
  }

  /// What the node makes of constants; nil when that is larger than `largest` bytes.
  fileprivate func settledOutputs(
    _ opset: Int, _ known: [String: Tensor], largest: Int
  ) throws(GraphError) -> [Tensor]? {
    do {
      return try ReferenceEvaluator.evaluate(self, opset: opset, known, maximumByteCount: largest)
    } catch {
      guard case .valueTooLarge = error else { throw error }
      return nil
    }
  }
}
