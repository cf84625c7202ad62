internal import BillhookSDK
public import BillhookTensor

/// How a quantizer stores a tensor.
public struct QuantizationLayout: Sendable, Equatable {
  public enum Granularity: Sendable, Equatable {
    case tensor
    case axis(Int)
  }
  /// int8 or uint8.
  public var elementType: ElementType
  public var minimum: Int
  public var maximum: Int
  /// True when every zero point is 0.
  public var isSymmetric: Bool
  public var granularity: Granularity

  public init(
    elementType: ElementType, minimum: Int, maximum: Int, isSymmetric: Bool,
    granularity: Granularity
  ) {
    self.elementType = elementType
    self.minimum = minimum
    self.maximum = maximum
    self.isSymmetric = isSymmetric
    self.granularity = granularity
  }

  /// Scales of a tensor of this shape: `[]` or `[D]`.
  func parameterShape(_ shape: [Int]) -> [Int] {
    switch granularity {
    case .tensor: []
    case .axis(let axis): shape.indices.contains(axis) ? [shape[axis]] : []
    }
  }

  var cLayout: bh_qlayout {
    var layout = bh_qlayout()
    layout.struct_size = UInt32(MemoryLayout<bh_qlayout>.size)
    layout.max_bits = 8
    layout.q_code = UInt8(elementType == .int8 ? BH_CODE_INT : BH_CODE_UINT)
    layout.q_bits = 8
    layout.symmetric = isSymmetric ? 1 : 0
    layout.qmin = Int64(minimum)
    layout.qmax = Int64(maximum)
    switch granularity {
    case .tensor:
      layout.granularity = UInt32(BH_QGRANULARITY_TENSOR)
      layout.axis = -1
    case .axis(let axis):
      layout.granularity = UInt32(BH_QGRANULARITY_AXIS)
      layout.axis = Int32(axis)
    }
    return layout
  }
}

/// Scale and zero point: scalars, or one a channel.
public struct QuantizationParameters: Sendable {
  /// float32, `[]` or `[D]`.
  public var scale: Tensor
  /// The layout's element type, shape of `scale`.
  public var zeroPoint: Tensor

  public init(scale: Tensor, zeroPoint: Tensor) {
    self.scale = scale
    self.zeroPoint = zeroPoint
  }
}
