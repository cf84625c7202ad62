internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// A value of a ``KernelPlan``: its number there, and its plain shape.
struct PlanValue: Equatable {
  let id: Int32
  let shape: [Int]
  let elementType: ElementType
}

/// The kernel core's plan (bh_plan.h) with Swift types and thrown errors; the one place where it is
/// called.
final class KernelPlan {
  let plan: OpaquePointer
  private var hostCalls: [HostCall] = []
  /// The node being lowered, for error messages.
  var currentNode = ""

  init() throws(RuntimeError) {
    guard let plan = bh_plan_new() else { throw .outOfMemory }
    self.plan = plan
  }

  deinit { bh_plan_free(plan) }

  private func failure() -> RuntimeError {
    .kernel(node: currentNode, reason: String(cString: bh_plan_error(plan)))
  }

  func made(
    _ id: Int32, _ shape: [Int], _ type: ElementType = .float32
  ) throws(RuntimeError) -> PlanValue {
    guard id >= 0 else { throw failure() }
    return PlanValue(id: id, shape: shape, elementType: type)
  }

  func check(_ status: Int32) throws(RuntimeError) {
    guard status >= 0 else { throw failure() }
  }

  // MARK: Values from outside

  func input(_ shape: [Int], _ type: ElementType) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_input(plan, type.rawValue, Int32(shape.count), shape.int64), shape, type)
  }

  /// A tensor that never changes: the plan holds it, at most until ``finish()``, and does not copy it.
  func constant(_ tensor: Tensor) throws(RuntimeError) -> PlanValue {
    let type = tensor.elementType
    let isAligned = tensor.withUnsafeBytes {
      Int(bitPattern: $0.baseAddress) % type.byteCount == 0
    }
    let tensor = isAligned ? tensor : tensor.copied()
    let owner = Unmanaged.passRetained(tensor.sharedStorage)
    let id = tensor.withUnsafeBytes {
      bh_plan_lent_constant(
        plan, type.rawValue, Int32(tensor.rank), tensor.shape.int64, $0.baseAddress,
        { owner in if let owner { Unmanaged<Storage>.fromOpaque(owner).release() } },
        owner.toOpaque())
    }
    if id < 0 { owner.release() }
    return try made(id, tensor.shape, type)
  }

  func parameter(_ tensor: Tensor) throws(RuntimeError) -> PlanValue {
    let id = tensor.withUnsafeElements(of: Float.self) {
      bh_plan_parameter(plan, Int32(tensor.rank), tensor.shape.int64, $0.baseAddress)
    }
    return try made(id, tensor.shape)
  }

  // MARK: Layers

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

  // MARK: Pooling, activations, arithmetic

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

  func dropout(
    _ x: PlanValue, ratio: Float, seed: UInt64, stream: UInt64
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_dropout(plan, x.id, ratio, seed, stream), x.shape)
  }

  func dropoutBackward(_ dy: PlanValue, _ y: PlanValue) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_dropout_backward(plan, dy.id, y.id), y.shape)
  }

  /// - Parameter axes: For the last two axes the input's places, and their weights, that make each
  ///   place of the output; at least one.
  func resize(
    _ x: PlanValue, _ axes: [[[(index: Int, weight: Double)]]], _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    var indices: [[Int32]] = []
    var weights: [[Float]] = []
    var taps: [Int] = []
    for rows in axes {
      let count = rows.map(\.count).max() ?? 1
      taps.append(count)
      indices.append(
        rows.flatMap { row in (0..<count).map { Int32(row[min($0, row.count - 1)].index) } })
      weights.append(
        rows.flatMap { row in (0..<count).map { $0 < row.count ? Float(row[$0].weight) : 0 } })
    }
    let id = indices[0].withUnsafeBufferPointer { rowIndices in
      indices[1].withUnsafeBufferPointer { columnIndices in
        weights[0].withUnsafeBufferPointer { rowWeights in
          weights[1].withUnsafeBufferPointer { columnWeights in
            let forms = [
              bh_resize_axis(
                out: Int64(axes[0].count), taps: Int64(taps[0]), indices: rowIndices.baseAddress,
                weights: rowWeights.baseAddress),
              bh_resize_axis(
                out: Int64(axes[1].count), taps: Int64(taps[1]),
                indices: columnIndices.baseAddress, weights: columnWeights.baseAddress),
            ]
            return bh_plan_resize(plan, x.id, forms)
          }
        }
      }
    }
    return try made(id, shape)
  }

  // MARK: Shapes

  func reshape(_ x: PlanValue, _ shape: [Int]) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_reshape(plan, x.id, Int32(shape.count), shape.int64), shape, x.elementType)
  }

  func transpose(_ x: PlanValue, _ permutation: [Int]) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_transpose(plan, x.id, permutation.map { Int32($0) }),
      permutation.map { x.shape[$0] }, x.elementType)
  }

  func concat(_ xs: [PlanValue], axis: Int, _ shape: [Int]) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_concat(plan, xs.map(\.id), Int32(xs.count), Int32(axis)), shape, xs[0].elementType)
  }

  func slice(_ x: PlanValue, from begin: [Int], _ shape: [Int]) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_slice(plan, x.id, begin.int64, shape.int64), shape, x.elementType)
  }

  /// - Parameter places: For each element of the result its place in `x`, negative for `fill`.
  func pick(
    _ x: PlanValue, _ places: [Int], _ shape: [Int], fill: Float
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_pick(plan, x.id, Int32(shape.count), shape.int64, places.int64, fill), shape)
  }

  func pickBackward(
    _ dy: PlanValue, _ y: PlanValue, _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_pick_backward(plan, dy.id, y.id), shape)
  }

  // MARK: Integers

  func quantize(
    _ x: PlanValue, _ grid: QuantizationGrid
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_quantize(
        plan, x.id, grid.elementType.rawValue, grid.scale, grid.zeroPoint, Int64(grid.scale.count),
        Int32(grid.axis)), x.shape, grid.elementType)
  }

  func dequantize(
    _ q: PlanValue, _ grid: QuantizationGrid
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_dequantize(
        plan, q.id, grid.scale, grid.zeroPoint, Int64(grid.scale.count), Int32(grid.axis)),
      q.shape)
  }

  func dynamicQuantize(
    _ x: PlanValue
  ) throws(RuntimeError) -> (integers: PlanValue, scale: PlanValue, zeroPoint: PlanValue) {
    var scale: Int32 = -1
    var zeroPoint: Int32 = -1
    let integers = try made(
      bh_plan_dynamic_quantize(plan, x.id, &scale, &zeroPoint), x.shape, .uint8)
    return (integers, try made(scale, []), try made(zeroPoint, [], .uint8))
  }

  /// `zeroValue`: a value that each run takes the input's zero point from, instead of `zeroPoint`;
  /// `shape`: of the result, behind the max pooling when there is one.
  func integerLayer(
    _ x: PlanValue, zeroPoint: Int32, zeroValue: PlanValue? = nil, weight: Tensor,
    weightZeroPoint: [Int32]?, window: Convolving?, pooling: Window? = nil, output: Requantization,
    _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    let id = output.scale.withUnsafeBufferPointer { scale in
      (output.bias ?? []).withUnsafeBufferPointer { bias in
        weight.withUnsafeBytes { bytes in
          var form = bh_requantize(
            scale: scale.baseAddress, bias: output.bias == nil ? nil : bias.baseAddress,
            activation: output.activation.kernelForm,
            out_type: (output.target?.elementType ?? .float32).rawValue,
            out_scale: output.target?.scale[0] ?? 1,
            out_zero_point: output.target?.zeroPoint[0] ?? 0)
          guard var window = window?.kernelForm else {
            return bh_plan_dense_integer(
              plan, x.id, zeroPoint, zeroValue.id, bytes.baseAddress, weight.elementType.rawValue,
              weightZeroPoint, Int64(weight.shape[0]), &form)
          }
          func made(_ pooling: UnsafePointer<bh_window>?) -> Int32 {
            bh_plan_conv_integer(
              plan, x.id, zeroPoint, zeroValue.id, bytes.baseAddress, weight.elementType.rawValue,
              weightZeroPoint, weight.shape.int64, &window, &form, pooling, shape.int64)
          }
          guard var pooling = pooling?.kernelForm() else { return made(nil) }
          return made(&pooling)
        }
      }
    }
    return try made(id, shape, output.target?.elementType ?? .float32)
  }

  func addInteger(
    _ a: PlanValue, _ aGrid: QuantizationGrid, _ b: PlanValue, _ bGrid: QuantizationGrid,
    _ activation: Activation?, _ target: QuantizationGrid
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_add_integer(
        plan, a.id, aGrid.scale[0], aGrid.zeroPoint[0], b.id, bGrid.scale[0], bGrid.zeroPoint[0],
        activation.kernelForm, target.elementType.rawValue, target.scale[0], target.zeroPoint[0]),
      a.shape, target.elementType)
  }

  // MARK: The host

  /// Adds an operation that Swift computes.
  ///
  /// - Parameters:
  ///   - name: Static text for profiles.
  ///   - shapes: Of its outputs, which are float32.
  ///   - body: Gets a tensor for each input.
  func host(
    _ name: StaticString, _ inputs: [PlanValue], _ shapes: [[Int]],
    _ body: @escaping HostCall.Body
  ) throws(RuntimeError) -> [PlanValue] {
    let call = HostCall(node: currentNode, inputs: inputs, shapes: shapes, body)
    hostCalls.append(call)
    var outputs = shapes.map { _ in Int32(-1) }
    try check(
      bh_plan_host(
        plan, UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self), HostCall.run,
        Unmanaged.passUnretained(call).toOpaque(), Int32(inputs.count), inputs.map(\.id),
        Int32(shapes.count), shapes.map { Int32($0.count) }, shapes.flatMap { $0 }.int64, &outputs))
    var values: [PlanValue] = []
    for (id, shape) in zip(outputs, shapes) { values.append(try made(id, shape)) }
    return values
  }

  /// A gradient in the layout of its parameter.
  func inLayout(of parameter: PlanValue, _ gradient: PlanValue) throws(RuntimeError) -> PlanValue {
    try made(bh_plan_in_layout_of(plan, gradient.id, parameter.id), gradient.shape)
  }

  // MARK: Running

  func keep(_ value: PlanValue) throws(RuntimeError) { try check(bh_plan_keep(plan, value.id)) }
  var position: Int32 { bh_plan_position(plan) }
  /// Packs the constants, letting go of each, and makes the arena. Nothing can be added afterwards.
  func finish() throws(RuntimeError) { try check(bh_plan_finish(plan)) }
  var arenaBytes: Int { Int(bh_plan_arena_bytes(plan)) }
  var residentBytes: Int { Int(bh_plan_resident_bytes(plan)) }
  func bind(_ value: PlanValue, to address: UnsafeRawPointer) {
    _ = bh_plan_bind(plan, value.id, address)
  }
  func run(_ range: Range<Int32>) throws(RuntimeError) {
    guard bh_plan_run(plan, range.lowerBound, range.upperBound) < 0 else { return }
    for call in hostCalls {
      if let failure = call.takeFailure() { throw failure }
    }
    throw failure()
  }
  func read(_ value: PlanValue) throws(RuntimeError) -> Tensor {
    var result = Tensor(zeros: value.shape, value.elementType)
    try read(value, into: &result)
    return result
  }
  func read(_ value: PlanValue, into tensor: inout Tensor) throws(RuntimeError) {
    try check(tensor.withUnsafeMutableBytes { bh_plan_read(plan, value.id, $0.baseAddress) })
  }
  func write(_ value: PlanValue, _ tensor: Tensor) throws(RuntimeError) {
    try check(tensor.withUnsafeBytes { bh_plan_write(plan, value.id, $0.baseAddress) })
  }
  /// A parameter's or gradient's floats in the plan's own layout, padding included.
  func raw(_ value: PlanValue) -> UnsafeMutableBufferPointer<Float> {
    var data: UnsafeMutablePointer<Float>?
    var count: Int64 = 0
    _ = bh_plan_raw(plan, value.id, &data, &count)
    return UnsafeMutableBufferPointer(start: data, count: Int(count))
  }
  /// How often the plan has run from its beginning: what dropout's masks are counted by.
  var runCount: UInt64 {
    get { bh_plan_run_count(plan) }
    set { bh_plan_set_run_count(plan, newValue) }
  }
  func setMomentum(_ momentum: Float?) { bh_plan_set_momentum(plan, momentum ?? .nan) }
  func describe(_ position: Int32) -> String { String(cString: bh_plan_describe(plan, position)) }
}

extension [Int] {
  fileprivate var int64: [Int64] { map(Int64.init) }
}

extension Activation? {
  fileprivate var kernelForm: bh_activation {
    self?.kernelForm ?? bh_activation(kind: BH_ACTIVATION_NONE, alpha: 0, beta: 0)
  }
}

extension PlanValue? {
  var id: Int32 { self?.id ?? BH_PLAN_NONE }
}

extension ClosedRange<Float> {
  fileprivate var kernelForm: bh_bounds { bh_bounds(low: lowerBound, high: upperBound) }
}
