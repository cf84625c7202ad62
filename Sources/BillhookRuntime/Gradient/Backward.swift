internal import BillhookGraph
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
    for step in steps.reversed() where lowering.dependsOnParameters(step.output) {
      guard let dy = gradients[step.output] else { continue }
      plan.currentNode = step.node.displayName
      guard let rule = GradientRules.table[step.node.op] else {
        throw .noGradient(
          node: step.node.displayName, op: step.node.op,
          supported: GradientRules.table.keys.sorted())
      }
      try rule(self, step, dy)
    }
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
