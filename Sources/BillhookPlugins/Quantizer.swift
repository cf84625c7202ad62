internal import BillhookKernels
internal import BillhookSDK
public import BillhookTensor

/// An instance of a quantizer plugin. Use it on one thread at a time.
public final class Quantizer {
  public let descriptor: PluginDescriptor
  private let instance: PluginInstance
  private let functions: bh_quantizer

  init(instance: PluginInstance, functions: bh_quantizer) {
    descriptor = instance.plugin.descriptor
    self.instance = instance
    self.functions = functions
  }

  /// How a tensor of this shape will be stored.
  ///
  /// - Parameter weightBits: The most bits that a weight's integers may use, 2...8; the host lowers
  ///   it to 7 where a pair sum could saturate. Activations always have 8.
  /// - Throws: ``PluginError``, also when the plugin asks for what the limit or the type forbids.
  public func layout(
    _ layer: LayerContext, shape: [Int], weightBits: Int
  ) throws(PluginError) -> QuantizationLayout {
    guard (2...8).contains(weightBits) else {
      throw .wrongTensor(
        plugin: descriptor.id, function: "layout", argument: "weightBits", found: "\(weightBits)",
        expected: "2 to 8")
    }
    let maxBits = layer.role == .weight ? weightBits : 8
    var given = bh_qlayout()
    given.struct_size = UInt32(MemoryLayout<bh_qlayout>.size)
    given.max_bits = UInt32(maxBits)
    let context = instance.context(layer)
    try layer.withLayer(shape: shape) { (cLayer) throws(PluginError) in
      _ = try context.run("layout") { call in
        withUnsafeMutablePointer(to: &given) {
          functions.layout(instance.pointer, call, cLayer, $0)
        }
      }
    }
    return try checked(given, layer, shape, maxBits: maxBits)
  }

  /// Scale and zero point from the values (a weight), or from a range `[minimum, maximum]` given as
  /// the two-element tensor that stands for an activation.
  public func calibrate(
    _ layer: LayerContext, _ layout: QuantizationLayout, values: Tensor
  ) throws(PluginError) -> QuantizationParameters {
    try expect(
      values, .float32, layer.role == .activation ? [2] : values.shape, "calibrate", "values")
    let shape = layout.parameterShape(values.shape)
    var scale = Tensor(zeros: shape)
    var zeroPoint = Tensor(zeros: shape, layout.elementType)
    let tensors = BorrowedTensors()
    try scale.withUnsafeMutableElements(of: Float.self) { (scales) throws(PluginError) in
      scales.update(repeating: .nan)
      try zeroPoint.withUnsafeMutableBytes { (zeros) throws(PluginError) in
        var parameters = bh_qparams()
        parameters.struct_size = UInt32(MemoryLayout<bh_qparams>.size)
        parameters.scale = tensors.view(scales.baseAddress, .float32, shape: shape)
        parameters.zero_point = tensors.view(zeros.baseAddress, layout.elementType, shape: shape)
        let x = tensors.input(values)
        try run("calibrate", layer, values.shape) { call, cLayer in
          var cLayout = layout.cLayout
          return functions.calibrate(
            instance.pointer, call, cLayer, &cLayout, x, &parameters)
        }
      }
    }
    let result = QuantizationParameters(scale: scale, zeroPoint: zeroPoint)
    try check(result, layout, layer)
    return result
  }

  /// Integers in the layout's element type, shape of `values`.
  public func quantize(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    values: Tensor
  ) throws(PluginError) -> Tensor {
    try expect(values, .float32, values.shape, "quantize", "values")
    try expect(parameters, layout, values.shape, "quantize")
    var integers = Tensor(zeros: values.shape, layout.elementType)
    let tensors = BorrowedTensors()
    try integers.withUnsafeMutableBytes { (bytes) throws(PluginError) in
      var cParameters = cParameters(parameters, tensors)
      let x = tensors.input(values)
      let out = tensors.view(bytes.baseAddress, layout.elementType, shape: values.shape)
      try run("quantize", layer, values.shape) { call, cLayer in
        var cLayout = layout.cLayout
        return functions.quantize(
          instance.pointer, call, cLayer, &cLayout, &cParameters, x, out)
      }
    }
    try checkRange(integers, layout, layer)
    return integers
  }

  /// float32 values, shape of `integers`.
  public func dequantize(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    integers: Tensor
  ) throws(PluginError) -> Tensor {
    try expect(integers, layout.elementType, integers.shape, "dequantize", "integers")
    try expect(parameters, layout, integers.shape, "dequantize")
    var values = Tensor(zeros: integers.shape)
    let tensors = BorrowedTensors()
    try values.withUnsafeMutableElements(of: Float.self) { (out) throws(PluginError) in
      out.update(repeating: .nan)
      var cParameters = cParameters(parameters, tensors)
      let q = tensors.input(integers)
      let view = tensors.view(out.baseAddress, .float32, shape: integers.shape)
      try run("dequantize", layer, integers.shape) { call, cLayer in
        var cLayout = layout.cLayout
        return functions.dequantize(
          instance.pointer, call, cLayer, &cLayout, &cParameters, q, view)
      }
      if bh_count_nonfinite_f32(out.baseAddress, Int64(out.count)) != 0,
        let index = firstNotFinite(UnsafeBufferPointer(out))
      {
        throw wrongResult(
          "dequantize", layer, "value \(index)", "\(out[index])", "written and finite")
      }
    }
    return values
  }

  private func run(
    _ function: String, _ layer: LayerContext, _ shape: [Int],
    _ body: (UnsafeMutablePointer<bh_call>, UnsafePointer<bh_layer>) -> bh_status
  ) throws(PluginError) {
    let context = instance.context(layer)
    try layer.withLayer(shape: shape) { (cLayer) throws(PluginError) in
      _ = try context.run(function) { call in body(call, UnsafePointer(cLayer)) }
    }
  }

  private func cParameters(
    _ parameters: QuantizationParameters, _ tensors: BorrowedTensors
  ) -> bh_qparams {
    var result = bh_qparams()
    result.struct_size = UInt32(MemoryLayout<bh_qparams>.size)
    result.scale = tensors.input(parameters.scale)
    result.zero_point = tensors.input(parameters.zeroPoint)
    return result
  }
}
