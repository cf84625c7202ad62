internal import BillhookKernels
internal import BillhookSDK
public import BillhookTensor

/// An instance of a quantizer plugin. Use it on one thread at a time.
public final class Quantizer {
  public let descriptor: PluginDescriptor
  let instance: PluginInstance
  let functions: bh_quantizer
  /// The plugin's `billhook.quant-export/1`, or nil.
  let export: bh_quant_export?

  init(instance: PluginInstance, functions: bh_quantizer, export: bh_quant_export? = nil) {
    descriptor = instance.plugin.descriptor
    self.instance = instance
    self.functions = functions
    self.export = export
  }

  /// How a tensor of this shape will be stored; nil when the plugin leaves it in float32.
  ///
  /// - Parameter weightBits: The most bits that a weight's affine integers may use, 2...8; the host
  ///   lowers it to 7 where a pair sum could saturate. Activations always have 8.
  /// - Throws: ``PluginError``, also when the plugin asks for what the limit or the type forbids.
  public func layout(
    _ layer: LayerContext, shape: [Int], weightBits: Int
  ) throws(PluginError) -> QuantizationLayout? {
    guard (2...8).contains(weightBits) else {
      throw .wrongTensor(
        plugin: descriptor.id, function: "layout", argument: "weightBits", found: "\(weightBits)",
        expected: "2 to 8")
    }
    let maxBits = layer.role == .weight ? weightBits : 8
    var given = bh_qlayout()
    given.struct_size = UInt32(MemoryLayout<bh_qlayout>.size)
    given.max_bits = UInt32(maxBits)
    var status = BH_OK
    let error = run("layout", layer, shape) { call, cLayer in
      status = withUnsafeMutablePointer(to: &given) {
        functions.layout(instance.pointer, call, cLayer, $0)
      }
      return status
    }
    if let error { throw error }
    if status == BH_SKIP { return nil }
    let reader = LayoutReader(quantizer: self, layer: layer, shape: shape, maxBits: maxBits)
    return try reader.layout(given)
  }

  /// True when the plugin wants to see activations, not only their range.
  public var observesActivations: Bool { functions.observe != nil }

  /// Shows an activation of one calibration batch to a plugin that ``observesActivations``.
  public func observe(_ layer: LayerContext, values: Tensor) throws(PluginError) {
    guard let observe = functions.observe else { return }
    try expect(values, .float32, values.shape, "observe", "values")
    let tensors = BorrowedTensors(for: instance)
    let x = tensors.input(values)
    let error = run("observe", layer, values.shape) { call, cLayer in
      observe(instance.pointer, call, cLayer, x)
    }
    if let error { throw error }
  }

  /// Scale, zero point and table from the values (a weight), or from a range `[minimum, maximum]`
  /// given as the two-element tensor that stands for an activation.
  public func calibrate(
    _ layer: LayerContext, _ layout: QuantizationLayout, values: Tensor
  ) throws(PluginError) -> QuantizationParameters {
    try expect(
      values, .float32, layer.role == .activation ? [2] : values.shape, "calibrate", "values")
    guard layout.formula != .opaque else { return emptyParameters(layout, values.shape) }
    let tensors = BorrowedTensors(for: instance)
    let x = tensors.input(values)
    let result = try self.parameters(layout, values.shape, tensors) { parameters in
      run("calibrate", layer, values.shape, layout) { call, cLayer, cLayout in
        functions.calibrate(instance.pointer, call, cLayer, cLayout, x, parameters)
      }
    }
    try check(result, layout, layer, "calibrate")
    return result
  }

  /// Integers in the layout's element type, shape of `values`; of an opaque layout its bytes,
  /// `[blocks, bytes of a block]`.
  public func quantize(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    values: Tensor
  ) throws(PluginError) -> Tensor {
    try expect(values, .float32, values.shape, "quantize", "values")
    try expect(parameters, layout, values.shape, "quantize")
    let shape = layout.integerShape(values.shape)
    var integers = Tensor(zeros: shape, layout.elementType)
    let tensors = BorrowedTensors(for: instance)
    let error: PluginError? = integers.withUnsafeMutableBytes { bytes in
      var cParameters = cParameters(parameters, layout, tensors)
      let x = tensors.input(values)
      let out = tensors.view(bytes.baseAddress, layout.elementType, shape: shape)
      return run("quantize", layer, values.shape, layout) { call, cLayer, cLayout in
        functions.quantize(instance.pointer, call, cLayer, cLayout, &cParameters, x, out)
      }
    }
    if let error { throw error }
    try checkRange(integers, layout, layer, "quantize")
    return integers
  }

