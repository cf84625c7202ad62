internal import BillhookSDK
public import BillhookTensor

/// Files in a form of the plugin's own: `billhook.quant-export/1`.
extension Quantizer {
  /// Everything that a file keeps of a tensor, as bytes `[n]`.
  ///
  /// Called for layouts with ``QuantizationLayout/Storage/custom(id:)`` storage that are not opaque.
  ///
  /// - Parameter shape: Of the tensor.
  public func pack(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    integers: Tensor
  ) throws(PluginError) -> Tensor {
    let export = try exportTable(layer)
    let shape = integers.shape
    try expect(integers, layout.elementType, shape, "pack", "integers")
    try expect(parameters, layout, shape, "pack")
    let count = try packedBytes(layer, layout, shape: shape)
    var bytes = Tensor(zeros: [count], .uint8)
    let tensors = BorrowedTensors(for: instance)
    let error: PluginError? = bytes.withUnsafeMutableBytes { target in
      var cParameters = cParameters(parameters, layout, tensors)
      let q = tensors.input(integers)
      let out = tensors.view(target.baseAddress, .uint8, shape: [count])
      return run("pack", layer, shape, layout) { call, cLayer, cLayout in
        export.pack(instance.pointer, call, cLayer, cLayout, &cParameters, q, out)
      }
    }
    if let error { throw error }
    return bytes
  }

  /// Parameters and integers of a tensor of this shape, from the bytes of ``pack(_:_:_:integers:)``.
  ///
  /// - Throws: ``PluginError``, also when the number of bytes is not the plugin's.
  public func unpack(
    _ layer: LayerContext, _ layout: QuantizationLayout, bytes: Tensor, shape: [Int]
  ) throws(PluginError) -> (parameters: QuantizationParameters, integers: Tensor) {
    let export = try exportTable(layer)
    let count = try packedBytes(layer, layout, shape: shape)
    try expect(bytes, .uint8, [count], "unpack", "bytes")
    var integers = Tensor(zeros: shape, layout.elementType)
    let tensors = BorrowedTensors(for: instance)
    let source = tensors.input(bytes)
    // Written through an address of its own, as the parameters are through theirs.
    let buffer = UnsafeMutableRawPointer.allocate(
      byteCount: max(integers.byteCount, 1), alignment: 64)
    defer { buffer.deallocate() }
    let q = tensors.view(buffer, layout.elementType, shape: shape)
    let parameters = try self.parameters(layout, shape, tensors) { cParameters in
      run("unpack", layer, shape, layout) { call, cLayer, cLayout in
        export.unpack(instance.pointer, call, cLayer, cLayout, source, cParameters, q)
      }
    }
    let byteCount = integers.byteCount
    integers.withUnsafeMutableBytes {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: buffer, count: byteCount))
    }
    try check(parameters, layout, layer, "unpack")
    try checkRange(integers, layout, layer, "unpack")
    return (parameters, integers)
  }

  private func packedBytes(
    _ layer: LayerContext, _ layout: QuantizationLayout, shape: [Int]
  ) throws(PluginError) -> Int {
    let export = try exportTable(layer)
    var count = UInt64.max
    let error = run("packed_bytes", layer, shape, layout) { call, cLayer, cLayout in
      export.packed_bytes(instance.pointer, call, cLayer, cLayout, &count)
    }
    if let error { throw error }
    // A file form that is larger than the float32 tensor and its header is a mistake.
    let limit = UInt64(shape.reduce(1, *) * 8 + 4096)
    guard count <= limit else {
      throw wrongResult(
        "packed_bytes", layer, "the number of bytes",
        count == .max ? "not written" : "\(count)", "at most \(limit)")
    }
    return Int(count)
  }

  private func exportTable(_ layer: LayerContext) throws(PluginError) -> bh_quant_export {
    guard let export else {
      throw wrongResult(
        "get_extension", layer, "\"\(BH_EXT_QUANT_EXPORT)\"", "null", "a table for this layout")
    }
    return export
  }
}
