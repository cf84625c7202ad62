internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor
internal import OrderedCollections

extension QuantizationStage {
  /// Scale and zero point of one activation.
  private struct Activation {
    var range: (minimum: Float, maximum: Float)
    var scale: Float
    /// The names of the initializers.
    var inputs: [String]
  }

  /// Puts QuantizeLinear and DequantizeLinear behind the quantized activations, and in front of
  /// weights and biases.
  mutating func makeStatic(data: Dataset, progress: (any ProgressReporting)?) throws {
    let floats = try unquantizedLayers()
    graph = graph.movingActivationsBehindPooling(of: floats, names: &names)
    let placement = QuantizationPlacement(graph, layers: Set(layers.map(\.layer.nodeIndex)))
    let ranges = try calibrate(placement, data: data, progress: progress)
    var activations: [String: Activation] = [:]
    for value in placement.values where placement.roots[value] == value {
      activations[value] = try activation(value, ranges[value]!, placement)
    }
    func chosen(_ value: String) -> Activation { activations[placement.roots[value]!]! }
    for index in layers.indices {
      let input = chosen(layers[index].layer.input)
      record.layers[layers[index].recordIndex].inputRange = [
        input.range.minimum, input.range.maximum,
      ]
      var entry = layers[index]
      try quantizeBias(&entry, inputScale: input.scale)
      layers[index] = entry
    }
    placeActivations(placement, keeping: floats) { chosen($0).inputs }
    for entry in dequantizeWeights() { insert(entry.nodes, before: entry.reader) }
    for (reader, node) in biasNodes { insert([node], before: reader) }
  }

  // MARK: - Activations

  /// The range of every root over the calibration data, in constant memory.
  private mutating func calibrate(
    _ placement: QuantizationPlacement, data: Dataset, progress: (any ProgressReporting)?
  ) throws -> [String: (range: (minimum: Float, maximum: Float), shape: [Int])] {
    let data = try data.fitted(to: graph)
    let roots = Set(placement.roots.values)
    var observers: [String: RangeObserver] = [:]
    var shapes: [String: [Int]] = [:]
    for root in roots { observers[root] = RangeObserver(settings.calibration) }
    let quantizer = quantizer
    var watched: [String: LayerContext] = [:]
    if quantizer.observesActivations {
      for root in roots { watched[root] = activationContext(root, placement) }
    }
    let indices = data.sampleIndices(settings.samples, seed: settings.seed)
    let runner = BatchRunner(graph, batchSize: settings.batchSize, observed: roots)
    progress?.begin("calibrate", total: indices.count, unit: "samples")
    var done = 0
    try runner.run(
      data, indices,
      observe: { name, value in
        guard observers[name] != nil else { return }
        shapes[name] = value.shape
        if let context = watched[name] {
          try quantizer.observe(context, values: value.asFloat32())
        }
        value.asFloat32().withUnsafeElements(of: Float.self) { observers[name]!.add($0) }
      },
      body: { batch, _ in
        done += batch.count
        progress?.advance(done, detail: "")
      })
    progress?.end("")
    record.calibrationSamples = indices.count
    var result: [String: (range: (minimum: Float, maximum: Float), shape: [Int])] = [:]
    for root in roots.sorted() {
      guard observers[root]!.isFinite else {
        throw CompressionError.activationNotFinite(value: root)
      }
      result[root] = (observers[root]!.range, shapes[root] ?? [])
    }
    return result
  }

  /// What the plugin is told of an activation: the same while it observes and when it calibrates.
  private func activationContext(
    _ value: String, _ placement: QuantizationPlacement
  ) -> LayerContext {
    LayerContext(
      role: .activation, index: placement.values.firstIndex(of: value) ?? 0, name: value,
      op: "QuantizeLinear", outAxis: -1, inAxis: -1, groups: 1)
  }

  private mutating func activation(
    _ value: String, _ found: (range: (minimum: Float, maximum: Float), shape: [Int]),
    _ placement: QuantizationPlacement
  ) throws -> Activation {
    let context = activationContext(value, placement)
    guard let layout = try quantizer.layout(context, shape: found.shape, weightBits: 8),
      layout.claims.contains([.dequantizeExact, .quantizeExact])
    else {
      throw CompressionError.activationLayout(plugin: quantizer.descriptor.id, value: value)
    }
    let parameters = try quantizer.calibrate(
      context, layout, values: Tensor([found.range.minimum, found.range.maximum]))
    let scale = parameters.scale.floats()[0]
    record.activations.append(
      .init(
        value: value, minimum: found.range.minimum, maximum: found.range.maximum, scale: scale,
        zeroPoint: parameters.zeroPoint.integers()?.first ?? 0))
    return Activation(
      range: found.range, scale: scale,
      inputs: [
        add("\(value)_scale", parameters.scale.reshaped([])),
        add("\(value)_zero_point", parameters.zeroPoint.reshaped([])),
      ])
  }

  /// The output values of layers that stay float and so read what is not rounded.
  private func unquantizedLayers() throws -> Set<String> {
    let quantized = Set(layers.map(\.layer.output))
    return Set(try graph.weightedLayers().map(\.output)).subtracting(quantized)
  }

