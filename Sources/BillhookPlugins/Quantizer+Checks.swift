internal import BillhookSDK
internal import BillhookTensor

/// What the host verifies of a quantizer's answers before it believes them.
extension Quantizer {
  func checked(
    _ given: bh_qlayout, _ layer: LayerContext, _ shape: [Int], maxBits: Int
  ) throws(PluginError) -> QuantizationLayout {
    func wrong(_ field: String, _ found: String, _ expected: String) -> PluginError {
      wrongResult("layout", layer, "\"\(field)\"", found, expected)
    }
    let isSigned = Int32(given.q_code) == BH_CODE_INT
    guard isSigned || Int32(given.q_code) == BH_CODE_UINT else {
      throw wrong("q_code", "\(given.q_code)", "\(BH_CODE_INT) (int) or \(BH_CODE_UINT) (uint)")
    }
    guard given.q_bits == 8 else { throw wrong("q_bits", "\(given.q_bits)", "8") }
    let type: ClosedRange<Int64> = isSigned ? -128...127 : 0...255
    guard given.qmin < given.qmax, type.contains(given.qmin), type.contains(given.qmax) else {
      throw wrong(
        "qmin, qmax", "\(given.qmin), \(given.qmax)",
        "within \(type.lowerBound) to \(type.upperBound), qmin below qmax")
    }
    guard given.qmax - given.qmin < 1 << maxBits else {
      throw wrong(
        "qmax - qmin", "\(given.qmax - given.qmin)",
        "less than \(1 << maxBits): integers of this layer may use \(maxBits) bits")
    }
    guard given.symmetric <= 1, given.symmetric == 0 || (given.qmin <= 0 && given.qmax >= 0) else {
      throw wrong("symmetric", "\(given.symmetric)", "0, or 1 when qmin to qmax holds 0")
    }
    let granularity: QuantizationLayout.Granularity
    switch (Int32(truncatingIfNeeded: given.granularity), layer.role) {
    case (BH_QGRANULARITY_TENSOR, _): granularity = .tensor
    case (BH_QGRANULARITY_AXIS, .weight):
      guard shape.indices.contains(Int(given.axis)) else {
        throw wrong("axis", "\(given.axis)", "an axis of \(shape)")
      }
      granularity = .axis(Int(given.axis))
    default:
      throw wrong(
        "granularity", "\(given.granularity)",
        layer.role == .weight
          ? "\(BH_QGRANULARITY_TENSOR) (tensor) or \(BH_QGRANULARITY_AXIS) (axis)"
          : "\(BH_QGRANULARITY_TENSOR) (tensor) for an activation")
    }
    return QuantizationLayout(
      elementType: isSigned ? .int8 : .uint8, minimum: Int(given.qmin), maximum: Int(given.qmax),
      isSymmetric: given.symmetric == 1, granularity: granularity)
  }

  func check(
    _ parameters: QuantizationParameters, _ layout: QuantizationLayout, _ layer: LayerContext
  ) throws(PluginError) {
    for (index, scale) in parameters.scale.elements(of: Float.self).enumerated() {
      guard scale.isFinite, scale > 0 else {
        throw wrongResult(
          "calibrate", layer, "scale \(index)", "\(scale)", "written, finite and above 0")
      }
    }
    let range = layout.isSymmetric ? 0...0 : layout.minimum...layout.maximum
    for (index, zero) in (parameters.zeroPoint.integers() ?? []).enumerated() {
      guard range.contains(zero) else {
        throw wrongResult(
          "calibrate", layer, "zero point \(index)", "\(zero)",
          layout.isSymmetric ? "0" : "\(range.lowerBound) to \(range.upperBound)")
      }
    }
  }

  func checkRange(
    _ integers: Tensor, _ layout: QuantizationLayout, _ layer: LayerContext
  ) throws(PluginError) {
    let isSigned = layout.elementType == .int8
    // Nothing can be outside of the type's whole range.
    guard layout.minimum > (isSigned ? -128 : 0) || layout.maximum < (isSigned ? 127 : 255) else {
      return
    }
    let bad: (Int, Int)? =
      isSigned
      ? integers.withUnsafeElements(of: Int8.self) {
        firstOutside($0, Int8(layout.minimum), Int8(layout.maximum))
      }
      : integers.withUnsafeElements(of: UInt8.self) {
        firstOutside($0, UInt8(layout.minimum), UInt8(layout.maximum))
      }
    if let (index, value) = bad {
      throw wrongResult(
        "quantize", layer, "integer \(index)", "\(value)",
        "\(layout.minimum) to \(layout.maximum)")
    }
  }

  func expect(
    _ tensor: Tensor, _ type: ElementType, _ shape: [Int], _ function: String, _ name: String
  ) throws(PluginError) {
    guard tensor.elementType == type, tensor.shape == shape else {
      throw .wrongTensor(
        plugin: descriptor.id, function: function, argument: name,
        found: "\(tensor.elementType) \(tensor.shape)", expected: "\(type) \(shape)")
    }
  }

  func expect(
    _ parameters: QuantizationParameters, _ layout: QuantizationLayout, _ shape: [Int],
    _ function: String
  ) throws(PluginError) {
    let expected = layout.parameterShape(shape)
    try expect(parameters.scale, .float32, expected, function, "scale")
    try expect(parameters.zeroPoint, layout.elementType, expected, function, "zeroPoint")
  }

  func wrongResult(
    _ function: String, _ layer: LayerContext, _ result: String, _ found: String,
    _ expected: String
  ) -> PluginError {
    .wrongResult(
      plugin: descriptor.id, function: function, layer: layer.name, result: result, found: found,
      expected: expected)
  }
}

private func firstOutside<T: FixedWidthInteger>(
  _ values: UnsafeBufferPointer<T>, _ low: T, _ high: T
) -> (Int, Int)? {
  // One pass without a branch a value; only a broken plugin pays for the search.
  var outside: UInt8 = 0
  for value in values { outside |= (value < low ? 1 : 0) | (value > high ? 1 : 0) }
  guard outside != 0, let index = values.firstIndex(where: { $0 < low || $0 > high }) else {
    return nil
  }
  return (index, Int(values[index]))
}
