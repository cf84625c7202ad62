internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor
internal import OrderedCollections

/// A network that is trained as if its weights and activations were quantized already.
///
/// The same layers and values are rounded as static quantization would round (or the weights alone,
/// when the quantizer leaves activations in float32). Weights keep their full precision underneath
/// and are calibrated anew in each step; the range of an activation follows the batches.
///
/// Source: Jacob et al., *Quantization and Training of Neural Networks for Efficient
/// Integer-Arithmetic-Only Inference*, 2017, section 3, arXiv:1712.05877. Our deviation: batch norms
/// are not folded while training; a scale a channel makes that the same for weights.
struct FakeQuantization {
  /// The network with an Identity node in front of the readers of each rounded value.
  let graph: Graph
  /// What the Identity nodes do, by name.
  let substitutions: [String: any ValueSubstitution]

  init(_ network: Graph, quantizer: Quantizer) throws {
    let folded = try network.raisedOpset().foldingBatchNorms().graph
    let probe = LayerContext(
      role: .activation, index: 0, name: "activation", op: "QuantizeLinear", outAxis: -1,
      inAxis: -1, groups: 1)
    let roundsActivations = try quantizer.layout(probe, shape: [1], weightBits: 8) != nil
    var stage = try QuantizationStage(
      folded, quantizer: quantizer,
      settings: QuantizeSettings(mode: roundsActivations ? .static : .weightOnly))
    try stage.quantizeWeights(progress: nil)

    var names = NamePool(network)
    var graph = network
    var substitutions: [String: any ValueSubstitution] = [:]
    var rounded: [String: Node] = [:]
    func round(_ value: String, _ substitution: any ValueSubstitution) {
      let name = names.unused("\(value)_fake_quantize")
      rounded[value] = Node(
        "Identity", name: name, inputs: [value], outputs: [names.unused("\(value)_rounded")])
      substitutions[name] = substitution
    }
    for entry in stage.layers where rounded[entry.layer.weight] == nil {
      // A weight that folding had to copy is the batch norm's own there.
      guard network.constant(entry.layer.weight) != nil else { continue }
      try quantizer.checkTrainable(entry.context, entry.quantized.layout)
      round(
        entry.layer.weight,
        FakeWeight(quantizer, entry.context, bits: entry.quantized.bits))
    }
    if roundsActivations {
      let placement = QuantizationPlacement(
        stage.graph, layers: Set(stage.layers.map(\.layer.nodeIndex)))
      let known = Set(network.inputs.map(\.name) + network.nodes.flatMap(\.outputs))
      for (index, value) in placement.values.enumerated()
      where placement.roots[value] == value && known.contains(value) {
        let context = LayerContext(
          role: .activation, index: index, name: value, op: "QuantizeLinear", outAxis: -1,
          inAxis: -1, groups: 1)
        round(value, FakeActivation(quantizer, context))
      }
    }
    // Layers that stay float read what is not rounded.
    let quantized = Set(stage.layers.map(\.layer.output))
    let floats = Set(try folded.weightedLayers().map(\.output)).subtracting(quantized)
    var nodes = network.inputs.compactMap { rounded[$0.name] }
    nodes += network.initializers.keys.compactMap { rounded[$0] }
    for var node in network.nodes {
      if !node.outputs.contains(where: { floats.contains($0) }) {
        node.inputs = node.inputs.map { rounded[$0]?.outputs[0] ?? $0 }
      }
      nodes.append(node)
      nodes += node.outputs.compactMap { rounded[$0] }
    }
    graph.nodes = nodes
    self.graph = graph
    self.substitutions = substitutions
  }
}

/// A weight, rounded by scales of its own values in each step.
private final class FakeWeight: ValueSubstitution {
  private let quantizer: Quantizer
  private let context: LayerContext
  private let bits: Int
  private var current: (layout: QuantizationLayout, parameters: QuantizationParameters)?

  init(_ quantizer: Quantizer, _ context: LayerContext, bits: Int) {
    self.quantizer = quantizer
    self.context = context
    self.bits = bits
  }

  func forward(_ x: Tensor) throws -> Tensor {
    guard let layout = try quantizer.layout(context, shape: x.shape, weightBits: bits) else {
      return x
    }
    let parameters = try quantizer.calibrate(context, layout, values: x)
    current = (layout, parameters)
    return try quantizer.fakeQuantize(context, layout, parameters, values: x)
  }

  func backward(_ x: Tensor, gradient: Tensor) throws -> Tensor {
    guard let current else { return gradient }
    return try quantizer.fakeQuantizeGradient(
      context, current.layout, current.parameters, values: x, gradient: gradient)
  }
}

/// An activation, rounded within a range that follows the batches.
private final class FakeActivation: ValueSubstitution {
  /// The share of the old range that each batch leaves.
  private static let momentum: Float = 0.9

  private let quantizer: Quantizer
  private let context: LayerContext
  private var range: (low: Float, high: Float)?
  private var current: (layout: QuantizationLayout, parameters: QuantizationParameters)?

  init(_ quantizer: Quantizer, _ context: LayerContext) {
    self.quantizer = quantizer
    self.context = context
  }

  func forward(_ x: Tensor) throws -> Tensor {
    guard let layout = try quantizer.layout(context, shape: x.shape, weightBits: 8) else {
      return x
    }
    var observer = RangeObserver(.minMax)
    x.withUnsafeElements(of: Float.self) { observer.add($0) }
    guard observer.isFinite else {
      throw CompressionError.activationNotFinite(value: context.name)
    }
    let (low, high) = observer.range
    let old = range ?? (low, high)
    let new = (
      low: old.low * Self.momentum + low * (1 - Self.momentum),
      high: old.high * Self.momentum + high * (1 - Self.momentum)
    )
    range = new
    let parameters = try quantizer.calibrate(
      context, layout, values: Tensor([new.low, new.high]))
    current = (layout, parameters)
    return try quantizer.fakeQuantize(context, layout, parameters, values: x)
  }

  func backward(_ x: Tensor, gradient: Tensor) throws -> Tensor {
    guard let current else { return gradient }
    return try quantizer.fakeQuantizeGradient(
      context, current.layout, current.parameters, values: x, gradient: gradient)
  }
}