  /// Inserts a pair behind each quantized value and lets its readers read the pair's output.
  private mutating func placeActivations(
    _ placement: QuantizationPlacement, keeping floats: Set<String>,
    parameters: (String) -> [String]
  ) {
    var renamed: [String: String] = [:]
    var pairs: [String: [Node]] = [:]
    for value in placement.values {
      let integers = names.unused("\(value)_quantized")
      let restored = names.unused("\(value)_dequantized")
      renamed[value] = restored
      pairs[value] = [
        Node(
          "QuantizeLinear", name: names.unused("\(value)_quantize"),
          inputs: [value] + parameters(value), outputs: [integers]),
        Node(
          "DequantizeLinear", name: names.unused("\(value)_dequantize"),
          inputs: [integers] + parameters(value), outputs: [restored]),
      ]
    }
    var nodes = graph.inputs.flatMap { pairs[$0.name] ?? [] }
    for var node in graph.nodes {
      let isFloat = node.outputs.contains { floats.contains($0) }
      if !isFloat { node.inputs = node.inputs.map { renamed[$0] ?? $0 } }
      nodes.append(node)
      nodes += node.outputs.flatMap { pairs[$0] ?? [] }
    }
    graph.nodes = nodes
  }

  // MARK: - Biases

  /// Makes a layer's bias int32 with the scale of its products, so that it is added to their sums.
  ///
  /// Where the bias would leave 32 bits, or a channel's weights are all zero and its scale is
  /// arbitrary, the weight's scale is changed to fit.
  private mutating func quantizeBias(_ entry: inout Layer, inputScale: Float) throws {
    guard entry.layer.op != "MatMul", let name = entry.layer.bias, let bias = graph.constant(name),
      bias.elementType == .float32, bias.count == entry.layer.outputChannels,
      bias.floats().allSatisfy(\.isFinite)
    else { return }
    let values = bias.floats()
    var scales = entry.quantized.scales
    let isDead = entry.deadChannels
    for (channel, value) in values.enumerated() {
      let index = scales.count == 1 ? 0 : channel
      let magnitude = Double(abs(value)) / Double(inputScale)
      // 2^30 leaves room for the products; 2^23 is as exact as the float bias itself.
      let least = magnitude / 0x1p30
      if scales.count > 1, isDead[channel], value != 0 {
        scales[index] = max(Float(magnitude / 0x1p23), .leastNormalMagnitude)
      } else if Double(scales[index]) < least {
        scales[index] = Float(least).nextUp
        record.warnings.append(
          "The scale of the weight \"\(entry.layer.weight)\" was raised so that its bias fits 32 "
            + "bits.")
      }
    }
    let isShared = layers.contains {
      $0.layer.weight == entry.layer.weight && $0.layer.nodeIndex != entry.layer.nodeIndex
    }
    if scales != entry.quantized.scales {
      if isShared { return }
      let quantization = WeightQuantization(quantizer: quantizer, range: nil)
      entry.quantized = try quantization.requantize(
        entry.weight, entry.context, entry.quantized, scales: scales)
      entry.quantized.describe(&record.layers[entry.recordIndex])
    }
    let products = scales.map { inputScale * $0 }
    let integers = values.enumerated().map { channel, value in
      let scale = products[products.count == 1 ? 0 : channel]
      let quotient = (Double(value) / Double(scale)).rounded(.toNearestOrEven)
      return Int32(min(max(quotient, -0x1p31), 0x1p31 - 1))
    }
    let layer = entry.layer
    // Readers other than this layer keep the float bias.
    let isOwn = graph.nodes.reduce(0) { $0 + $1.inputs.count { $0 == name } } == 1
    let scaleShape = entry.quantized.axis == nil ? [] : [products.count]
    let output = isOwn ? name : names.unused("\(layer.output)_bias")
    if isOwn { graph.removeConstant(name) }
    let inputs = [
      add("\(output)_quantized", Tensor(integers)),
      add("\(output)_scale", Tensor(products, shape: scaleShape)),
      add(
        "\(output)_zero_point",
        Tensor([Int32](repeating: 0, count: products.count), shape: scaleShape)),
    ]
    if !isOwn {
      let index = graph.nodes.firstIndex { $0.outputs.contains(layer.output) }!
      graph.nodes[index].inputs[2] = output
    }
    biasNodes.append(
      (
        layer.output,
        Node(
          "DequantizeLinear", name: names.unused("\(output)_dequantize"), inputs: inputs,
          outputs: [output], attributes: scaleShape.isEmpty ? [:] : ["axis": .int(0)])
      ))
  }
}

extension QuantizationStage.Layer {
  /// Which output channels have no weight but zeros.
  fileprivate var deadChannels: [Bool] {
    let channels = layer.outputChannels
    let inner = layer.shape[(layer.outAxis + 1)...].reduce(1, *)
    var result = [Bool](repeating: true, count: channels)
    for (index, value) in weight.floats().enumerated() where value != 0 {
      result[index / inner % channels] = false
    }
    return result
  }
}
