internal import BillhookKernels

/// What attention does beside softmax(q · kᵀ) · v.
struct AttentionForm {
  var scale: Float
  /// Scores are brought to `cap · tanh(score / cap)`; 0 leaves them.
  var cap: Float = 0
  /// How many keys lie before the first query, when a query sees no key behind itself.
  var past: Int?
  /// True when a query whose keys are all masked gets zeros, false when it gets NaN.
  var hiddenIsZero = false
  /// True when weights that are no numbers, for whatever reason, count as zeros.
  var undefinedIsZero = false

  fileprivate var kernelForm: bh_attention {
    bh_attention(
      scale: scale, cap: cap, hidden_is_zero: hiddenIsZero ? 1 : 0,
      undefined_is_zero: undefinedIsZero ? 1 : 0, is_causal: past == nil ? 0 : 1,
      past: Int64(past ?? 0))
  }
}

/// Where the heads of a value lie whose channels are turned in pairs.
struct RotaryForm {
  var images: Int
  var heads: Int
  var steps: Int
  var size: Int
  /// How many channels of each head are turned.
  var rotated: Int
  var headsFirst: Bool
  var isInterleaved: Bool

  fileprivate func kernelForm(backward: Bool) -> bh_rotary {
    bh_rotary(
      images: Int64(images), heads: Int64(heads), steps: Int64(steps), size: Int64(size),
      rotated: Int64(rotated), heads_first: headsFirst ? 1 : 0, interleaved: isInterleaved ? 1 : 0,
      backward: backward ? 1 : 0)
  }
}

/// Attention, and the rotation of its inputs.
extension KernelPlan {
  /// - Parameter orders: Of the axes, four numbers for each factor and for the result.
  func attention(
    _ q: PlanValue, _ k: PlanValue, _ v: PlanValue, _ mask: PlanValue?, orders: [Int],
    _ form: AttentionForm, _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    var form = form.kernelForm
    return try made(
      bh_plan_attention(plan, q.id, k.id, v.id, mask.id, orders.map { Int32($0) }, &form), shape)
  }

  /// - Parameter backward: Turns the other way, as the gradient does.
  func rotary(
    _ x: PlanValue, cosines: PlanValue, sines: PlanValue, _ form: RotaryForm,
    backward: Bool = false
  ) throws(RuntimeError) -> PlanValue {
    var form = form.kernelForm(backward: backward)
    return try made(bh_plan_rotary(plan, x.id, cosines.id, sines.id, &form), x.shape)
  }
}
