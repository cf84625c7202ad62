internal import BillhookPlugins
internal import BillhookSDK

/// One tensor for a quantizer.
struct QuantizerCase: Sendable {
  var layer: LayerCase
  var maxBits: UInt32 = 8
  /// Whether the range of the values is far from symmetric.
  var isLopsided = false

  init(_ layer: LayerCase) { self.layer = layer }

  var isWeight: Bool { layer.role == UInt32(BH_ROLE_WEIGHT) }

  var label: String { "\(isWeight ? "weight" : "activation") \(layer.shape)" }

  static let ordinary: [QuantizerCase] = {
    var activation = QuantizerCase(LayerCase([4, 6]))
    activation.layer.role = UInt32(BH_ROLE_ACTIVATION)
    activation.layer.outAxis = -1
    activation.layer.inAxis = 1
    return [
      QuantizerCase(LayerCase([6, 5, 3, 3])), QuantizerCase(LayerCase([12, 64])), activation,
    ]
  }()

  static let odd: [QuantizerCase] = [
    [0, 4], [4, 0], [1, 1], [7, 11, 1, 5], [1, 9], [9, 1], [13], [3, 5, 7], [5, 33], [2, 31],
  ].map { QuantizerCase(LayerCase($0)) }

  func exercise(_ numbers: Numbers) -> Exercise {
    Exercise(label: label, kind: layer.role) { instance, surroundings in
      try run(instance, values(numbers), surroundings).observation
    }
  }

  func values(_ numbers: Numbers) -> [Float] {
    let stream = UInt64(51 + layer.index)
    return numbers.signed(layer.count, stream: stream).map { isLopsided ? $0 * 0.5 + 2 : $0 }
  }

  // MARK: - The functions, one after the other

  /// Everything that quantizing a tensor gives.
  struct Run {
    var observation: Observation
    var layout = bh_qlayout()
    /// "scale", "zero_point" and "table", as far as the formula has them.
    var parameters: [OutputBytes] = []
    var stored: OutputBytes?
    var restored: OutputBytes?

    subscript(_ name: String) -> OutputBytes? { parameters.first { $0.name == name } }
  }

  /// Layout, calibrate, quantize and dequantize, as far as they succeed; a skipped tensor ends with
  /// the layout.
  func run(
    _ instance: ProbeInstance, _ x: [Float], _ surroundings: Surroundings
  ) throws -> Run {
    let (layout, first) = try self.layout(instance, surroundings)
    var run = Run(observation: first, layout: layout)
    guard first.status == BH_OK else { return run }
    try checkUsable(layout)
    if !isWeight {
      let seen = try observe(instance, x, surroundings)
      if let seen, seen.isFailure {
        run.observation = seen
        return run
      }
    }
    func add(_ next: Observation) -> Bool {
      var next = next
      next.outputs = run.observation.outputs + next.outputs
      next.record = run.observation.record + next.record
      next.hasChangedFloatingPoint =
        next.hasChangedFloatingPoint || run.observation.hasChangedFloatingPoint
      run.observation = next
      return !next.isFailure
    }
    if layout.formula != UInt32(BH_QFORMULA_OPAQUE) {
      let calibrated = try calibrate(instance, layout, x, surroundings)
      guard add(calibrated) else { return run }
      run.parameters = calibrated.outputs
    }
    let quantized = try quantize(instance, layout, run.parameters, x, surroundings)
    guard add(quantized), let q = quantized["q"] else { return run }
    run.stored = q
    let restored = try dequantize(instance, layout, run.parameters, q, surroundings)
    guard add(restored) else { return run }
    run.restored = restored["x"]
    return run
  }

