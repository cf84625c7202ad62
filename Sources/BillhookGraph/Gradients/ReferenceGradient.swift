public import BillhookTensor

/// Computes gradients node by node in plain loops, in double precision, as ``ReferenceEvaluator``
/// computes values.
public enum ReferenceGradient {
  /// The gradients of what a node reads.
  ///
  /// - Parameters:
  ///   - values: Tensors by name: everything that the node reads, what its subgraphs take from
  ///     outside included.
  ///   - outputs: What the node made of them.
  ///   - outputGradients: dLoss/d(output) in the shapes of the outputs; nil where nothing depends on
  ///     one.
  ///   - wanted: Names of what is read and differentiable.
  /// - Returns: dLoss/d(value) by name, in the value's shape and element type; none for a value that
  ///   the loss does not depend on.
  /// - Throws: ``GraphError/noGradient(op:node:reason:)``, or what is wrong with the node.
  public static func evaluate(
    _ node: Node, opset: Int, _ values: [String: Tensor], outputs: [Tensor],
    outputGradients: [Tensor?], wanted: Set<String>
  ) throws(GraphError) -> [String: Tensor] {
    let gradients = try numbers(
      node, opset: opset, values, outputs: outputs,
      outputGradients: outputGradients.map { $0?.numbers() }, wanted: wanted)
    var result: [String: Tensor] = [:]
    for (name, numbers) in gradients {
      guard let value = values[name], value.elementType.isFloatingPoint else { continue }
      result[name] = Tensor(rounding: numbers, shape: value.shape, value.elementType)
    }
    return result
  }

  /// The same on numbers that are not rounded.
  static func numbers(
    _ node: Node, opset: Int, _ values: [String: Tensor], outputs: [Tensor],
    outputGradients: [[Double]?], wanted: Set<String>
  ) throws(GraphError) -> [String: [Double]] {
    let rule: GradientRule
    switch OperatorTable.gradient(of: node.op) {
    case .rule(let found): rule = found
    case .none(let reason):
      throw .noGradient(op: node.op, node: node.displayName, reason: reason)
    }
    let tensors = node.inputs.map { values[$0] }
    let forward = NodeContext(
      node: node, opset: opset, inputs: tensors.map { $0.map { ValueType(of: $0) } },
      constants: tensors, scope: ValueScope(constants: values))
    let gradients = try rule.body(
      GradientContext(
        forward: forward, outputs: outputs, outputGradients: outputGradients, wanted: wanted))
    return gradients.filter { wanted.contains($0.key) }
  }
}
