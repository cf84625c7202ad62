import BillhookPlugins
import BillhookTensor
import Testing

@Suite struct AffineInt8Tests {
  static func quantizer(_ parameters: [String: ParameterValue] = [:]) throws -> Quantizer {
    try builtIns.plugin("affine-int8", hook: .quantizer).makeQuantizer(parameters)
  }

  static let activation = layer("relu", outAxis: -1, inAxis: -1, role: .activation)

  @Test func `layouts follow the parameters and the host's limit`() throws {
    let standard = try Self.quantizer()
    #expect(
      try standard.layout(layer(), shape: [4, 3], weightBits: 8)
        == QuantizationLayout(
          elementType: .int8, minimum: -127, maximum: 127, isSymmetric: true, granularity: .axis(0))
    )
    #expect(
      try standard.layout(layer(), shape: [4, 3], weightBits: 7)
        == QuantizationLayout(
          elementType: .int8, minimum: -63, maximum: 63, isSymmetric: true, granularity: .axis(0)))
    #expect(
      try standard.layout(Self.activation, shape: [1, 8], weightBits: 7)
        == QuantizationLayout(
          elementType: .uint8, minimum: 0, maximum: 255, isSymmetric: false, granularity: .tensor))
    let other = try Self.quantizer([
      "scheme": .string("asymmetric"), "granularity": .string("tensor"),
      "weight_scheme": .string("asymmetric"),
    ])
    #expect(
      try other.layout(layer(), shape: [4, 3], weightBits: 7)
        == QuantizationLayout(
          elementType: .int8, minimum: -64, maximum: 63, isSymmetric: false, granularity: .tensor))
    #expect(
      try other.layout(Self.activation, shape: [1, 8], weightBits: 8)
        == QuantizationLayout(
          elementType: .uint8, minimum: 0, maximum: 255, isSymmetric: false, granularity: .tensor))
  }

  @Test func `a weight is quantized as by hand`() throws {
    let weight = Tensor([1.27, -0.635, 0.01, 0, 2.54, -2.54] as [Float], shape: [2, 3])
    let quantizer = try Self.quantizer()
    let layout = try #require(
      try quantizer.layout(layer(), shape: weight.shape, weightBits: 8))
    let parameters = try quantizer.calibrate(layer(), layout, values: weight)
    #expect(parameters.scale.elements(of: Float.self) == [1.27 / 127, 2.54 / 127])
    #expect(parameters.zeroPoint == Tensor([0, 0] as [Int8]))
    let integers = try quantizer.quantize(layer(), layout, parameters, values: weight)
    // 0.635 / 0.01 is 63.5 or just beside it in float32: the division decides, as in ONNX.
    let middle = Int8((Float(-0.635) / Float(1.27 / Float(127))).rounded(.toNearestOrEven))
    #expect(integers == Tensor([127, middle, 1, 0, 127, -127] as [Int8], shape: [2, 3]))
  }

  @Test func `an activation's range includes zero exactly`() throws {
    let quantizer = try Self.quantizer(["scheme": .string("asymmetric")])
    let layout = try #require(
      try quantizer.layout(Self.activation, shape: [1, 8], weightBits: 8))
    let range = Tensor([-1, 3] as [Float])
    let parameters = try quantizer.calibrate(Self.activation, layout, values: range)
    // scale = 4 / 255, zero point = round(1 / scale) = round(63.75) = 64.
    #expect(parameters.scale == Tensor(scalar: Float(4.0 / 255)))
    #expect(parameters.zeroPoint == Tensor(scalar: UInt8(64)))
    let values = Tensor([0, -1, 3, -9, 9, 0.008] as [Float])
    let integers = try quantizer.quantize(Self.activation, layout, parameters, values: values)
    #expect(integers == Tensor([64, 0, 255, 0, 255, 65] as [UInt8]))
    let back = try quantizer.dequantize(Self.activation, layout, parameters, integers: integers)
    #expect(back.elements(of: Float.self)[0] == 0)

    // A range above zero is widened to it.
    let above = try quantizer.calibrate(
      Self.activation, layout, values: Tensor([2, 5.1] as [Float]))
    #expect(above.scale == Tensor(scalar: Float(5.1) / 255))
    #expect(above.zeroPoint == Tensor(scalar: UInt8(0)))
  }

  static let schemes = ["symmetric", "asymmetric"]
  static let granularities = ["channel", "tensor"]
  static let shapes = [[1, 1], [3, 17], [16, 3, 3, 3], [5, 4099]]

  @Test(arguments: schemes, granularities)
  func `a round trip is off by half a scale at most`(scheme: String, granularity: String) throws {
    for (seed, shape) in Self.shapes.enumerated() {
      for axis in [0, 1] {
        let weight = randomTensor(shape, seed: UInt64(seed), scale: 3)
        let layer = layer(outAxis: axis, inAxis: 1 - axis)
        let quantizer = try Self.quantizer([
          "weight_scheme": .string(scheme), "granularity": .string(granularity),
        ])
        let layout = try #require(
          try quantizer.layout(layer, shape: shape, weightBits: 8))
        let parameters = try quantizer.calibrate(layer, layout, values: weight)
        let integers = try quantizer.quantize(layer, layout, parameters, values: weight)
        let back = try quantizer.dequantize(layer, layout, parameters, integers: integers)

        let scales = parameters.scale.elements(of: Float.self)
        let zeros = try #require(parameters.zeroPoint.integers())
        let inner = shape[(axis + 1)...].reduce(1, *)
        let stored = integers.elements(of: Int8.self)
        let values = weight.elements(of: Float.self)
        for (index, value) in back.elements(of: Float.self).enumerated() {
          let channel = granularity == "tensor" ? 0 : index / inner % shape[axis]
          let scale = scales[channel]
          #expect(abs(value - values[index]) <= scale * 0.50001)
          // ONNX QuantizeLinear, written out.
          let rounded = (values[index] / scale).rounded(.toNearestOrEven) + Float(zeros[channel])
          let expected = min(max(rounded, Float(layout.minimum)), Float(layout.maximum))
          #expect(Float(stored[index]) == expected)
        }
        // Quantizing what came back changes nothing.
        #expect(
          try quantizer.quantize(layer, layout, parameters, values: back).elements(of: Int8.self)
            == stored)
      }
    }
  }

  @Test(arguments: [[0, 3], [3, 0]])
  func `an empty weight is legal`(shape: [Int]) throws {
    let quantizer = try Self.quantizer()
    let weight = Tensor(zeros: shape)
    let layout = try #require(
      try quantizer.layout(layer(), shape: shape, weightBits: 8))
    let parameters = try quantizer.calibrate(layer(), layout, values: weight)
    #expect(parameters.scale.shape == [shape[0]])
    let integers = try quantizer.quantize(layer(), layout, parameters, values: weight)
    #expect(integers.shape == shape)
  }

  @Test func `zeros have scale one and stay zeros`() throws {
    let quantizer = try Self.quantizer()
    let weight = Tensor([0, 0, .leastNonzeroMagnitude, 0] as [Float], shape: [2, 2])
    let layout = try #require(
      try quantizer.layout(layer(), shape: [2, 2], weightBits: 8))
    let parameters = try quantizer.calibrate(layer(), layout, values: weight)
    #expect(parameters.scale.elements(of: Float.self) == [1, Float.leastNormalMagnitude])
    let integers = try quantizer.quantize(layer(), layout, parameters, values: weight)
    #expect(integers == Tensor([0, 0, 0, 0] as [Int8], shape: [2, 2]))
  }

  @Test(arguments: [Float.nan, .infinity])
  func `a weight that is not finite is refused`(bad: Float) throws {
    let quantizer = try Self.quantizer()
    let weight = Tensor([1, bad, 3, 4] as [Float], shape: [2, 2])
    let layout = try #require(
      try quantizer.layout(layer(), shape: [2, 2], weightBits: 8))
    #expect(
      sentence { _ = try quantizer.calibrate(layer(), layout, values: weight) } == """
        Plugin "org.billhook.affine-int8" failed in "calibrate" on layer "conv": 1 of 4 values are \
        NaN or infinite; all must be finite (status -6).
        """)
  }

  @Test func `an activation is calibrated from two values`() throws {
    let quantizer = try Self.quantizer()
    let layout = try #require(
      try quantizer.layout(Self.activation, shape: [4], weightBits: 8))
    #expect(
      sentence {
        _ = try quantizer.calibrate(Self.activation, layout, values: Tensor(zeros: [3]))
      } == """
        "values" for "calibrate" of plugin "org.billhook.affine-int8" is float32 [3] but must be \
        float32 [2].
        """)
  }
}
