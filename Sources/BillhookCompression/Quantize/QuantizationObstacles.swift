public import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// Finds what would end ``quantize(_:quantizer:settings:data:progress:)`` before its first weight: an
/// operator set that cannot be raised, or no layer that could become integers.
///
/// - Throws: As ``quantize(_:quantizer:settings:data:progress:)``.
public func checkQuantization(_ graph: Graph, settings: QuantizeSettings) throws {
  try settings.check()
  guard try graph.recordIfQuantizedAlready(settings) == nil else { return }
  _ = try graph.inFloat32().reachingWeights().raisedOpset()
  let layers = try graph.quantizationObstacles(settings)
  let isOpen = layers.contains { $0.reason == nil && settings.layers.matches($0.layer) }
  guard isOpen || layers.isEmpty else {
    throw CompressionError.nothingQuantized(
      reasons: layers.map { "\"\($0.layer)\": \($0.reason ?? "it was not chosen")" })
  }
}

extension Graph {
  /// Each layer that could be quantized, with the reason why it cannot be, or nil.
  ///
  /// Layers whose weights are integers already come first.
  /// - Throws: `GraphError` when the graph is wrong.
  public func quantizationObstacles(
    _ settings: QuantizeSettings
  ) throws -> [(layer: String, reason: String?)] {
    let graph = try inFloat32().reachingWeights()
    let candidates = try graph.weightedLayers()
    let done = graph.quantizedAlready.map {
      (layer: $0.displayName, reason: Optional("it is quantized already"))
    }
    return done
      + candidates.map { layer in
        (
          layer.name,
          graph.constant(layer.weight).flatMap {
            graph.obstacle(layer, $0, among: candidates, settings)
          }
        )
      }
  }

  /// What to say of a network whose layers all have integers for weights; nil for any other network.
  func recordIfQuantizedAlready(_ settings: QuantizeSettings) throws -> QuantizeRecord? {
    let done = quantizedAlready
    guard !done.isEmpty else { return nil }
    // What is left in floats is what this would leave too.
    let rest = try quantizationObstacles(settings)
      .dropFirst(try reachingWeights().quantizedAlready.count)
    guard rest.allSatisfy({ $0.reason != nil }) else { return nil }
    var record = quantizeRecord(settings)
    record.layers = done.map { .skipped($0, "it is quantized already") }
    record.warnings = [
      "The network is quantized already: the weights of \(done.count) "
        + "\(done.count == 1 ? "layer" : "layers") are integers. Nothing was changed."
    ]
    return record
  }

  /// A record of nothing yet.
  func quantizeRecord(_ settings: QuantizeSettings) -> QuantizeRecord {
    QuantizeRecord(
      mode: settings.mode.rawValue, calibration: settings.calibrationName, calibrationSamples: 0,
      weightRange: settings.weightRange.rawValue, layers: [], activations: [],
      foldedBatchNorms: [], opsetBefore: opset, opsetAfter: opset, warnings: [])
  }

  /// Why a layer cannot be quantized, or nil.
  func obstacle(
    _ layer: WeightedLayer, _ weight: Tensor, among candidates: [WeightedLayer],
    _ settings: QuantizeSettings
  ) -> String? {
    if let enclosing = layer.enclosing, settings.mode != .weightOnly {
      return "it is in a subgraph of \"\(enclosing)\", where only the mode weight-only reaches"
    }
    guard weight.elementType == .float32 else {
      return "its weights are \(weight.elementType), not float32"
    }
    if outputs.contains(where: { $0.name == layer.weight }) {
      return "its weight is an output of the network"
    }
    for (index, node) in nodes.enumerated() {
      for (position, input) in node.inputs.enumerated() where input == layer.weight {
        let reader = candidates.first { $0.nodeIndex == index }
        guard position == 1, let reader, reader.outAxis == layer.outAxis, reader.op == layer.op
        else { return "its weight is also read by \"\(node.displayName)\"" }
      }
    }
    let node = nodes[layer.nodeIndex]
    let products = layer.shape[1...].reduce(1, *)
    if layer.op == "Conv", layer.groups == 1, settings.mode != .weightOnly,
      products < settings.minReduction
    {
      return "it sums \(products) products an output, fewer than min_reduction "
        + "\(settings.minReduction): integers would be slower"
    }
    if layer.op == "Gemm", settings.mode != .weightOnly {
      guard node.float("alpha", default: 1) == 1, node.float("beta", default: 1) == 1 else {
        return "it has an alpha or beta other than 1"
      }
      guard node.int("transA", default: 0) == 0 else { return "it transposes its input" }
    }
    return nil
  }

  /// Layers whose weight is made of integers, and those that compute with integers.
  ///
  /// Between the integers and the layer may stand a DequantizeLinear, or the Cast and Mul that some
  /// exporters write in its place.
  var quantizedAlready: [Node] {
    let producers = producers()
    let constants = constantTensors()
    func isMadeOfIntegers(_ value: String) -> Bool {
      var value = value
      // A chain longer than the graph would go round in a circle.
      for _ in nodes {
        if let tensor = constants[value] { return [.int8, .uint8].contains(tensor.elementType) }
        guard let index = producers[value] else { return false }
        let node = nodes[index]
        switch node.op {
        case "DequantizeLinear", "Cast", "Identity", "Reshape", "Transpose":
          guard let input = node.input(0) else { return false }
          value = input
        case "Mul", "Sub":
          guard let input = node.inputs.first(where: { constants[$0] == nil }) else { return false }
          value = input
        default: return false
        }
      }
      return false
    }
    return nodes.filter { node in
      if ["ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"].contains(node.op) {
        return true
      }
      guard ["Conv", "Gemm", "MatMul"].contains(node.op), let weight = node.input(1) else {
        return false
      }
      return constants[weight] == nil && isMadeOfIntegers(weight)
    }
  }
}