  func layout(
    _ instance: ProbeInstance, _ surroundings: Surroundings
  ) throws -> (bh_qlayout, Observation) {
    let arena = ProbeArena(surroundings)
    var layout = bh_qlayout()
    layout.max_bits = maxBits
    let structure = Structure(layout, isNewer: surroundings.isNewer)
    structure.pointer.pointee.max_bits = maxBits
    let cLayer = try layer.structure(arena)
    arena.seal()
    let function = instance.plugin.table(bh_quantizer()).layout
    let observation = instance.call(surroundings, layer: layer.context) { call in
      function?(instance.pointer, call, cLayer, structure.pointer) ?? BH_E_UNSUPPORTED
    }
    _ = arena.results()
    layout = structure.pointer.pointee
    layout.struct_size = UInt32(MemoryLayout<bh_qlayout>.size)
    return (layout, observation)
  }

  func observe(
    _ instance: ProbeInstance, _ x: [Float], _ surroundings: Surroundings
  ) throws -> Observation? {
    guard let function = instance.plugin.table(bh_quantizer()).observe else { return nil }
    let arena = ProbeArena(surroundings)
    let tensor: UnsafePointer<bh_tensor> = try arena.input(x, shape: layer.shape)
    let cLayer = try layer.structure(arena)
    arena.seal()
    var observation = instance.call(surroundings, layer: layer.context) { call in
      function(instance.pointer, call, cLayer, tensor)
    }
    observation.outputs = arena.results()
    return observation
  }

  func calibrate(
    _ instance: ProbeInstance, _ layout: bh_qlayout, _ x: [Float], _ surroundings: Surroundings
  ) throws -> Observation {
    let arena = ProbeArena(surroundings)
    let values = isWeight ? x : [x.min() ?? 0, x.max() ?? 0]
    let tensor: UnsafePointer<bh_tensor> = try arena.input(
      values, shape: isWeight ? layer.shape : [2])
    let shape = scaleShape(layout)
    var parameters = bh_qparams()
    parameters.scale = try arena.output("scale", shape: shape)
    if layout.formula == UInt32(BH_QFORMULA_AFFINE) {
      parameters.zero_point = try arena.output(
        "zero_point", shape: shape, code: Int32(layout.q_code), bits: 8)
    } else {
      parameters.table = try arena.output("table", shape: [Int(layout.qmax) + 1])
    }
    let cParameters = try arena.structure(parameters)
    let cLayout = try arena.structure(layout)
    let cLayer = try layer.structure(arena)
    arena.seal()
    let function = instance.plugin.table(bh_quantizer()).calibrate
    var observation = instance.call(surroundings, layer: layer.context) { call in
      function?(instance.pointer, call, cLayer, cLayout, tensor, cParameters) ?? BH_E_UNSUPPORTED
    }
    observation.outputs = arena.results()
    return observation
  }

  func quantize(
    _ instance: ProbeInstance, _ layout: bh_qlayout, _ parameters: [OutputBytes], _ x: [Float],
    _ surroundings: Surroundings
  ) throws -> Observation {
    let function = instance.plugin.table(bh_quantizer()).quantize
    return try call(instance, layout, parameters, surroundings) { arena in
      let tensor: UnsafePointer<bh_tensor> = try arena.input(x, shape: layer.shape)
      let isOpaque = layout.formula == UInt32(BH_QFORMULA_OPAQUE)
      let out = try arena.output(
        "q", shape: isOpaque ? opaqueShape(layout) : layer.shape,
        code: isOpaque ? BH_CODE_UINT : Int32(layout.q_code), bits: 8)
      return { instance, call, cLayer, cLayout, cParameters in
        function?(instance, call, cLayer, cLayout, cParameters, tensor, out) ?? BH_E_UNSUPPORTED
      }
    }
  }

  func dequantize(
    _ instance: ProbeInstance, _ layout: bh_qlayout, _ parameters: [OutputBytes], _ q: OutputBytes,
    _ surroundings: Surroundings
  ) throws -> Observation {
    let function = instance.plugin.table(bh_quantizer()).dequantize
    return try call(instance, layout, parameters, surroundings) { arena in
      let tensor = try arena.input(q)
      let out = try arena.output("x", shape: layer.shape)
      return { instance, call, cLayer, cLayout, cParameters in
        function?(instance, call, cLayer, cLayout, cParameters, tensor, out) ?? BH_E_UNSUPPORTED
      }
    }
  }

