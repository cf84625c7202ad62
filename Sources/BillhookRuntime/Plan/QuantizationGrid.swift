internal import BillhookTensor

/// The numbers of a QuantizeLinear or DequantizeLinear: a scale and zero point for the whole tensor
/// (one of each), or one for each index along `axis`.
struct QuantizationGrid: Equatable {
  var elementType: ElementType
  var scale: [Float]
  var zeroPoint: [Int32]
  var axis: Int

  var isPerTensor: Bool { scale.count == 1 }
}

/// What happens to the 32-bit sums of an integer layer.
struct Requantization {
  /// Input scale times weight scale, one an output channel.
  var scale: [Float]
  /// In real numbers, one an output channel.
  var bias: [Float]?
  var activation: Activation?
  /// Nil for a float output.
  var target: QuantizationGrid?
}
