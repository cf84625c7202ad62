internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// Functions of lines of elements, and functions of one element that the kernel core's table lacks.
enum FunctionRules {
  static func softmax(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let x = try l.float(step.node.inputs[0])
    let form = SoftmaxForm(step.node, opset: l.graph.opset, shape: x.shape)
    let y = try l.plan.softmax(try l.plan.reshape(x, form.shape), axis: form.axis)
    return .computed(try l.plan.reshape(y, x.shape))
  }

  static func logSoftmax(
    _ l: Lowering, _ step: Step
  ) throws(RuntimeError) -> LoweredValue {
    try l.requireInference(step.node)
    let x = try l.float(step.node.inputs[0])
    let form = SoftmaxForm(step.node, opset: l.graph.opset, shape: x.shape)
    let y = try l.plan.logSoftmax(try l.plan.reshape(x, form.shape), axis: form.axis)
    return try l.finish(try l.plan.reshape(y, x.shape), step)
  }

  static func prelu(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    try l.requireInference(step.node)
    let x = try l.float(step.node.inputs[0])
    let slope = try l.float(step.node.inputs[1])
    return try l.finish(try l.plan.prelu(x, slope), step)
  }

  /// Functions that are an Elu of a line, times a number.
  static func exponential(
    _ l: Lowering, _ step: Step
  ) throws(RuntimeError) -> LoweredValue {
    try l.requireInference(step.node)
    let x = try l.float(step.node.inputs[0])
    let functions: [Activation]
    if step.node.op == "Selu" {
      let alpha = step.node.float("alpha", default: 1.673_263_2)
      let gamma = step.node.float("gamma", default: 1.050_701)
      functions = [Activation(kind: BH_ACTIVATION_ELU, alpha: alpha), .linear(gamma, 0)]
    } else {
      let alpha = step.node.float("alpha", default: 1)
      functions = [
        .linear(1 / alpha, 0), Activation(kind: BH_ACTIVATION_ELU, alpha: 1), .linear(alpha, 0),
      ]
    }
    return try l.finish(try l.plan.activation(x, functions), step)
  }
}

/// A Softmax with the axes before opset 13's change brought to those after it.
struct SoftmaxForm {
  /// What to reshape to first.
  var shape: [Int]
  var axis: Int

  init(_ node: Node, opset: Int, shape: [Int]) {
    let given = node.int("axis", default: opset < 13 ? 1 : -1)
    let axis = given < 0 ? given + shape.count : given
    if opset < 13 {
      // Until opset 12 all axes from `axis` on are one.
      self.shape = [shape[..<axis].reduce(1, *), shape[axis...].reduce(1, *)]
      self.axis = 1
    } else {
      self.shape = shape
      self.axis = axis
    }
  }
}