  /// Nil when the plugin has none.
  func fakeQuantize(
    _ instance: ProbeInstance, _ layout: bh_qlayout, _ parameters: [OutputBytes], _ x: [Float],
    _ surroundings: Surroundings
  ) throws -> Observation? {
    guard let function = instance.plugin.table(bh_quantizer()).fake_quant else { return nil }
    return try call(instance, layout, parameters, surroundings) { arena in
      let tensor: UnsafePointer<bh_tensor> = try arena.input(x, shape: layer.shape)
      let out = try arena.output("y", shape: layer.shape)
      return { instance, call, cLayer, cLayout, cParameters in
        function(instance, call, cLayer, cLayout, cParameters, tensor, out)
      }
    }
  }

  /// Nil when the plugin has none.
  func fakeQuantizeGradient(
    _ instance: ProbeInstance, _ layout: bh_qlayout, _ parameters: [OutputBytes], _ x: [Float],
    _ gradient: [Float], _ surroundings: Surroundings
  ) throws -> Observation? {
    guard let function = instance.plugin.table(bh_quantizer()).fake_quant_grad else { return nil }
    return try call(instance, layout, parameters, surroundings) { arena in
      let tensor: UnsafePointer<bh_tensor> = try arena.input(x, shape: layer.shape)
      let above: UnsafePointer<bh_tensor> = try arena.input(gradient, shape: layer.shape)
      let out = try arena.output("grad_x", shape: layer.shape)
      return { instance, call, cLayer, cLayout, cParameters in
        function(instance, call, cLayer, cLayout, cParameters, tensor, above, out)
      }
    }
  }

  private typealias Function = (
    UnsafeMutableRawPointer?, UnsafeMutablePointer<bh_call>, UnsafePointer<bh_layer>,
    UnsafePointer<bh_qlayout>, UnsafePointer<bh_qparams>
  ) -> bh_status

  private func call(
    _ instance: ProbeInstance, _ layout: bh_qlayout, _ parameters: [OutputBytes],
    _ surroundings: Surroundings, _ prepare: (ProbeArena) throws -> Function
  ) throws -> Observation {
    let arena = ProbeArena(surroundings)
    func parameter(_ name: String) throws -> UnsafePointer<bh_tensor>? {
      try parameters.first { $0.name == name }.map { try arena.input($0) }
    }
    var all = bh_qparams()
    all.scale = try parameter("scale")
    all.zero_point = try parameter("zero_point")
    all.table = try parameter("table")
    let cParameters = try arena.structure(all)
    let cLayout = try arena.structure(layout)
    let cLayer = try layer.structure(arena)
    let function = try prepare(arena)
    arena.seal()
    var observation = instance.call(surroundings, layer: layer.context) { call in
      function(instance.pointer, call, cLayer, cLayout, cParameters)
    }
    observation.outputs = arena.results()
    return observation
  }

  // MARK: - Shapes

  /// A layout that the host would refuse is another test's; this one cannot go on with it.
  func checkUsable(_ layout: bh_qlayout) throws {
    if let problem = problem(layout) { throw NotApplicable("the layout is illegal: \(problem)") }
  }

