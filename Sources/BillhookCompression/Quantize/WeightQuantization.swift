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
  /// The restored weight, when no ONNX operators restore it from the integers.
  var floats: Tensor?

  /// The axis that has a scale an index; nil for one scale.
  var axis: Int? { if case .axis(let axis) = layout.granularity { axis } else { nil } }
  var scales: [Float] { parameters.scale.floats() }
  var zeroPoints: [Int] { parameters.zeroPoint.integers() ?? [] }

  /// Such as "int8 symmetric per axis 0", "codebook of 16, 4 bits, blocks of 64".
  var scheme: String {
    let place =
      switch layout.granularity {
      case .tensor: "per tensor"
      case .axis(let axis): "per axis \(axis)"
      case .block(let axis?, let size): "blocks of \(size) along axis \(axis)"
      case .block(nil, let size): "blocks of \(size)"
      }
    switch layout.formula {
    case .affine:
      let type = layout.elementType == .int8 ? "int" : "uint"
      return "\(type)\(layout.bits) \(layout.isSymmetric ? "symmetric" : "asymmetric") \(place)"
    case .codebook:
      return "codebook of \(layout.maximum + 1), \(layout.bits) bits, \(place)"
    case .opaque: return "\(layout.blockBytes) opaque bytes, \(place)"
    }
  }

  /// Whether integer arithmetic can use the weight: a byte each, one scale or one an output channel.
  func suitsArithmetic(outAxis: Int) -> Bool {
    guard layout.formula == .affine, layout.naturalBits == 8 else { return false }
    return layout.granularity == .tensor || layout.granularity == .axis(outAxis)
  }

  /// Fills the fields of a record that say how the weight is stored.
  func describe(_ record: inout QuantizeRecord.Layer) {
    record.scheme = scheme
    record.bits = layout.formula == .affine ? min(bits, layout.bits) : layout.bits
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
    guard weight.hasOnlyFiniteFloats else {
      return .skipped("its weights are not all finite")
    }
    guard var result = try attempt(weight, layer, bits: 8) else {
      return .skipped("the quantizer left it out")
    }
    if let problem = try check(weight, layer, &result) { return .skipped(problem) }
    let outAxis = max(layer.outAxis, 0)
    guard let range, result.layout.formula == .affine,
      !PairSums.areSafe(result.integers, outAxis: outAxis)
    else {
      return .quantized(result)
    }
    if range == .auto {
      guard var narrow = try attempt(weight, layer, bits: 7),
        PairSums.areSafe(narrow.integers, outAxis: outAxis)
      else {
        return .skipped("its integers could saturate 16-bit sums, with seven bits too")
      }
      if let problem = try check(weight, layer, &narrow) { return .skipped(problem) }
      result = narrow
    }
    result.saturationRisk = true
    return .quantized(result)
  }

  private func attempt(_ weight: Tensor, _ layer: LayerContext, bits: Int) throws
    -> QuantizedWeight?
  {
    guard let layout = try quantizer.layout(layer, shape: weight.shape, weightBits: bits) else {
      return nil
    }
    let parameters = try quantizer.calibrate(layer, layout, values: weight)
    let integers = try quantizer.quantize(layer, layout, parameters, values: weight)
    return QuantizedWeight(
      integers: integers, layout: layout, parameters: parameters, bits: bits,
      saturationRisk: false, signalToNoise: nil)
  }

  /// Quantizes again with scales of the host's own.
  func requantize(
    _ weight: Tensor, _ layer: LayerContext, _ old: QuantizedWeight, scales: [Float]
  ) throws -> QuantizedWeight {
    var result = old
    result.parameters.scale = Tensor(scales, shape: old.parameters.scale.shape)
    result.integers = try quantizer.quantize(
      layer, old.layout, result.parameters, values: weight)
    result.signalToNoise = Restoration(weight, result, own: nil).signalToNoise
    return result
  }

  /// What is wrong with the plugin's numbers, or nil: they must mean in ONNX what they mean to it,
  /// and zeros must stay zeros. Measures the error on the way. Weights that are only stored may be
  /// restored by the plugin instead.
  private func check(
    _ weight: Tensor, _ layer: LayerContext, _ quantized: inout QuantizedWeight
  ) throws -> String? {
    let layout = quantized.layout
    let own = try quantizer.dequantize(
      layer, layout, quantized.parameters, integers: quantized.integers, shape: weight.shape)
    let (isExact, keepsZeros): (Bool, Bool)
    if layout.formula == .affine, quantized.hasChannelScales {
      let restoration = Restoration(weight, quantized, own: own)
      quantized.signalToNoise = restoration.signalToNoise
      (isExact, keepsZeros) = (restoration.isExact, restoration.keepsZeros)
    } else {
      let restored =
        layout.formula == .opaque
        ? own : layout.values(quantized.integers, quantized.parameters)
      let comparison = Comparison(weight, restored, own: own)
      quantized.signalToNoise = comparison.signalToNoise
      (isExact, keepsZeros) = (comparison.isExact, comparison.keepsZeros)
    }
    if layout.formula == .opaque || !isExact || !layout.claims.contains(.dequantizeExact)
      || !quantized.isDecodable
    {
      if range != nil {
        return layout.formula == .opaque
          ? "the plugin alone can read its bytes"
          : "the quantizer's numbers are not those of ONNX's DequantizeLinear"
      }
      quantized.floats = own
    }
    return keepsZeros ? nil : "the quantizer does not keep zeros"
  }
}

