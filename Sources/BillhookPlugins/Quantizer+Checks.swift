internal import BillhookSDK
internal import BillhookTensor

/// What the host verifies of a quantizer's answers before it believes them.
extension Quantizer {
  func check(
    _ parameters: QuantizationParameters, _ layout: QuantizationLayout, _ layer: LayerContext,
    _ function: String
  ) throws(PluginError) {
    for (index, scale) in parameters.scale.elements(of: Float.self).enumerated() {
      guard scale.isFinite, scale > 0 else {
        throw wrongResult(
          function, layer, "scale \(index)", "\(scale)", "written, finite and above 0")
      }
    }
    for (index, entry) in (parameters.table?.elements(of: Float.self) ?? []).enumerated() {
      guard entry.isFinite else {
        throw wrongResult(
          function, layer, "table entry \(index)", "\(entry)", "written and finite")
      }
    }
    guard layout.formula == .affine else { return }
    let range = layout.isSymmetric ? 0...0 : layout.minimum...layout.maximum
    for (index, zero) in (parameters.zeroPoint.integers() ?? []).enumerated() {
      guard range.contains(zero) else {
        throw wrongResult(
          function, layer, "zero point \(index)", "\(zero)",
          layout.isSymmetric ? "0" : "\(range.lowerBound) to \(range.upperBound)")
      }
    }
  }

  func checkRange(
    _ integers: Tensor, _ layout: QuantizationLayout, _ layer: LayerContext, _ function: String
  ) throws(PluginError) {
    let isSigned = layout.elementType == .int8
    // Nothing can be outside of the type's whole range.
    guard layout.formula != .opaque,
      layout.minimum > (isSigned ? -128 : 0) || layout.maximum < (isSigned ? 127 : 255)
    else { return }
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
        function, layer, "integer \(index)", "\(value)",
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
    try expect(parameters.scale, .float32, layout.scaleShape(shape), function, "scale")
    try expect(
      parameters.zeroPoint, layout.elementType, layout.zeroPointShape(shape), function, "zeroPoint")
    guard layout.formula == .codebook else { return }
    try expect(
      parameters.table ?? Tensor(zeros: [0]), .float32, [layout.maximum + 1], function, "table")
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
