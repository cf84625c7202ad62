public import BillhookGraph
public import BillhookPlugins
internal import BillhookTensor

/// Turns a network's weights, and with them its activations, into 8-bit integers.
///
/// The result is an ONNX network that stock runtimes run: QuantizeLinear and DequantizeLinear pairs
/// (static and weight-only), or the integer operators (dynamic). Names and types of inputs and
/// outputs stay. What does not become integers of a network in float16, bfloat16 or float64 becomes
/// float32.
///
/// - Parameters:
///   - quantizer: Decides how each tensor is stored and makes scales and integers.
///   - data: For the ranges of activations; needed by the static mode alone. Labels are not used.
/// - Throws: ``CompressionError`` when nothing can be quantized, a pattern matches nothing or data is
///   missing; `PluginError`, `GraphError`, `RuntimeError`.
public func quantize(
  _ graph: Graph, quantizer: Quantizer, settings: QuantizeSettings, data: Dataset? = nil,
  progress: (any ProgressReporting)? = nil
) throws -> QuantizeOutcome {
  try settings.check()
  if settings.mode == .static, data == nil { throw CompressionError.dataNeededForCalibration }
  if let record = try graph.recordIfQuantizedAlready(settings) {
    return QuantizeOutcome(graph: graph, record: record)
  }
  let raised = try graph.inFloat32().reachingWeights().raisedOpset()
  let (folded, names) = settings.mode == .weightOnly ? (raised, []) : raised.foldingBatchNorms()
  var stage = try QuantizationStage(folded, quantizer: quantizer, settings: settings)
  stage.record.foldedBatchNorms = names
  stage.record.opsetBefore = graph.opset
  stage.record.opsetAfter = raised.opset
  try stage.quantizeWeights(progress: progress)
  switch settings.mode {
  case .static: try stage.makeStatic(data: data!, progress: progress)
  case .dynamic: stage.makeDynamic()
  case .weightOnly: try stage.makeWeightOnly()
  }
  let otherTypes = graph.otherWeightTypes
  if !otherTypes.isEmpty {
    stage.graph = stage.graph.castingInputsAndOutputs(as: graph)
    stage.record.warnings.append(
      "The network has weights in \(otherTypes.map { "\($0)" }.joined(separator: " and ")): what did "
        + "not become integers is float32 now. Its inputs and outputs keep their types.")
  }
  try stage.graph.verify()
  return QuantizeOutcome(graph: stage.graph, record: stage.record)
}

/// A network on its way to integers.
struct QuantizationStage {
  struct Layer {
    var layer: WeightedLayer
    var context: LayerContext
    var weight: Tensor
    var quantized: QuantizedWeight
    /// Position in the record.
    var recordIndex: Int
  }

  var graph: Graph
  var record: QuantizeRecord
  var names: NamePool
  let quantizer: Quantizer
  let settings: QuantizeSettings
  /// The layers whose weights are integers.
  var layers: [Layer] = []
  /// The DequantizeLinear nodes of biases, each with the output of the layer that reads it.
  var biasNodes: [(reader: String, node: Node)] = []
  private let candidates: [WeightedLayer]

  init(_ graph: Graph, quantizer: Quantizer, settings: QuantizeSettings) throws {
    self.graph = graph
    self.quantizer = quantizer
    self.settings = settings
    names = NamePool(graph)
    record = graph.quantizeRecord(settings)
    candidates = try graph.weightedLayers()
    record.layers = graph.quantizedAlready.map { .skipped($0, "it is quantized already") }
    guard !candidates.isEmpty else { throw CompressionError.noLayers(task: "quantize") }
  }

  /// Makes integers of the chosen layers' weights.
  mutating func quantizeWeights(progress: (any ProgressReporting)?) throws {
    let chosen = try settings.layers.select(candidates.map(\.name))
    let range = settings.mode == .weightOnly ? nil : Optional(settings.weightRange)
    let quantization = WeightQuantization(quantizer: quantizer, range: range)
    progress?.begin("quantize weights", total: candidates.count, unit: "layers")
    var done: [String: QuantizedWeight] = [:]
    for (index, layer) in candidates.enumerated() {
      let weight = graph.constant(layer.weight)!
      var entry = QuantizeRecord.Layer(
        name: layer.name, op: layer.op, weight: layer.weight, scheme: nil, bits: nil,
        smallestScale: nil, largestScale: nil, signalToNoise: nil, saturationRisk: false,
        inputRange: nil, skipped: nil)
      let context = layer.context(index)
      if !chosen[index] {
        entry.skipped = "it was not chosen"
      } else if let reason = graph.obstacle(layer, weight, among: candidates, settings) {
        entry.skipped = reason
      } else {
        // Layers that share a weight share its integers.
        let outcome =
          try done[layer.weight].map { .quantized($0) }
          ?? quantization.quantize(weight, context)
        switch outcome {
        case .skipped(let reason): entry.skipped = reason
        case .quantized(let quantized):
          if settings.mode != .weightOnly, !quantized.suitsArithmetic(outAxis: layer.outAxis) {
            entry.skipped =
              "its layout, \(quantized.scheme), is for weight-only quantization"
            break
          }
          if quantized.floats != nil {
            record.warnings.append(
              "The weight \"\(layer.weight)\" keeps float32 in ONNX, rounded by the quantizer: no "
                + "ONNX operators restore its layout, \(quantized.scheme). An output that ends in "
                + ".safetensors holds it.")
          }
          done[layer.weight] = quantized
          quantized.describe(&entry)
          if quantized.saturationRisk, settings.weightRange == .full {
            record.warnings.append(
              "The layer \"\(layer.name)\" keeps eight bits; without VNNI its integer sums can "
                + "saturate.")
          }
          layers.append(
            Layer(
              layer: layer, context: context, weight: weight, quantized: quantized,
              recordIndex: record.layers.count))
        }
      }
      record.layers.append(entry)
      progress?.advance(index + 1, detail: layer.name)
    }
    progress?.end("\(layers.count) layers")
    guard !layers.isEmpty else {
      throw CompressionError.nothingQuantized(
        reasons: record.layers.map { "\"\($0.name)\": \($0.skipped ?? "")" })
    }
  }
}

extension QuantizeRecord.Layer {
  static func skipped(_ node: Node, _ reason: String) -> QuantizeRecord.Layer {
    QuantizeRecord.Layer(
      name: node.displayName, op: node.op, weight: node.input(1) ?? "", scheme: nil, bits: nil,
      smallestScale: nil, largestScale: nil, signalToNoise: nil, saturationRisk: false,
      inputRange: nil, skipped: reason)
  }
}

extension QuantizeSettings {
  var calibrationName: String {
    guard mode == .static else { return "none" }
    return switch calibration {
    case .minMax: "min-max"
    case .percentile(let value): "percentile \(value)"
    }
  }

  func check() throws(CompressionError) {
    if case .percentile(let value) = calibration, !(50...100).contains(value) {
      throw .percentileOutOfRange(value)
    }
    guard samples >= 1 else { throw .settingOutOfRange("samples", "\(samples)", "at least 1") }
    guard batchSize >= 1 else {
      throw .settingOutOfRange("batch size", "\(batchSize)", "at least 1")
    }
  }
}
