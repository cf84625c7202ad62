internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// How the gradient flows back through each operator: the one table of gradient rules.
enum GradientRules {
  /// Adds the operations that turn `dy`, the gradient of a step's output, into those of its inputs. A
  /// rule for several outputs asks for the others' itself; `dy` is then that of any of them.
  typealias Rule = @Sendable (Backward, Step, _ dy: PlanValue) throws(RuntimeError) -> Void

  static let table: [String: Rule] = layers.merging(
    Activation.operators.map { ($0, RowGradients.activation) }, uniquingKeysWith: { own, _ in own })

  private static let layers: [String: Rule] = [
    "Conv": LayerGradients.conv,
    "Gemm": LayerGradients.gemm,
    "MatMul": LayerGradients.matmul,
    "BatchNormalization": LayerGradients.batchNorm,
    "LayerNormalization": RowGradients.layerNorm, "RMSNormalization": RowGradients.layerNorm,
    "GroupNormalization": GroupNormRules.gradient,
    "InstanceNormalization": GroupNormRules.gradient,
    "RotaryEmbedding": RotaryRules.gradient,
    "Add": add, "Sub": sub, "Mul": mul, "Div": div,
    "MaxPool": pool, "AveragePool": pool, "GlobalAveragePool": pool,
    "Softmax": RowGradients.softmax,
    "Dropout": dropout,
    "Identity": identity,
    "Flatten": reshape, "Reshape": reshape, "Squeeze": reshape, "Unsqueeze": reshape,
    "Transpose": transpose, "Concat": concat,
    "RNN": RecurrentRules.gradient, "GRU": RecurrentRules.gradient,
    "LSTM": RecurrentRules.gradient,
    "ReduceMean": ReductionRules.gradient, "ReduceSum": ReductionRules.gradient,
    "DepthToSpace": MovingRules.gradient, "Expand": MovingRules.gradient,
    "Gather": MovingRules.gradient, "GatherElements": MovingRules.gradient,
    "GatherND": MovingRules.gradient, "Pad": MovingRules.gradient, "Slice": MovingRules.gradient,
    "SpaceToDepth": MovingRules.gradient, "Split": MovingRules.gradient,
    "Tile": MovingRules.gradient,
  ]

  private static func add(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    for name in step.node.inputs where b.wants(name) {
      try b.accumulate(name, try b.plan.reduce(dy, to: try b.forward(name).shape))
    }
  }

  private static func sub(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    for (index, name) in step.node.inputs.enumerated() where b.wants(name) {
      let own = index == 0 ? dy : try b.plan.linear(dy, alpha: -1, beta: 0)
      try b.accumulate(name, try b.plan.reduce(own, to: try b.forward(name).shape))
    }
  }

  private static func div(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let (left, right) = (step.node.inputs[0], step.node.inputs[1])
    let divisor = try b.forward(right)
    let quotient = try b.plan.binary(dy, divisor, BH_BINARY_DIV, dy.shape)
    if b.wants(left) {
      try b.accumulate(left, try b.plan.reduce(quotient, to: try b.forward(left).shape))
    }
    if b.wants(right) {
      // d(x / r)/dr is -(x / r) / r.
      let product = try b.plan.binary(
        quotient, try b.forward(step.output), BH_BINARY_MUL, dy.shape)
      let own = try b.plan.linear(product, alpha: -1, beta: 0)
      try b.accumulate(right, try b.plan.reduce(own, to: divisor.shape))
    }
  }

  private static func mul(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let names = step.node.inputs
    for (own, other) in [(names[0], names[1]), (names[1], names[0])] where b.wants(own) {
      let product = try b.plan.binary(dy, try b.forward(other), BH_BINARY_MUL, dy.shape)
      try b.accumulate(own, try b.plan.reduce(product, to: try b.forward(own).shape))
    }
  }

  private static func pool(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let name = step.node.inputs[0]
    try b.accumulate(
      name, try b.plan.poolBackward(dy, try b.forward(step.output), try b.forward(name)))
  }

  private static func dropout(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let y = try b.forward(step.output)
    // With a ratio of 0 the forward step was the identity.
    let isIdentity = y == (try b.forward(step.node.inputs[0]))
    try b.accumulate(
      step.node.inputs[0], isIdentity ? dy : try b.plan.dropoutBackward(dy, y))
  }

  private static func identity(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let name = step.node.inputs[0]
    guard b.wants(name), let substitution = b.lowering.substitutions[step.node.name] else {
      return try b.accumulate(name, dy)
    }
    let x = try b.forward(name)
    let dx = try b.plan.host("Substitution's gradient", [x, dy], [x.shape]) { tensors in
      [try substitution.backward(tensors[0], gradient: tensors[1])]
    }
    try b.accumulate(name, dx[0])
  }

  private static func reshape(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let name = step.node.inputs[0]
    try b.accumulate(name, try b.plan.reshape(dy, try b.forward(name).shape))
  }

  private static func transpose(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let permutation =
      step.node.ints("perm") ?? Array((0..<dy.shape.count).reversed())
    var inverse = permutation
    for (index, axis) in permutation.enumerated() { inverse[axis] = index }
    try b.accumulate(step.node.inputs[0], try b.plan.transpose(dy, inverse))
  }

  private static func concat(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let given = step.node.int("axis", default: 1)
    let axis = given < 0 ? given + dy.shape.count : given
    var begin = dy.shape.map { _ in 0 }
    for name in step.node.inputs {
      let shape = b.lowering.shape(name)
      if b.wants(name) {
        try b.accumulate(name, try b.plan.slice(dy, from: begin, shape))
      }
      begin[axis] += shape[axis]
    }
  }
}
