internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// A value of a ``KernelPlan``: its number there, and its plain shape.
struct PlanValue: Equatable {
  let id: Int32
  let shape: [Int]
  let elementType: ElementType
}

/// The kernel core's plan (bh_plan.h) with Swift types and thrown errors. It is called here and in the
/// extensions beside this file, one for each kind of operation.
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
  var int64: [Int64] { map(Int64.init) }
}

extension PlanValue? {
  var id: Int32 { self?.id ?? BH_PLAN_NONE }
}
