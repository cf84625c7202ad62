internal import BillhookGraph
internal import BillhookTensor

/// Operators that only move elements. Quantized values pass as integers.
enum ShapeRules {
  static func identity(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    if let substitution = l.substitutions[step.node.name] {
      let x = try l.parameter(step.node.inputs[0])
      let y = try l.plan.host("Substitution", [x], [x.shape]) { tensors in
        [try substitution.forward(tensors[0])]
      }
      return .computed(y[0])
    }
    guard let value = l.value(step.node.inputs[0]) else {
      throw .unknownValue(name: step.node.inputs[0])
    }
    if case .constant = value, l.mode == .training {
      return .computed(try l.parameter(step.node.inputs[0]))
    }
    return value
  }

  static func reshape(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let shape = l.shape(step.node.outputs[0])
    return try move(l, step) { value throws(RuntimeError) in try l.plan.reshape(value, shape) }
  }

  static func transpose(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let rank = l.shape(step.node.inputs[0]).count
    let permutation = step.node.ints("perm") ?? Array((0..<rank).reversed())
    return try move(l, step) { value throws(RuntimeError) in
      try l.plan.transpose(value, permutation)
    }
  }

  static func concat(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let shape = l.shape(step.node.outputs[0])
    let axis = step.node.int("axis", default: 1)
    var parts: [PlanValue] = []
    for name in step.node.inputs { parts.append(try l.float(name)) }
    return .computed(
      try l.plan.concat(parts, axis: axis < 0 ? axis + shape.count : axis, shape))
  }

  private static func move(
    _ l: Lowering, _ step: Step, _ body: (PlanValue) throws(RuntimeError) -> PlanValue
  ) throws(RuntimeError) -> LoweredValue {
    if case .dequantized(let integers, let grid)? = l.value(step.node.inputs[0]), grid.isPerTensor {
      return .dequantized(try body(integers), grid)
    }
    return .computed(try body(try l.float(step.node.inputs[0])))
  }
}
