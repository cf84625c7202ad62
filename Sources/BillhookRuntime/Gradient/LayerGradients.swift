internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// Gradients of convolutions, matrix products and batch normalisation.
enum LayerGradients {
  static func conv(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    let l = b.lowering
    let dy = try beforeActivation(b, step, dy)
    let convolving = try Convolving(
      node, weight: l.shape(node.inputs[1]), input: Array(l.shape(node.inputs[0]).dropFirst(2)))
    let x = try b.forward(node.inputs[0])
    let weight = try b.forward(node.inputs[1])
    if b.wants(node.inputs[1]) {
      let bias = try node.input(2).map { name throws(RuntimeError) in try b.forward(name) }
      let (dw, db) = try b.plan.convBackwardWeights(dy, x, weight, bias, convolving)
      try b.accumulate(node.inputs[1], dw)
      if let name = node.input(2), let db { try b.accumulate(name, db) }
    }
    if b.wants(node.inputs[0]) {
      try b.accumulate(node.inputs[0], try b.plan.convBackwardData(dy, weight, x, convolving))
    }
  }

  static func gemm(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    let form = GemmForm(node)
    var dy = try beforeActivation(b, step, dy)
    let (left, right) = (node.inputs[0], node.inputs[1])
    if form.isDense(b.lowering) {
      let x = try b.forward(left)
      let weight = try b.forward(right)
      let bias = try node.input(2).map { name throws(RuntimeError) in try b.forward(name) }
      let (dw, db) = try b.plan.denseBackwardWeights(dy, x, weight, bias)
      try b.accumulate(right, dw)
      if let name = node.input(2), let db { try b.accumulate(name, db) }
      if b.wants(left) {
        try b.accumulate(left, try b.plan.denseBackwardData(dy, weight, x))
      }
      return
    }
    if let name = node.input(2), b.wants(name) {
      let scaled = form.beta == 1 ? dy : try b.plan.linear(dy, alpha: form.beta, beta: 0)
      try b.accumulate(name, try b.plan.reduce(scaled, to: b.lowering.shape(name)))
    }
    if form.alpha != 1 { dy = try b.plan.linear(dy, alpha: form.alpha, beta: 0) }
    let x = try b.forward(left)
    let w = try b.forward(right)
    if b.wants(left) {
      let dx =
        form.transposesA
        ? try b.plan.matmul(w, dy, transposeA: form.transposesB, transposeB: true, x.shape)
        : try b.plan.matmul(dy, w, transposeB: !form.transposesB, x.shape)
      try b.accumulate(left, dx)
    }
    if b.wants(right) {
      let dw =
        form.transposesB
        ? try b.plan.matmul(dy, x, transposeA: true, transposeB: form.transposesA, w.shape)
        : try b.plan.matmul(x, dy, transposeA: !form.transposesA, w.shape)
      try b.accumulate(right, dw)
    }
  }

  static func matmul(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let (left, right) = (step.node.inputs[0], step.node.inputs[1])
    let x = try b.forward(left)
    let w = try b.forward(right)
    let dy = try beforeActivation(b, step, dy)
    if let name = step.bias, b.wants(name) {
      try b.accumulate(name, try b.plan.reduce(dy, to: b.lowering.shape(name)))
    }
    if w.shape.count == 2 {
      // The leading axes of x are rows, as in the forward step.
      let rows = x.shape.dropLast().reduce(1, *)
      let flatGradient = try b.plan.reshape(dy, [rows, w.shape[1]])
      if b.wants(right) {
        let flat = try b.plan.reshape(x, [rows, w.shape[0]])
        try b.accumulate(
          right, try b.plan.matmul(flat, flatGradient, transposeA: true, w.shape))
      }
      if b.wants(left) {
        let dx = try b.plan.matmul(flatGradient, w, transposeB: true, [rows, w.shape[0]])
        try b.accumulate(left, try b.plan.reshape(dx, x.shape))
      }
      return
    }
    let batch = Array(dy.shape.dropLast(2))
    if b.wants(left) {
      let wide = batch + Array(x.shape.suffix(2))
      let dx = try b.plan.matmul(dy, w, transposeB: true, wide)
      try b.accumulate(left, try b.plan.reduce(dx, to: x.shape))
    }
    if b.wants(right) {
      let wide = batch + Array(w.shape.suffix(2))
      let dw = try b.plan.matmul(x, dy, transposeA: true, wide)
      try b.accumulate(right, try b.plan.reduce(dw, to: w.shape))
    }
  }

  static func batchNorm(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    // A ReLU behind it belongs to the kernel, backward too.
    let y = try b.forward(step.output)
    let (dx, dscale, dshift) = try b.plan.batchNormBackward(y, dy, channels: [y.shape[1]])
    try b.accumulate(step.node.inputs[1], dscale)
    try b.accumulate(step.node.inputs[2], dshift)
    try b.accumulate(step.node.inputs[0], dx)
  }

  private static func beforeActivation(
    _ b: Backward, _ step: Step, _ dy: PlanValue
  ) throws(RuntimeError) -> PlanValue {
    guard let activation = step.activations.first else { return dy }
    return try b.plan.activationBackward(dy, nil, try b.forward(step.output), activation)
  }
}
