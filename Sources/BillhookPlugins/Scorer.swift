internal import BillhookKernels
internal import BillhookSDK
public import BillhookTensor

/// An instance of a scorer plugin. Use it on one thread at a time.
public final class Scorer {
  typealias Score =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_layer>?,
      UnsafePointer<bh_score_in>?, UnsafePointer<bh_tensor>?
    ) -> bh_status

  public let descriptor: PluginDescriptor
  let instance: PluginInstance
  let function: Score
  let functions: bh_scorer
  let pieceBuffers = PieceBuffers()

  init(instance: PluginInstance, score: @escaping Score, functions: bh_scorer) {
    descriptor = instance.plugin.descriptor
    self.instance = instance
    function = score
    self.functions = functions
  }

  /// Scores a layer's weight; higher means keep.
  ///
  /// - Parameters:
  ///   - block: Of ``Granularity/block``: output channels and inputs of a block, each at least 1.
  ///   - weight: Floating-point, row-major, the layer's own shape (`[O, I, ...]`). The plugin gets
  ///     it as it is when its descriptor's `weightTypes` has the type, else as float32.
  ///   - mask: 1 = keep, 0 = already pruned, float32, shape of `weight`; nil on the first step.
  /// - Returns: Finite float32 scores in the shape that the granularity fixes: the weight's, `[O]`,
  ///   `[I]`, or the number of blocks along the output channels and along the inputs; nil when the
  ///   plugin skips the layer.
  /// - Throws: ``PluginError``.
  public func score(
    _ layer: LayerContext, granularity: Granularity, block: BlockShape? = nil, weight: Tensor,
    mask: Tensor? = nil, statistics: LayerStatistics = .init()
  ) throws(PluginError) -> Tensor? {
    guard descriptor.granularities.contains(granularity) else {
      throw .unsupportedGranularity(
        plugin: descriptor.id, found: granularity,
        offered: Granularity.allCases.filter { descriptor.granularities.contains($0) })
    }
    let weight =
      descriptor.weightTypes.contains(weight.elementType) ? weight : weight.asFloat32()
    try check(layer, weight)
    if let mask { try expect(mask, .float32, weight.shape, "mask") }
    let shape = try scoreShape(layer, granularity, block, weight.shape)

    let tensors = BorrowedTensors(for: instance)
    var input = try scoreInput(layer, weight.shape, statistics, tensors)
    input.granularity = granularity.code
    if let block, granularity == .block {
      input.block = (Int64(block.outputs), Int64(block.inputs))
    }
    input.weight = tensors.input(weight)
    if descriptor.needs.contains(.previousMask) { input.mask = tensors.input(mask) }

    var scores = Tensor(unwritten: shape)
    let status = try scores.withUnsafeMutableElements(of: Float.self) {
      (out) throws(PluginError) in
      let view = tensors.view(out.baseAddress, .float32, shape: shape)
      let cLayer = layer.cLayer(shape: weight.shape, in: tensors.memory)
      let cInput = tensors.memory.place(input)
      let status = try instance.context(layer).run("score") { call in
        withExtendedLifetime(tensors) { function(instance.pointer, call, cLayer, cInput, view) }
      }
      if status != BH_SKIP { try checkFinite(UnsafeBufferPointer(out), from: 0, layer) }
      return status
    }
    return status == BH_SKIP ? nil : scores
  }

  // MARK: - Checks that whole layers and pieces share

  func check(_ layer: LayerContext, _ weight: Tensor) throws(PluginError) {
    guard descriptor.weightTypes.contains(weight.elementType) else {
      throw wrong("weight", "\(weight.elementType)", "float32")
    }
    let axes = -1..<max(weight.rank, 0)
    guard axes.contains(layer.outAxis), axes.contains(layer.inAxis), layer.groups >= 1 else {
      throw wrong(
        "layer", "out axis \(layer.outAxis), in axis \(layer.inAxis), \(layer.groups) groups",
        "axes of \(weight.shape) or -1, and at least 1 group")
    }
  }

  /// The statistics that the plugin needs, and no other.
  func scoreInput(
    _ layer: LayerContext, _ shape: [Int], _ statistics: LayerStatistics,
    _ tensors: BorrowedTensors
  ) throws(PluginError) -> bh_score_in {
    func needed(
      _ need: Needs, _ tensor: Tensor?, _ wanted: @autoclosure () -> [Int]?
    ) throws(PluginError) -> UnsafePointer<bh_tensor>? {
      guard descriptor.needs.contains(need) else { return nil }
      let name = need.names[0]
      guard let tensor else {
        throw .missingStatistic(plugin: descriptor.id, layer: layer.name, statistic: name)
      }
      guard let wanted = wanted() else {
        throw wrong(name, "of a layer without such an axis", "of a layer with channels")
      }
      try expect(tensor, .float32, wanted, name)
      return tensors.input(tensor)
    }
    var input = bh_score_in()
    input.struct_size = UInt32(MemoryLayout<bh_score_in>.size)
    input.in_abs_mean = try needed(
      .inputAbsMean, statistics.inputAbsMean, layer.inputCount(shape).map { [$0] })
    input.in_sq_norm = try needed(
      .inputSquaredNorm, statistics.inputSquaredNorm, layer.inputCount(shape).map { [$0] })
    input.out_abs_mean = try needed(
      .outputAbsMean, statistics.outputAbsMean, layer.outputCount(shape).map { [$0] })
    input.out_zero_fraction = try needed(
      .outputZeroFraction, statistics.outputZeroFraction, layer.outputCount(shape).map { [$0] })
    input.in_gram = try needed(
      .inputGram, statistics.inputGram, layer.rowCount(shape).map { [layer.groups, $0, $0] })
    input.grad = try needed(.weightGradient, statistics.weightGradient, shape)
    input.n_samples = statistics.sampleCount
    return input
  }

  func checkFinite(
    _ scores: UnsafeBufferPointer<Float>, from first: Int, _ layer: LayerContext
  ) throws(PluginError) {
    guard bh_count_nonfinite_f32(scores.baseAddress, Int64(scores.count)) != 0,
      let index = firstNotFinite(scores)
    else { return }
    throw .wrongResult(
      plugin: descriptor.id, function: "score", layer: layer.name,
      result: "score \(first + index)", found: "\(scores[index])", expected: "written and finite")
  }

  private func scoreShape(
    _ layer: LayerContext, _ granularity: Granularity, _ block: BlockShape?, _ shape: [Int]
  ) throws(PluginError) -> [Int] {
    if granularity == .block {
      guard let block, block.outputs >= 1, block.inputs >= 1 else {
        throw wrong("block", block.map { "\($0)" } ?? "missing", "two sizes of at least 1")
      }
      guard let outputs = layer.outputCount(shape), let inputs = layer.rowCount(shape) else {
        throw wrong("layer \"\(layer.name)\"", "without output channels", "one that has them")
      }
      return [
        (outputs + block.outputs - 1) / block.outputs, (inputs + block.inputs - 1) / block.inputs,
      ]
    }
    let count =
      switch granularity {
      case .element, .block: nil as Int?
      case .outputChannel: layer.outputCount(shape)
      case .inputChannel: layer.inputCount(shape)
      }
    guard granularity != .element else { return shape }
    guard let count else {
      throw wrong(
        "layer \"\(layer.name)\"", "without \(granularity.rawValue)s", "one that has them")
    }
    return [count]
  }

  func expect(
    _ tensor: Tensor, _ type: ElementType, _ shape: [Int], _ name: String
  ) throws(PluginError) {
    guard tensor.elementType == type, tensor.shape == shape else {
      throw wrong(name, "\(tensor.elementType) \(tensor.shape)", "\(type) \(shape)")
    }
  }

  func wrong(
    _ argument: String, _ found: String, _ expected: String, function: String = "score"
  ) -> PluginError {
    .wrongTensor(
      plugin: descriptor.id, function: function, argument: argument, found: found,
      expected: expected)
  }
}
