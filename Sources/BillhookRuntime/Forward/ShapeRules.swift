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

  /// A part without gaps; its bounds are attributes before operator set 10, inputs from then on.
  static func slice(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    func numbers(_ key: String, _ index: Int) -> [Int]? {
      node.ints(key) ?? l.constant(node.input(index))?.integers()
    }
    let rank = l.shape(node.inputs[0]).count
    guard let starts = numbers("starts", 1),
      node.input(3) == nil || l.constant(node.input(3)) != nil,
      node.input(4) == nil || numbers("steps", 4)?.allSatisfy({ $0 == 1 }) == true
    else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "bounds that are computed, or steps",
        expected: "constant bounds and every element")
    }
    let axes = numbers("axes", 3) ?? Array(starts.indices)
    var begin = [Int](repeating: 0, count: rank)
    for (given, start) in zip(axes, starts) {
      let axis = given < 0 ? given + rank : given
      let size = l.shape(node.inputs[0])[axis]
      begin[axis] = min(max(start < 0 ? start + size : start, 0), size)
    }
    let shape = l.shape(node.outputs[0])
    return try move(l, step) { value throws(RuntimeError) in
      try l.plan.slice(value, from: begin, shape)
    }
  }

  static func split(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    guard !node.outputs.contains("") else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "a part that is left out",
        expected: "all parts")
    }
    let x = try l.float(node.inputs[0])
    let given = node.int("axis", default: 0)
    let axis = given < 0 ? given + x.shape.count : given
    var begin = x.shape.map { _ in 0 }
    var parts: [PlanValue] = []
    for output in node.outputs {
      let shape = l.shape(output)
      parts.append(try l.plan.slice(x, from: begin, shape))
      l.define(output, .computed(parts[parts.count - 1]))
      begin[axis] += shape[axis]
    }
    return .computed(parts[0])
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
