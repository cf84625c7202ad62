internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// Convolutions, matrix products and batch normalisation.
enum LayerRules {
  static func conv(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let convolving = try Convolving(
      node, weight: l.shape(node.inputs[1]), input: Array(l.shape(node.inputs[0]).dropFirst(2)))
    if let integers = try IntegerRules.layer(l, step, convolving) {
      return integers
    }
    let x = try l.float(node.inputs[0])
    let weight = try l.parameter(node.inputs[1])
    let bias = try l.bias(step, outputs: l.shape(node.outputs[0])[1])
    if let pool = step.pool {
      return try l.pooled(pool, step) { window, bounds, target, shape throws(RuntimeError) in
        try l.plan.convPool(x, weight, bias, convolving, window, bounds, target, shape)
      }
    }
    let residual = try step.residual.map { name throws(RuntimeError) in try l.float(name) }
    let y = try l.plan.conv(
      x, weight, bias, convolving, residual: residual, step.activations, l.shape(node.outputs[0]))
    return try l.quantized(y, step)
  }

  /// A Gemm that is a fully connected layer goes there; any other is a product, a scale and a sum.
  static func gemm(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let form = GemmForm(node)
    let shape = l.shape(node.outputs[0])
    if form.isDense(l) {
      if let integers = try IntegerRules.layer(l, step, nil) { return integers }
      let bias = try node.input(2).map { name throws(RuntimeError) in
        try l.plan.reshape(try l.parameter(name), [shape[1]])
      }
      let weight = try l.denseWeight(node.inputs[1], transposed: !form.transposesB)
      let residual = try step.residual.map { name throws(RuntimeError) in try l.float(name) }
      let y = try l.plan.dense(
        try l.float(node.inputs[0]), weight, bias, residual: residual, step.activations, shape)
      return try l.quantized(y, step)
    }
    let (a, b) = try l.factors(node)
    var y = try l.plan.matmul(
      a, b, transposeA: form.transposesA, transposeB: form.transposesB, shape)
    if form.alpha != 1 { y = try l.plan.linear(y, alpha: form.alpha, beta: 0) }
    if let name = node.input(2) {
      var bias = try l.parameter(name)
      if form.beta != 1 { bias = try l.plan.linear(bias, alpha: form.beta, beta: 0) }
      y = try l.plan.add(y, bias, shape)
    }
    if let name = step.residual { y = try l.plan.add(y, try l.float(name), shape) }
    return try l.finish(y, step)
  }

  static func matmul(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let (left, right) = (step.node.inputs[0], step.node.inputs[1])
    let (a, b) = (l.shape(left), l.shape(right))
    let shape = l.shape(step.node.outputs[0])
    guard a.count >= 2, b.count >= 2 else {
      throw .unsupportedForm(
        node: step.node.displayName, op: "MatMul", found: "a vector as a factor",
        expected: "matrices")
    }
    let isLayer = b.count == 2 && (l.constant(right) != nil || l.isConstantInteger(right))
    if isLayer, a.count == 2, let integers = try IntegerRules.layer(l, step, nil) {
      return integers
    }
    // Rows are independent, so all leading axes are one.
    let rows = a.dropLast().reduce(1, *)
    if b.count == 2, l.mode == .training {
      let (x, w) = try l.factors(step.node)
      let y = try l.plan.matmul(
        try l.plan.reshape(x, [rows, b[0]]), w,
        bias: try l.bias(step, outputs: b[1]), [rows, b[1]])
      return try l.finish(try l.plan.reshape(y, shape), step)
    }
    guard isLayer else {
      let (x, w) = try l.factors(step.node)
      let y = try l.plan.matmul(x, w, shape, step.activations)
      return try l.quantized(y, step)
    }
    let x = try l.plan.reshape(try l.float(left), [rows, b[0]])
    let bias = try l.bias(step, outputs: b[1])
    let residual = try step.residual.map { name throws(RuntimeError) in
      try l.plan.reshape(try l.float(name), [rows, b[1]])
    }
    let y = try l.plan.dense(
      x, try l.denseWeight(right, transposed: true), bias, residual: residual, step.activations,
      [rows, b[1]])
    return try l.quantized(try l.plan.reshape(y, shape), step)
  }

  static func batchNorm(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    for output in node.outputs.indices.dropFirst() where !node.outputs[output].isEmpty {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "outputs for its statistics",
        expected: "one output")
    }
    let x = try l.float(node.inputs[0])
    let epsilon = node.float("epsilon", default: 1e-5)
    let scale = try l.parameter(node.inputs[1])
    let shift = try l.parameter(node.inputs[2])
    let mean = try l.statistic(node.inputs[3])
    let variance = try l.statistic(node.inputs[4])
    guard l.mode == .training else {
      return .computed(
        try l.plan.batchNorm(
          x, scale: scale, shift: shift, mean: mean, variance: variance, epsilon: epsilon))
    }
    return .computed(
      try l.plan.batchNormTraining(
        x, scale: scale, shift: shift, mean: mean, variance: variance, epsilon: epsilon,
        momentum: node.float("momentum", default: 0.9), relu: step.activations == [.relu]))
  }
}

/// The attributes of a Gemm.
struct GemmForm {
  var alpha: Float
  var beta: Float
  var transposesA: Bool
  var transposesB: Bool
  private var node: Node

  init(_ node: Node) {
    self.node = node
    alpha = node.float("alpha", default: 1)
    beta = node.float("beta", default: 1)
    transposesA = node.int("transA", default: 0) != 0
    transposesB = node.int("transB", default: 0) != 0
  }

  /// True for `x · Wᵀ + bias` with a constant W and one bias an output.
  ///
  /// Training keeps W as the file has it, so there it must lie as `[O, K]` already.
  func isDense(_ l: Lowering) -> Bool {
    guard alpha == 1, beta == 1, !transposesA, transposesB || l.mode == .inference,
      l.constant(node.inputs[1]) != nil || l.isConstantInteger(node.inputs[1])
    else { return false }
    guard let bias = node.input(2) else { return true }
    let outputs = l.shape(node.outputs[0])[1]
    let shape = l.shape(bias)
    return (shape == [outputs] || shape == [1, outputs])
      && (l.constant(bias) != nil || l.isConstantInteger(bias))
  }
}

extension Lowering {
  /// True for a quantized constant.
  func isConstantInteger(_ name: String) -> Bool {
    if case .dequantizedConstant? = value(name) { true } else { false }
  }

  /// The bias of a layer: its own, or the constant that is added behind it.
  func bias(_ step: Step, outputs: Int) throws(RuntimeError) -> PlanValue? {
    if let name = step.bias {
      let value = mode == .training && isWeight(name) ? try parameter(name) : try float(name)
      return try plan.reshape(value, [outputs])
    }
    return try step.node.op == "MatMul"
      ? nil : step.node.input(2).map { name throws(RuntimeError) in try parameter(name) }
  }

  /// A fully connected layer's weight as `[O, K]`.
  func denseWeight(_ name: String, transposed: Bool) throws(RuntimeError) -> PlanValue {
    transposed ? try plan.transpose(try float(name), [1, 0]) : try parameter(name)
  }

  /// Applies a fused QuantizeLinear to what a float kernel made.
  func quantized(_ y: PlanValue, _ step: Step) throws(RuntimeError) -> LoweredValue {
    guard let node = step.quantize else { return .computed(y) }
    return .computed(try plan.quantize(y, try grid(node, valueType: nil)))
  }
}
