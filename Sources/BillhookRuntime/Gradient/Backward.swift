internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// The backward half of a training plan while it is built: which value has which gradient.
final class Backward {
  let lowering: Lowering
  var plan: KernelPlan { lowering.plan }
  private var gradients: [String: PlanValue] = [:]
  /// Gradients of the parameters, in the order in which they were found.
  private(set) var parameterGradients: OrderedDictionary<String, PlanValue> = [:]

  init(_ lowering: Lowering) { self.lowering = lowering }

  /// Adds the gradient operations of all steps, last one first.
  func build(
    _ steps: [Step], output: String, gradient: PlanValue
  ) throws(RuntimeError) {
    gradients[output] =
      try gradients[output].map { old throws(RuntimeError) in
        try plan.add(old, gradient, gradient.shape)
      } ?? gradient
    for step in steps.reversed() {
      plan.currentNode = step.node.displayName
      guard let rule = GradientRules.table[step.node.op], !lowering.isOnHost(step.node) else {
        for node in step.nodes.reversed() { try onHost(node) }
        continue
      }
      // Of a node with several outputs any may have one.
      let made = step.nodes.count == 1 ? step.node.outputs : [step.output]
      guard lowering.dependsOnParameters(step.output),
        let dy = gradients[step.output] ?? made.compactMap({ gradients[$0] }).first
      else { continue }
      try rule(self, step, dy)
    }
  }

  /// Adds a node's gradient as a step that the operator's rule computes.
  private func onHost(_ node: Node) throws(RuntimeError) {
    let given = node.outputs.filter { gradients[$0] != nil && lowering.dependsOnParameters($0) }
    var known = Set<String>()
    let wanted = node.reads.filter {
      !$0.isEmpty && wants($0) && !lowering.shape($0).contains(0) && known.insert($0).inserted
    }
    guard !given.isEmpty, !wanted.isEmpty else { return }
    if let reason = OperatorTable.reasonForNoGradient(of: node.op) {
      throw .noGradient(node: node.displayName, op: node.op, reason: reason)
    }
    let reads = HostReads(try lowering.hostReads(node.reads + node.outputs))
    let shapes = wanted.map { lowering.shape($0) }
    let opset = lowering.graph.opset
    let count = reads.planValues.count
    let inputs = reads.planValues + given.compactMap { gradients[$0] }
    let results = try plan.host("Host gradient", inputs, shapes) { tensors throws(GraphError) in
      let values = reads.values(tensors[..<count])
      var outputGradients: [String: Tensor] = [:]
      for (name, tensor) in zip(given, tensors[count...]) { outputGradients[name] = tensor }
      let found = try ReferenceGradient.evaluate(
        node, opset: opset, values,
        outputs: node.outputs.map { values[$0] ?? Tensor(zeros: [0]) },
        outputGradients: node.outputs.map { outputGradients[$0] }, wanted: Set(wanted))
      return zip(wanted, shapes).map { found[$0] ?? Tensor(zeros: $1) }
    }
    for (name, gradient) in zip(wanted, results) { try accumulate(name, gradient) }
  }

  /// Gives a value a gradient from outside, before ``build``.
  func begin(_ name: String, with gradient: PlanValue) { gradients[name] = gradient }

  /// What ``build`` found for a value; nil when the loss does not depend on it.
  func gradient(of name: String) -> PlanValue? { gradients[name] }

  /// True when somebody wants dLoss/d(value).
  func wants(_ name: String) -> Bool {
    lowering.dependsOnParameters(name) || lowering.parameters[name] != nil
  }

  /// Adds to a value's gradient.
  func accumulate(_ name: String, _ gradient: PlanValue) throws(RuntimeError) {
    guard wants(name) else { return }
    if lowering.parameters[name] != nil {
      let known = parameterGradients[name]
      parameterGradients[name] =
        try known.map { old throws(RuntimeError) in try plan.add(old, gradient, gradient.shape) }
        ?? gradient
    } else {
      let known = gradients[name]
      gradients[name] =
        try known.map { old throws(RuntimeError) in try plan.add(old, gradient, gradient.shape) }
        ?? gradient
    }
  }

  /// The forward value under a name.
  func forward(_ name: String) throws(RuntimeError) -> PlanValue { try lowering.float(name) }
}

extension Lowering {
  /// Checks that a value is computed from parameters in a way that a gradient can go back.
  ///
  /// - Throws: ``RuntimeError/noGradient(node:op:reason:)`` with the last node that cuts the value off
  ///   from what is trained, or ``RuntimeError/nothingToTrain``.
  func checkTrained(_ output: String) throws(RuntimeError) {
    if dependsOnParameters(output) { return }
    var needed: Set<String> = [output]
    for node in graph.nodes.reversed() where node.outputs.contains(where: { needed.contains($0) }) {
      let isFed = node.reads.contains { dependsOnParameters($0) }
      if isFed, let reason = OperatorTable.reasonForNoGradient(of: node.op) {
        throw .noGradient(node: node.displayName, op: node.op, reason: reason)
      }
      needed.formUnion(node.reads)
    }
    throw .nothingToTrain
  }
}