  /// What is wrong with a layout; nil for a legal one.
  func problem(_ layout: bh_qlayout) -> String? {
    let axes = -1..<layer.shape.count
    guard layout.formula <= UInt32(BH_QFORMULA_OPAQUE) else { return "formula \(layout.formula)" }
    guard layout.granularity <= UInt32(BH_QGRANULARITY_BLOCK) else {
      return "granularity \(layout.granularity)"
    }
    guard axes.contains(Int(layout.axis)) else { return "axis \(layout.axis) of \(layer.shape)" }
    if layout.granularity == UInt32(BH_QGRANULARITY_AXIS), layout.axis < 0 { return "axis -1" }
    if layout.granularity == UInt32(BH_QGRANULARITY_BLOCK), layout.block_size < 1 {
      return "block_size \(layout.block_size)"
    }
    if layout.formula == UInt32(BH_QFORMULA_OPAQUE) {
      return layout.block_bytes < 1 || layout.block_size < 1
        ? "block_bytes \(layout.block_bytes), block_size \(layout.block_size)" : nil
    }
    let bits = Int(layout.q_bits)
    guard (1...8).contains(bits) else { return "q_bits \(bits)" }
    let isSigned = Int32(layout.q_code) == BH_CODE_INT
    guard isSigned || Int32(layout.q_code) == BH_CODE_UINT else { return "q_code \(layout.q_code)" }
    let low = isSigned ? -(Int64(1) << Int64(bits - 1)) : 0
    let high = isSigned ? (Int64(1) << Int64(bits - 1)) - 1 : (Int64(1) << Int64(bits)) - 1
    guard low <= layout.qmin, layout.qmin < layout.qmax, layout.qmax <= high else {
      return "qmin \(layout.qmin), qmax \(layout.qmax) for \(bits) bits"
    }
    return nil
  }

  func scaleShape(_ layout: bh_qlayout) -> [Int] {
    let axis = Int(layout.axis)
    let block = max(Int(layout.block_size), 1)
    switch Int32(layout.granularity) {
    case BH_QGRANULARITY_AXIS: return [layer.shape[axis]]
    case BH_QGRANULARITY_BLOCK:
      guard axis >= 0 else { return [(layer.count + block - 1) / block] }
      var shape = layer.shape
      shape[axis] = (shape[axis] + block - 1) / block
      return shape
    default: return []
    }
  }

  private func opaqueShape(_ layout: bh_qlayout) -> [Int] {
    let block = Int(layout.block_size)
    return [(layer.count + block - 1) / block, Int(layout.block_bytes)]
  }

  /// The index of the scale of each element.
  func scaleIndices(_ layout: bh_qlayout) -> [Int] {
    let shape = layer.shape
    let axis = Int(layout.axis)
    let block = max(Int(layout.block_size), 1)
    guard Int32(layout.granularity) != BH_QGRANULARITY_TENSOR else {
      return [Int](repeating: 0, count: layer.count)
    }
    let isBlock = Int32(layout.granularity) == BH_QGRANULARITY_BLOCK
    if axis < 0 { return (0..<layer.count).map { $0 / block } }
    let inner = shape[(axis + 1)...].reduce(1, *)
    let scales = isBlock ? (shape[axis] + block - 1) / block : shape[axis]
    return (0..<layer.count).map { index in
      let position = index / inner % shape[axis]
      guard isBlock else { return position }
      let outer = index / inner / shape[axis]
      return (outer * scales + position / block) * inner + index % inner
    }
  }

  // MARK: - For tests of states

  static func observeOrdinary(
    _ instance: ProbeInstance, _ numbers: Numbers, batches: [Int]?
  ) throws {
    guard let activation = ordinary.first(where: { !$0.isWeight }) else { return }
    for batch in batches ?? [0, 1] {
      let values = activation.values(Numbers(seed: numbers.seed &+ UInt64(batch)))
      _ = try activation.observe(instance, values, Surroundings())
    }
  }

  static func answerOrdinary(
    _ instance: ProbeInstance, _ numbers: Numbers
  ) throws -> Observation {
    guard let activation = ordinary.first(where: { !$0.isWeight }) else {
      throw NotApplicable("no tensor suits the plugin")
    }
    let (layout, observation) = try activation.layout(instance, Surroundings())
    guard observation.status == BH_OK, layout.formula == UInt32(BH_QFORMULA_AFFINE) else {
      return observation
    }
    try activation.checkUsable(layout)
    return try activation.calibrate(instance, layout, activation.values(numbers), Surroundings())
  }
}