  /// float32 values.
  ///
  /// - Parameter shape: Of the tensor; needed for an opaque layout alone, else that of `integers`.
  public func dequantize(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    integers: Tensor, shape: [Int]? = nil
  ) throws(PluginError) -> Tensor {
    let shape = shape ?? integers.shape
    try expect(
      integers, layout.elementType, layout.integerShape(shape), "dequantize", "integers")
    try expect(parameters, layout, shape, "dequantize")
    return try values("dequantize", layer, shape) { tensors, view in
      var cParameters = cParameters(parameters, layout, tensors)
      let q = tensors.input(integers)
      return run("dequantize", layer, shape, layout) { call, cLayer, cLayout in
        functions.dequantize(instance.pointer, call, cLayer, cLayout, &cParameters, q, view)
      }
    }
  }

  // MARK: - Training

  /// Whether a gradient can pass through a tensor of this layout.
  public func isTrainable(_ layout: QuantizationLayout) -> Bool {
    functions.fake_quant_grad != nil || layout.formula == .affine
  }

  /// - Throws: ``PluginError/noGradient(plugin:layer:formula:)`` unless ``isTrainable(_:)``.
  public func checkTrainable(
    _ layer: LayerContext, _ layout: QuantizationLayout
  ) throws(PluginError) {
    guard isTrainable(layout) else {
      throw .noGradient(
        plugin: descriptor.id, layer: layer.name, formula: layout.formula.rawValue)
    }
  }

  /// What is left of the values after quantization: the plugin's `fake_quant`, or what its
  /// `dequantize` makes of its `quantize`.
  public func fakeQuantize(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    values: Tensor
  ) throws(PluginError) -> Tensor {
    guard let fakeQuantize = functions.fake_quant else {
      let integers = try quantize(layer, layout, parameters, values: values)
      return try dequantize(
        layer, layout, parameters, integers: integers, shape: values.shape)
    }
    try expect(parameters, layout, values.shape, "fake_quant")
    return try self.values("fake_quant", layer, values.shape) { tensors, view in
      var cParameters = cParameters(parameters, layout, tensors)
      let x = tensors.input(values)
      return run("fake_quant", layer, values.shape, layout) { call, cLayer, cLayout in
        fakeQuantize(instance.pointer, call, cLayer, cLayout, &cParameters, x, view)
      }
    }
  }

  /// dLoss/dx from dLoss/dy, for y = fakeQuantize(x): the plugin's `fake_quant_grad`, or, for an
  /// affine layout, the gradient itself where x lies within the integers and 0 where it is clipped.
  ///
  /// - Throws: ``PluginError/noGradient(plugin:layer:formula:)`` unless ``isTrainable(_:)``.
  ///
  /// Source: Bengio, Léonard and Courville, *Estimating or Propagating Gradients Through Stochastic
  /// Neurons for Conditional Computation*, 2013, section 3.1, arXiv:1308.3432.
  public func fakeQuantizeGradient(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    values: Tensor, gradient: Tensor
  ) throws(PluginError) -> Tensor {
    try expect(gradient, .float32, values.shape, "fake_quant_grad", "gradient")
    try expect(parameters, layout, values.shape, "fake_quant_grad")
    guard let function = functions.fake_quant_grad else {
      try checkTrainable(layer, layout)
      return StraightThrough(layout, parameters, values.shape).gradient(values, gradient)
    }
    return try self.values("fake_quant_grad", layer, values.shape) { tensors, view in
      var cParameters = cParameters(parameters, layout, tensors)
      let x = tensors.input(values)
      let dy = tensors.input(gradient)
      return run("fake_quant_grad", layer, values.shape, layout) { call, cLayer, cLayout in
        function(instance.pointer, call, cLayer, cLayout, &cParameters, x, dy, view)
      }
    }
  }
}
