internal import BillhookKernels

/// Gradients of what works on elements or rows.
extension KernelPlan {
  /// - Parameters:
  ///   - x: The function's argument; nil where it was not kept because the result tells the slope.
  ///   - y: The function's result.
  func activationBackward(
    _ dy: PlanValue, _ x: PlanValue?, _ y: PlanValue, _ activation: Activation
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_activation_backward(plan, dy.id, x.id, y.id, activation.kernelForm), y.shape)
  }

  func softmaxBackward(
    _ dy: PlanValue, _ y: PlanValue, axis: Int
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_softmax_backward(plan, dy.id, y.id, Int32(axis)), y.shape)
  }

  /// The gradients of ``layerNorm(_:scale:shift:axis:epsilon:subtractMean:)``'s argument, and where
  /// wanted of its scale and shift, each a vector of a row's length.
  func layerNormBackward(
    _ dy: PlanValue, _ x: PlanValue, scale: PlanValue?, axis: Int, epsilon: Float,
    subtractMean: Bool, wantsScale: Bool, wantsShift: Bool
  ) throws(RuntimeError) -> (data: PlanValue, scale: PlanValue?, shift: PlanValue?) {
    var scales = BH_PLAN_NONE
    var shifts = BH_PLAN_NONE
    let dx = withUnsafeMutablePointer(to: &scales) { dscale in
      withUnsafeMutablePointer(to: &shifts) { dshift in
        bh_plan_layer_norm_backward(
          plan, dy.id, x.id, scale.id, Int32(axis), epsilon, subtractMean ? 1 : 0,
          wantsScale ? dscale : nil, wantsShift ? dshift : nil)
      }
    }
    let row = [x.shape[axis...].reduce(1, *)]
    return (
      try made(dx, x.shape), wantsScale ? try made(scales, row) : nil,
      wantsShift ? try made(shifts, row) : nil
    )
  }
}
