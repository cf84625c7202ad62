internal import BillhookSDK
public import BillhookTensor

/// What a scorer observes, and how it is kept.
extension Scorer {
  /// One layer's part in a batch of calibration samples, which lie along axis 0 of each tensor.
  public struct Observation: Sendable {
    public var input: Tensor?
    /// Before the batch norm and the activation.
    public var output: Tensor?
    /// d(sum of the samples' losses)/d output.
    public var outputGradient: Tensor?

    public init(input: Tensor? = nil, output: Tensor? = nil, outputGradient: Tensor? = nil) {
      self.input = input
      self.output = output
      self.outputGradient = outputGradient
    }
  }

  /// Hands a batch to the plugin, as far as it needs it.
  ///
  /// - Parameters:
  ///   - shape: Of the layer's weight.
  ///   - samplesBefore: Samples that this instance saw before, of `totalSamples`.
  /// - Throws: ``PluginError``, also when something is missing that the plugin needs.
  public func observe(
    _ layer: LayerContext, shape: [Int], _ observation: Observation, samplesBefore: Int,
    totalSamples: Int
  ) throws(PluginError) {
    let needs = descriptor.needs
    guard !needs.isDisjoint(with: .raw) else { return }
    guard let observe = functions.observe else {
      throw .noState(plugin: descriptor.id, function: "observe")
    }
    let tensors = BorrowedTensors(for: instance)
    func needed(
      _ need: Needs, _ tensor: Tensor?
    ) throws(PluginError) -> UnsafePointer<bh_tensor>? {
      guard needs.contains(need) else { return nil }
      guard let tensor else {
        throw .missingStatistic(
          plugin: descriptor.id, layer: layer.name, statistic: need.names[0])
      }
      guard tensor.elementType == .float32, tensor.rank > 0 else {
        throw wrong(
          need.names[0], "\(tensor.elementType) \(tensor.shape)", "float32 with samples first",
          function: "observe")
      }
      return tensors.input(tensor)
    }
    let input = try needed(.rawInput, observation.input)
    let output = try needed(.rawOutput, observation.output)
    let gradient = try needed(.rawOutputGradient, observation.outputGradient)
    var layer = layer
    layer.samples = (samplesBefore, totalSamples)
    try withExtendedLifetime(tensors) { () throws(PluginError) in
      let cLayer = layer.cLayer(shape: shape, in: tensors.memory)
      _ = try instance.context(layer).run("observe") { call in
        observe(instance.pointer, call, cLayer, input, output, gradient)
      }
    }
  }

  /// Forgets what was observed or loaded.
  public func reset() throws(PluginError) { try instance.reset() }

  /// What was observed so far.
  public func save() throws(PluginError) -> SavedState { try instance.save() }

  /// Puts a saved state in place of what was observed; the instance's parameters must be those of
  /// the one that saved it.
  public func load(_ state: SavedState) throws(PluginError) { try instance.load(state) }

  /// Adds what another instance observed.
  public func merge(_ state: SavedState) throws(PluginError) {
    guard let merge = functions.merge else {
      throw .noState(plugin: descriptor.id, function: "merge")
    }
    try instance.reading(state) { (reader) throws(PluginError) in
      try instance.context().run("merge") { merge(instance.pointer, $0, reader) }
    }
  }

  /// Another instance with the same parameters and seed, to observe a share of the data.
  public func sibling() throws(PluginError) -> Scorer {
    try instance.plugin.makeScorer(instance.parameters, seed: instance.seed)
  }
}
