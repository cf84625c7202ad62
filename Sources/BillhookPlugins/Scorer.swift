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

  init(instance: PluginInstance, score: @escaping Score) {
    descriptor = instance.plugin.descriptor
    self.instance = instance
    function = score
  }

  /// Scores a layer's weight; higher means keep.
  ///
  /// - Parameters:
  ///   - weight: float32, row-major, the layer's own shape (`[O, I, ...]`).
  ///   - mask: 1 = keep, 0 = already pruned, float32, shape of `weight`; nil on the first step.
  /// - Returns: Finite float32 scores in the shape that the granularity fixes: the weight's, `[O]`
  ///   or `[I]`; nil when the plugin skips the layer.
  /// - Throws: ``PluginError``.
  public func score(
    _ layer: LayerContext, granularity: Granularity, weight: Tensor, mask: Tensor? = nil,
    statistics: LayerStatistics = .init()
  ) throws(PluginError) -> Tensor? {
    guard descriptor.granularities.contains(granularity) else {
      throw .unsupportedGranularity(
        plugin: descriptor.id, found: granularity,
        offered: Granularity.allCases.filter { descriptor.granularities.contains($0) })
    }
    try check(layer, weight)
    if let mask { try expect(mask, .float32, weight.shape, "mask") }
    let shape = try scoreShape(layer, granularity, weight.shape)

    let tensors = BorrowedTensors()
    var input = try scoreInput(layer, weight.shape, statistics, tensors)
    input.granularity = granularity.code
    input.weight = tensors.input(weight)
    if descriptor.needs.contains(.previousMask) { input.mask = tensors.input(mask) }

    var scores = Tensor(zeros: shape)
    let status = try scores.withUnsafeMutableElements(of: Float.self) {
      (out) throws(PluginError) in
      out.update(repeating: .nan)
      let view = tensors.view(out.baseAddress, .float32, shape: shape)
      let status = try layer.withLayer(shape: weight.shape) { (cLayer) throws(PluginError) in
        try instance.context(layer).run("score") { call in
          withUnsafePointer(to: &input) { function(instance.pointer, call, cLayer, $0, view) }
        }
      }
      if status != BH_SKIP { try checkFinite(UnsafeBufferPointer(out), from: 0, layer) }
      return status
    }
    return status == BH_SKIP ? nil : scores
  }

  // MARK: - Checks that whole layers and pieces share

  func check(_ layer: LayerContext, _ weight: Tensor) throws(PluginError) {
    guard weight.elementType == .float32 else {
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
      _ need: Needs, _ tensor: Tensor?, _ count: Int?
    ) throws(PluginError) -> UnsafePointer<bh_tensor>? {
      guard descriptor.needs.contains(need) else { return nil }
      let name = need.names[0]
      guard let tensor else {
        throw .missingStatistic(plugin: descriptor.id, layer: layer.name, statistic: name)
      }
      guard let count else {
        throw wrong(name, "of a layer without such an axis", "of a layer with channels")
      }
      try expect(tensor, .float32, [count], name)
      return tensors.input(tensor)
    }
    var input = bh_score_in()
    input.struct_size = UInt32(MemoryLayout<bh_score_in>.size)
    input.in_abs_mean = try needed(
      .inputAbsMean, statistics.inputAbsMean, layer.inputCount(shape))
    input.in_sq_norm = try needed(
      .inputSquaredNorm, statistics.inputSquaredNorm, layer.inputCount(shape))
    input.out_abs_mean = try needed(
      .outputAbsMean, statistics.outputAbsMean, layer.outputCount(shape))
    input.out_zero_fraction = try needed(
      .outputZeroFraction, statistics.outputZeroFraction, layer.outputCount(shape))
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
    _ layer: LayerContext, _ granularity: Granularity, _ shape: [Int]
  ) throws(PluginError) -> [Int] {
    let count =
      switch granularity {
      case .element: nil as Int?
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

  private func expect(
    _ tensor: Tensor, _ type: ElementType, _ shape: [Int], _ name: String
  ) throws(PluginError) {
    guard tensor.elementType == type, tensor.shape == shape else {
      throw wrong(name, "\(tensor.elementType) \(tensor.shape)", "\(type) \(shape)")
    }
  }

  private func wrong(_ argument: String, _ found: String, _ expected: String) -> PluginError {
    .wrongTensor(
      plugin: descriptor.id, function: "score", argument: argument, found: found,
      expected: expected)
  }
}