extension QuantizedWeight {
  /// Whether there is one scale, or one for each index of an axis.
  fileprivate var hasChannelScales: Bool {
    if case .block = layout.granularity { return false }
    return true
  }

  /// Whether ONNX operators can restore the weight from its integers.
  fileprivate var isDecodable: Bool {
    guard layout.formula == .codebook, case .block(let axis?, let size) = layout.granularity else {
      return true
    }
    return integers.shape[axis] % size == 0
  }
}

/// Two tensors of weights, element by element.
private struct Comparison {
  let signalToNoise: Double?
  let isExact: Bool
  let keepsZeros: Bool

  init(_ weight: Tensor, _ restored: Tensor, own: Tensor) {
    var (signal, noise) = (0.0, 0.0)
    var (isExact, keepsZeros) = (true, true)
    weight.withUnsafeElements(of: Float.self) { weights in
      restored.withUnsafeElements(of: Float.self) { restored in
        own.withUnsafeElements(of: Float.self) { own in
          for i in weights.indices {
            let error = Double(weights[i]) - Double(restored[i])
            signal += Double(weights[i]) * Double(weights[i])
            noise += error * error
            isExact = isExact && restored[i] == own[i]
            keepsZeros = keepsZeros && (weights[i] != 0 || restored[i] == 0)
          }
        }
      }
    }
    signalToNoise = noise > 0 && signal > 0 ? 10 * log10(signal / noise) : nil
    self.isExact = isExact
    self.keepsZeros = keepsZeros
  }
}

/// What ONNX's DequantizeLinear makes of a weight's integers, compared with the weight.
private struct Restoration {
  private(set) var signal = 0.0
  private(set) var noise = 0.0
  /// Whether every number is the one that the plugin restores.
  private(set) var isExact = true
  private(set) var keepsZeros = true

  /// Elements a piece: some cache lines of channels, sums that are added in a fixed order.
  private static let grain = 1 << 16

  init(_ weight: Tensor, _ quantized: QuantizedWeight, own: Tensor?) {
    let scales = quantized.scales
    let zeroPoints = quantized.zeroPoints.map { Int32($0) }
    var inner = max(weight.count, 1)
    if let axis = quantized.axis { inner = max(weight.shape[(axis + 1)...].reduce(1, *), 1) }
    let channelSize = inner
    let isSigned = quantized.integers.elementType == .int8
    let parts = weight.withUnsafeElements(of: Float.self) { weights in
      quantized.integers.withUnsafeBytes { integers in
        (own ?? weight).withUnsafeElements(of: Float.self) { restored in
          scales.withUnsafeBufferPointer { scales in
            zeroPoints.withUnsafeBufferPointer { zeroPoints in
              // All five are only read, and outlive the pieces.
              nonisolated(unsafe) let (weights, integers) = (weights, integers)
              nonisolated(unsafe) let restored = own == nil ? nil : restored
              nonisolated(unsafe) let (scales, zeroPoints) = (scales, zeroPoints)
              return ParallelPieces.map(count: weights.count, grain: Self.grain) { range in
                var part = Restoration()
                var index = range.lowerBound
                while index < range.upperBound {
                  let channel = index / channelSize % scales.count
                  let end = min(range.upperBound, (index / channelSize + 1) * channelSize)
                  part.add(
                    UnsafeBufferPointer(rebasing: weights[index..<end]),
                    UnsafeRawBufferPointer(rebasing: integers[index..<end]),
                    restored.map { UnsafeBufferPointer(rebasing: $0[index..<end]) },
                    isSigned: isSigned, scale: scales[channel], zeroPoint: zeroPoints[channel])
                  index = end
                }
                return part
              }
            }
          }
        }
      }
    }
    for part in parts {
      signal += part.signal
      noise += part.noise
      isExact = isExact && part.isExact
      keepsZeros = keepsZeros && part.keepsZeros
    }
  }

