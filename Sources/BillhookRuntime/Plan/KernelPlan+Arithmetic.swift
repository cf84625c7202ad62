internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// Pooling, activations and arithmetic.
extension KernelPlan {
  func pool(
    _ x: PlanValue, _ kind: Int32, _ window: Window, _ shape: [Int], training: Bool
  ) throws(RuntimeError) -> PlanValue {
    var window = window.kernelForm()
    return try made(
      bh_plan_pool(plan, x.id, kind, &window, shape.int64, training ? 1 : 0), shape, x.elementType)
  }

  /// Max pooling for inference with what cuts its results and the quantization behind it.
  ///
  /// - Parameter target: One scale for the whole tensor, or nil for floats.
  func maxPool(
    _ x: PlanValue, _ window: Window, _ bounds: ClosedRange<Float>, _ target: QuantizationGrid?,
    _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    var window = window.kernelForm()
    let y = withQuantization(target) {
      bh_plan_max_pool(plan, x.id, &window, shape.int64, bounds.kernelForm, $0)
    }
    return try made(y, shape, target?.elementType ?? .float32)
  }

  /// A convolution with the max pooling behind it.
  func convPool(
    _ x: PlanValue, _ w: PlanValue, _ bias: PlanValue?, _ window: Convolving, _ pooling: Window,
    _ bounds: ClosedRange<Float>, _ target: QuantizationGrid?, _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    var window = window.kernelForm
    var pooling = pooling.kernelForm()
    let y = withQuantization(target) {
      bh_plan_conv_pool(
        plan, x.id, w.id, bias.id, &window, &pooling, shape.int64, bounds.kernelForm, $0)
    }
    return try made(y, shape, target?.elementType ?? .float32)
  }

  private func withQuantization(
    _ target: QuantizationGrid?, _ body: (UnsafePointer<bh_quantization>?) -> Int32
  ) -> Int32 {
    guard let target else { return body(nil) }
    var quantization = bh_quantization(
      type: target.elementType.rawValue, scale: target.scale[0], zero_point: target.zeroPoint[0])
    return body(&quantization)
  }

  func poolBackward(
    _ dy: PlanValue, _ y: PlanValue, _ x: PlanValue
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_pool_backward(plan, dy.id, y.id, x.id), x.shape)
  }

  func activation(
    _ x: PlanValue, _ activations: [Activation]
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_activation(
        plan, x.id, activations.map(\.kernelForm), Int32(activations.count)), x.shape)
  }

  func binary(
    _ a: PlanValue, _ b: PlanValue, _ kind: Int32, _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_binary(plan, a.id, b.id, kind, Int32(shape.count), shape.int64), shape)
  }

  func prelu(_ x: PlanValue, _ slope: PlanValue) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_prelu(plan, x.id, slope.id), x.shape)
  }

  func add(_ a: PlanValue, _ b: PlanValue, _ shape: [Int]) throws(RuntimeError) -> PlanValue {
    try binary(a, b, BH_BINARY_ADD, shape)
  }

  func linear(_ x: PlanValue, alpha: Float, beta: Float) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_linear(plan, x.id, alpha, beta), x.shape)
  }

  func reduce(_ x: PlanValue, to shape: [Int]) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_reduce_to(plan, x.id, Int32(shape.count), shape.int64), shape)
  }

  /// - Parameter axes: Neighbours, ascending.
  func reduce(
    _ x: PlanValue, _ kind: Int32, axes: Range<Int>, _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_reduce(
        plan, x.id, kind, Int32(axes.lowerBound), Int32(axes.count), Int32(shape.count),
        shape.int64), shape)
  }

  func softmax(_ x: PlanValue, axis: Int) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_softmax(plan, x.id, Int32(axis)), x.shape)
  }

  func logSoftmax(_ x: PlanValue, axis: Int) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_log_softmax(plan, x.id, Int32(axis)), x.shape)
  }

  func dropout(
    _ x: PlanValue, ratio: Float, seed: UInt64, stream: UInt64
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_dropout(plan, x.id, ratio, seed, stream), x.shape)
  }

  func dropoutBackward(_ dy: PlanValue, _ y: PlanValue) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_dropout_backward(plan, dy.id, y.id), y.shape)
  }
}

extension ClosedRange<Float> {
  fileprivate var kernelForm: bh_bounds { bh_bounds(low: lowerBound, high: upperBound) }
}
