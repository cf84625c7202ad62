internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor
internal import Foundation

/// A weight as integers.
struct QuantizedWeight {
  var integers: Tensor
  var layout: QuantizationLayout
  var parameters: QuantizationParameters
  /// The most bits that the integers may use.
  var bits: Int
  /// Whether the eight-bit integers could saturate a pair sum.
  var saturationRisk: Bool
  /// In decibels; nil when every weight is exact.
  var signalToNoise: Double?

  /// The axis that has a scale an index; nil for one scale.
  var axis: Int? { if case .axis(let axis) = layout.granularity { axis } else { nil } }
  var scales: [Float] { parameters.scale.floats() }
  var zeroPoints: [Int] { parameters.zeroPoint.integers() ?? [] }

  /// Such as "int8 symmetric per axis 0".
  var scheme: String {
    let place = axis.map { "per axis \($0)" } ?? "per tensor"
    return "\(layout.elementType) \(layout.isSymmetric ? "symmetric" : "asymmetric") \(place)"
  }

  /// Fills the fields of a record that say how the weight is stored.
  func describe(_ record: inout QuantizeRecord.Layer) {
    record.scheme = scheme
    record.bits = bits
    record.smallestScale = scales.min()
    record.largestScale = scales.max()
    record.signalToNoise = signalToNoise
    record.saturationRisk = saturationRisk
  }
}

/// Turns weights into integers through a quantizer plugin, and checks what it did.
struct WeightQuantization {
  enum Outcome {
    case quantized(QuantizedWeight)
    case skipped(String)
  }

  let quantizer: Quantizer
  /// Whether sums of two products must fit 16 bits; nil when the integers are not multiplied.
  let range: QuantizeSettings.WeightRange?

  /// - Parameters:
  ///   - weight: float32.
  ///   - layer: Of role weight.
  func quantize(_ weight: Tensor, _ layer: LayerContext) throws -> Outcome {
    guard weight.floats().allSatisfy(\.isFinite) else {
      return .skipped("its weights are not all finite")
    }
    guard var result = try attempt(weight, layer, bits: 8) else {
      return .skipped("the quantizer left it out")
    }
    if let problem = try problem(weight, layer, result) { return .skipped(problem) }
    let outAxis = max(layer.outAxis, 0)
    guard let range, !PairSums.areSafe(result.integers, outAxis: outAxis) else {
      return .quantized(result)
    }
    if range == .auto {
      guard let narrow = try attempt(weight, layer, bits: 7),
        PairSums.areSafe(narrow.integers, outAxis: outAxis)
      else {
        return .skipped("its integers could saturate 16-bit sums, with seven bits too")
      }
      if let problem = try problem(weight, layer, narrow) { return .skipped(problem) }
      result = narrow
    }
    result.saturationRisk = true
    return .quantized(result)
  }

  private func attempt(_ weight: Tensor, _ layer: LayerContext, bits: Int) throws -> QuantizedWeight? {
    let found: QuantizationLayout? = try quantizer.layout(
      layer, shape: weight.shape, weightBits: bits)
    guard let layout = found else { return nil }
    let parameters = try quantizer.calibrate(layer, layout, values: weight)
    let integers = try quantizer.quantize(layer, layout, parameters, values: weight)
    return QuantizedWeight(
      integers: integers, layout: layout, parameters: parameters, bits: bits,
      saturationRisk: false, signalToNoise: signalToNoise(weight, integers, layout, parameters))
  }

  /// Quantizes again with scales of the host's own.
  func requantize(
    _ weight: Tensor, _ layer: LayerContext, _ old: QuantizedWeight, scales: [Float]
  ) throws -> QuantizedWeight {
    var result = old
    result.parameters.scale = Tensor(scales, shape: old.parameters.scale.shape)
    result.integers = try quantizer.quantize(
      layer, old.layout, result.parameters, values: weight)
    result.signalToNoise = signalToNoise(
      weight, result.integers, old.layout, result.parameters)
    return result
  }

  /// What is wrong with the plugin's numbers, or nil: they must mean in ONNX what they mean to it,
  /// and zeros must stay zeros.
  private func problem(
    _ weight: Tensor, _ layer: LayerContext, _ quantized: QuantizedWeight
  ) throws -> String? {
    guard [.int8, .uint8].contains(quantized.layout.elementType),
      quantized.integers.elementType == quantized.layout.elementType,
      quantized.integers.shape == weight.shape
    else { return "the quantizer's integers are not int8 or uint8" }
    guard quantized.scales.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      return "the quantizer gave a scale that is not a positive number"
    }
    let own = try quantizer.dequantize(
      layer, quantized.layout, quantized.parameters, integers: quantized.integers
    ).floats()
    let host = dequantized(quantized.integers, quantized.layout, quantized.parameters)
    guard own == host else {
      return "the quantizer's numbers are not those of ONNX's DequantizeLinear"
    }
    for (value, restored) in zip(weight.floats(), host) where value == 0 && restored != 0 {
      return "the quantizer does not keep zeros"
    }
    return nil
  }
}

/// What ONNX's DequantizeLinear makes of integers.
func dequantized(
  _ integers: Tensor, _ layout: QuantizationLayout, _ parameters: QuantizationParameters
) -> [Float] {
  let scales = parameters.scale.floats()
  let zeroPoints = parameters.zeroPoint.integers() ?? [0]
  var inner = max(integers.count, 1)
  if case .axis(let axis) = layout.granularity {
    inner = max(integers.shape[(axis + 1)...].reduce(1, *), 1)
  }
  return (integers.integers() ?? []).enumerated().map { index, value in
    let channel = index / inner % scales.count
    return Float(value - zeroPoints[channel]) * scales[channel]
  }
}

/// Power of the weights over power of the error, in decibels.
private func signalToNoise(
  _ weight: Tensor, _ integers: Tensor, _ layout: QuantizationLayout,
  _ parameters: QuantizationParameters
) -> Double? {
  var signal = 0.0
  var noise = 0.0
  for (value, restored) in zip(weight.floats(), dequantized(integers, layout, parameters)) {
    signal += Double(value) * Double(value)
    noise += (Double(value) - Double(restored)) * (Double(value) - Double(restored))
  }
  return noise > 0 && signal > 0 ? 10 * log10(signal / noise) : nil
}
