internal import BillhookKernels
internal import BillhookSDK
internal import BillhookTensor

/// How the host calls a quantizer's functions.
extension Quantizer {
  /// Calls one function; nil when it went well.
  ///
  /// Errors are values here, so that the closures that lend memory need not be typed by them.
  func run(
    _ function: StaticString, _ layer: LayerContext, _ shape: [Int],
    _ body: (UnsafeMutablePointer<bh_call>, UnsafePointer<bh_layer>) -> bh_status
  ) -> PluginError? {
    let memory = CallMemory()
    let cLayer = layer.cLayer(shape: shape, in: memory)
    do throws(PluginError) {
      try instance.context(layer).run(function) { call in
        withExtendedLifetime(memory) { body(call, cLayer) }
      }
      return nil
    } catch {
      return error
    }
  }

  func run(
    _ function: StaticString, _ layer: LayerContext, _ shape: [Int],
    _ layout: QuantizationLayout,
    _ body: (
      UnsafeMutablePointer<bh_call>, UnsafePointer<bh_layer>, UnsafePointer<bh_qlayout>
    ) -> bh_status
  ) -> PluginError? {
    run(function, layer, shape) { call, cLayer in
      layout.withCLayout { body(call, cLayer, $0) }
    }
  }

  /// float32 values that a function writes, all of which must be finite.
  func values(
    _ function: String, _ layer: LayerContext, _ shape: [Int],
    _ body: (BorrowedTensors, UnsafePointer<bh_tensor>) -> PluginError?
  ) throws(PluginError) -> Tensor {
    var values = Tensor(zeros: shape)
    let tensors = BorrowedTensors(for: instance)
    let error: PluginError? = values.withUnsafeMutableElements(of: Float.self) { out in
      out.update(repeating: .nan)
      if let error = body(tensors, tensors.view(out.baseAddress, .float32, shape: shape)) {
        return error
      }
      if bh_count_nonfinite_f32(out.baseAddress, Int64(out.count)) != 0,
        let index = firstNotFinite(UnsafeBufferPointer(out))
      {
        return wrongResult(
          function, layer, "value \(index)", "\(out[index])", "written and finite")
      }
      return nil
    }
    if let error { throw error }
    return values
  }

  /// Parameters of a tensor of this shape, not yet written.
  func emptyParameters(
    _ layout: QuantizationLayout, _ shape: [Int]
  ) -> QuantizationParameters {
    QuantizationParameters(
      scale: Tensor(zeros: layout.scaleShape(shape)),
      zeroPoint: Tensor(zeros: layout.zeroPointShape(shape), layout.elementType),
      table: layout.formula == .codebook ? Tensor(zeros: [layout.maximum + 1]) : nil)
  }

  /// Parameters of a tensor of this shape, as a function writes them.
  func parameters(
    _ layout: QuantizationLayout, _ shape: [Int], _ tensors: BorrowedTensors,
    _ body: (UnsafePointer<bh_qparams>) -> PluginError?
  ) throws(PluginError) -> QuantizationParameters {
    let empty = emptyParameters(layout, shape)
    var scale = empty.scale
    var zeroPoint = empty.zeroPoint
    var table = empty.table ?? Tensor(zeros: [0])
    let (scaleShape, zeroShape, tableShape) = (scale.shape, zeroPoint.shape, table.shape)
    let result = UnsafeMutablePointer<bh_qparams>.allocate(capacity: 1)
    defer { result.deallocate() }
    result.initialize(to: bh_qparams())
    result.pointee.struct_size = UInt32(MemoryLayout<bh_qparams>.size)
    let error: PluginError? = scale.withUnsafeMutableElements(of: Float.self) { scales in
      scales.update(repeating: .nan)
      result.pointee.scale = tensors.view(scales.baseAddress, .float32, shape: scaleShape)
      return zeroPoint.withUnsafeMutableBytes { zeros in
        if layout.formula == .affine {
          result.pointee.zero_point = tensors.view(
            zeros.baseAddress, layout.elementType, shape: zeroShape)
        }
        return table.withUnsafeMutableElements(of: Float.self) { entries in
          entries.update(repeating: .nan)
          if layout.formula == .codebook {
            result.pointee.table = tensors.view(entries.baseAddress, .float32, shape: tableShape)
          }
          return body(result)
        }
      }
    }
    if let error { throw error }
    return QuantizationParameters(
      scale: scale, zeroPoint: zeroPoint, table: layout.formula == .codebook ? table : nil)
  }

  func cParameters(
    _ parameters: QuantizationParameters, _ layout: QuantizationLayout, _ tensors: BorrowedTensors
  ) -> bh_qparams {
    var result = bh_qparams()
    result.struct_size = UInt32(MemoryLayout<bh_qparams>.size)
    if layout.formula != .opaque { result.scale = tensors.input(parameters.scale) }
    if layout.formula == .affine { result.zero_point = tensors.input(parameters.zeroPoint) }
    if layout.formula == .codebook { result.table = tensors.input(parameters.table) }
    return result
  }
}