  private init() {}

  /// Takes the elements of one channel, eight at a time.
  private mutating func add(
    _ weights: UnsafeBufferPointer<Float>, _ integers: UnsafeRawBufferPointer,
    _ restored: UnsafeBufferPointer<Float>?, isSigned: Bool, scale: Float, zeroPoint: Int32
  ) {
    let weightBytes = UnsafeRawBufferPointer(weights)
    let restoredBytes = restored.map { UnsafeRawBufferPointer($0) }
    var signals = SIMD8<Double>()
    var noises = SIMD8<Double>()
    var differs = SIMDMask<SIMD8<Int32>>()
    var loses = SIMDMask<SIMD8<Int32>>()
    let whole = weights.count / 8 * 8
    for index in stride(from: 0, to: whole, by: 8) {
      let numbers =
        isSigned
        ? SIMD8<Int32>(
          truncatingIfNeeded: integers.loadUnaligned(fromByteOffset: index, as: SIMD8<Int8>.self))
        : SIMD8<Int32>(
          truncatingIfNeeded: integers.loadUnaligned(fromByteOffset: index, as: SIMD8<UInt8>.self))
      let values = SIMD8<Float>(numbers &- zeroPoint) * scale
      let originals = weightBytes.loadUnaligned(fromByteOffset: index * 4, as: SIMD8<Float>.self)
      if let restoredBytes {
        differs .|= values
          .!= restoredBytes.loadUnaligned(fromByteOffset: index * 4, as: SIMD8<Float>.self)
      }
      loses .|= (originals .== 0) .& (values .!= 0)
      let wide = SIMD8<Double>(originals)
      let errors = wide - SIMD8<Double>(values)
      signals += wide * wide
      noises += errors * errors
    }
    isExact = isExact && !any(differs)
    keepsZeros = keepsZeros && !any(loses)
    signal += signals.sum()
    noise += noises.sum()
    for index in whole..<weights.count {
      let number = isSigned ? Int32(Int8(bitPattern: integers[index])) : Int32(integers[index])
      let value = Float(number - zeroPoint) * scale
      let error = Double(weights[index]) - Double(value)
      isExact = isExact && (restored.map { $0[index] == value } ?? true)
      keepsZeros = keepsZeros && (weights[index] != 0 || value == 0)
      signal += Double(weights[index]) * Double(weights[index])
      noise += error * error
    }
  }

  /// Power of the weights over power of the error, in decibels; nil without error.
  var signalToNoise: Double? {
    noise > 0 && signal > 0 ? 10 * log10(signal / noise) : nil
  }
}

extension Tensor {
  /// Whether no element is NaN or infinite; of a float32 tensor.
  var hasOnlyFiniteFloats: Bool {
    withUnsafeElements(of: Float.self) { values in
      nonisolated(unsafe) let values = values
      return ParallelPieces.map(count: values.count, grain: 1 << 16) { range in
        // A difference of a number with itself is 0 unless it is NaN or infinite.
        let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: values[range]))
        var sums = SIMD16<Float>()
        let whole = range.count / 16 * 16
        for index in stride(from: 0, to: whole, by: 16) {
          let numbers = bytes.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self)
          sums += numbers - numbers
        }
        return sums == SIMD16()
          && values[(range.lowerBound + whole)..<range.upperBound]
            .allSatisfy(\.isFinite)
      }.allSatisfy { $0 }
    }
  }
}
