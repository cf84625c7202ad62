internal import BillhookKernels

/// Layers: convolutions, products, normalisations and recurrent ones, with their gradients.
extension KernelPlan {
  func conv(
    _ x: PlanValue, _ w: PlanValue, _ bias: PlanValue?, _ window: Convolving, residual: PlanValue?,
    _ activations: [Activation], _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    var window = window.kernelForm
    return try made(
      bh_plan_conv(
        plan, x.id, w.id, bias.id, &window, residual.id, activations.map(\.kernelForm),
        Int32(activations.count)), shape)
  }

  func convBackwardData(
    _ dy: PlanValue, _ w: PlanValue, _ x: PlanValue, _ window: Convolving
  ) throws(RuntimeError) -> PlanValue {
    var window = window.kernelForm
    return try made(bh_plan_conv_backward_data(plan, dy.id, w.id, x.id, &window), x.shape)
  }

  func convBackwardWeights(
    _ dy: PlanValue, _ x: PlanValue, _ w: PlanValue, _ bias: PlanValue?, _ window: Convolving
  ) throws(RuntimeError) -> (weight: PlanValue, bias: PlanValue?) {
    var window = window.kernelForm
    var dw: Int32 = -1
    var db: Int32 = -1
    try check(
      bh_plan_conv_backward_weights(plan, dy.id, x.id, w.id, bias.id, &window, &dw, &db))
    return (try made(dw, w.shape), db < 0 ? nil : try made(db, bias!.shape))
  }

  func dense(
    _ x: PlanValue, _ w: PlanValue, _ bias: PlanValue?, residual: PlanValue?,
    _ activations: [Activation], _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_dense(
        plan, x.id, w.id, bias.id, residual.id, activations.map(\.kernelForm),
        Int32(activations.count)), shape)
  }

  func denseBackwardData(
    _ dy: PlanValue, _ w: PlanValue, _ x: PlanValue
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_dense_backward_data(plan, dy.id, w.id, x.id), x.shape)
  }

  func denseBackwardWeights(
    _ dy: PlanValue, _ x: PlanValue, _ w: PlanValue, _ bias: PlanValue?
  ) throws(RuntimeError) -> (weight: PlanValue, bias: PlanValue?) {
    var dw: Int32 = -1
    var db: Int32 = -1
    try check(bh_plan_dense_backward_weights(plan, dy.id, x.id, w.id, bias.id, &dw, &db))
    return (try made(dw, w.shape), db < 0 ? nil : try made(db, bias!.shape))
  }

  func deconv(
    _ x: PlanValue, _ w: PlanValue, _ bias: PlanValue?, _ window: Convolving,
    _ activations: [Activation], _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    var window = window.kernelForm
    return try made(
      bh_plan_deconv(
        plan, x.id, w.id, bias.id, &window, shape.int64, activations.map(\.kernelForm),
        Int32(activations.count)), shape)
  }

  func matmul(
    _ a: PlanValue, _ b: PlanValue, bias: PlanValue? = nil, transposeA: Bool = false,
    transposeB: Bool = false, _ shape: [Int], _ activations: [Activation] = []
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_matmul(
        plan, a.id, b.id, bias.id, transposeA ? 1 : 0, transposeB ? 1 : 0,
        activations.map(\.kernelForm), Int32(activations.count)), shape)
  }

  /// Over the axes from `axis` on.
  func layerNorm(
    _ x: PlanValue, scale: PlanValue?, shift: PlanValue?, axis: Int, epsilon: Float,
    subtractMean: Bool
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_layer_norm(
        plan, x.id, scale.id, shift.id, Int32(axis), epsilon, subtractMean ? 1 : 0), x.shape)
  }

  /// - Parameter parts: How many parts of each group have a scale and a shift of their own.
  func groupNorm(
    _ x: PlanValue, scale: PlanValue?, shift: PlanValue?, groups: Int, parts: Int, epsilon: Float,
    _ activations: [Activation]
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_group_norm(
        plan, x.id, scale.id, shift.id, Int64(groups), Int64(parts), epsilon,
        activations.map(\.kernelForm), Int32(activations.count)), x.shape)
  }

  /// The sequence, the last states, and of an LSTM the last cells.
  func recurrent(
    _ form: bh_recurrent, _ x: PlanValue, _ w: PlanValue, _ r: PlanValue, bias: PlanValue?,
    lengths: PlanValue?, state: PlanValue?, cell: PlanValue?, peepholes: PlanValue?
  ) throws(RuntimeError) -> [PlanValue] {
    var form = form
    var last: Int32 = -1
    var lastCell: Int32 = -1
    let y = bh_plan_recurrent(
      plan, &form, x.id, w.id, r.id, bias.id, lengths.id, state.id, cell.id, peepholes.id, &last,
      &lastCell)
    let (d, h) = (Int(form.directions), r.shape[2])
    let (first, second) = (x.shape[0], x.shape[1])
    let isBatchFirst = form.batch_first != 0
    let one = isBatchFirst ? [first, d, h] : [d, second, h]
    var values = [
      try made(y, isBatchFirst ? [first, second, d, h] : [first, d, second, h]),
      try made(last, one),
    ]
    if lastCell >= 0 { values.append(try made(lastCell, one)) }
    return values
  }

  /// Gradients of x, w, r, bias, first state, first cell and peepholes, where wanted and there.
  func recurrentBackward(
    _ y: PlanValue, dy: PlanValue?, lastState: PlanValue?, lastCell: PlanValue?, wanted: [Bool]
  ) throws(RuntimeError) -> [Int32?] {
    let flags = wanted.map { Int32($0 ? 1 : 0) }
    var out = bh_recurrent_gradients(
      dx: flags[0], dw: flags[1], dr: flags[2], d_bias: flags[3], d_state: flags[4],
      d_cell: flags[5], d_peepholes: flags[6])
    try check(bh_plan_recurrent_backward(plan, y.id, dy.id, lastState.id, lastCell.id, &out))
    return [out.dx, out.dw, out.dr, out.d_bias, out.d_state, out.d_cell, out.d_peepholes].map {
      $0 < 0 ? nil : $0
    }
  }

  func batchNorm(
    _ x: PlanValue, scale: PlanValue, shift: PlanValue, mean: PlanValue, variance: PlanValue,
    epsilon: Float
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_batch_norm(plan, x.id, scale.id, shift.id, mean.id, variance.id, epsilon), x.shape)
  }

  func batchNormTraining(
    _ x: PlanValue, scale: PlanValue, shift: PlanValue, mean: PlanValue, variance: PlanValue,
    epsilon: Float, momentum: Float, relu: Bool
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_batch_norm_training(
        plan, x.id, scale.id, shift.id, mean.id, variance.id, epsilon, momentum, relu ? 1 : 0),
      x.shape)
  }

  func batchNormBackward(
    _ y: PlanValue, _ dy: PlanValue, channels: [Int]
  ) throws(RuntimeError) -> (data: PlanValue, scale: PlanValue, shift: PlanValue) {
    var scale: Int32 = -1
    var shift: Int32 = -1
    let data = try made(bh_plan_batch_norm_backward(plan, y.id, dy.id, &scale, &shift), y.shape)
    return (data, try made(scale, channels), try made(shift, channels))
  }
}
