internal import BillhookGraph
internal import BillhookTensor

/// Gradients of what works on elements or rows.
enum RowGradients {
  static func activation(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    guard let activation = Activation(node, constant: { b.lowering.constant($0) }) else { return }
    let x = activation.resultTellsSlope ? nil : try b.forward(node.inputs[0])
    try b.accumulate(
      node.inputs[0],
      try b.plan.activationBackward(dy, x, try b.forward(step.output), activation))
  }

  static func softmax(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let y = try b.forward(step.output)
    let form = SoftmaxForm(step.node, opset: b.lowering.graph.opset, shape: y.shape)
    let dx = try b.plan.softmaxBackward(
      try b.plan.reshape(dy, form.shape), try b.plan.reshape(y, form.shape), axis: form.axis)
    try b.accumulate(step.node.inputs[0], try b.plan.reshape(dx, y.shape))
  }

  static func layerNorm(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    let x = try b.forward(node.inputs[0])
    let scale = node.input(1)
    let shift = node.input(2)
    let (dx, dscale, dshift) = try b.plan.layerNormBackward(
      dy, x, scale: try scale.map { name throws(RuntimeError) in try b.forward(name) },
      axis: RowRules.firstAxis(node, rank: x.shape.count),
      epsilon: node.float("epsilon", default: 1e-5),
      subtractMean: node.op == "LayerNormalization", wantsScale: scale.map(b.wants) ?? false,
      wantsShift: shift.map(b.wants) ?? false)
    try b.accumulate(node.inputs[0], dx)
    for case (let name?, let gradient?) in [(scale, dscale), (shift, dshift)] {
      try b.accumulate(name, try b.plan.reshape(gradient, b.lowering.shape(name)))
    }
  }
}
