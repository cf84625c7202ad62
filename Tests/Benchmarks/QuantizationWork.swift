internal import BillhookKernels
internal import BillhookPlugins
internal import BillhookTensor

/// Symmetric int8 with a scale a row of a 32768×2048 matrix, through the plugin's three calls.
func timeQuantization(_ bench: Bench) throws {
  let work = "int8-per-channel-64Mi"
  guard bench.wants(work) else { return }
  let quantizer = try PluginCatalog().plugin("affine-int8", hook: .quantizer).makeQuantizer()
  let weight = normalTensor([16 * 2048, 2048], seed: 0)
  let layer = LayerContext(
    role: .weight, index: 0, name: "w", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
  var integers = Tensor(zeros: [0], .int8)
  var scales = Tensor(zeros: [0])
  try bench.time(work, runs: 5, warmUpRuns: 1) {
    integers = Tensor(zeros: [0], .int8)
    guard let layout = try quantizer.layout(layer, shape: weight.shape, weightBits: 8) else {
      throw WrongResult("the quantizer leaves a weight of \(weight.shape) out")
    }
    let parameters = try quantizer.calibrate(layer, layout, values: weight)
    integers = try quantizer.quantize(layer, layout, parameters, values: weight)
    scales = parameters.scale
  } check: {
    let (rows, columns) = (weight.shape[0], weight.shape[1])
    var expectedScales = Tensor(zeros: [rows])
    var expected = Tensor(zeros: weight.shape, .int8)
    expectedScales.withUnsafeMutableElements(of: Float.self) { scales in
      expected.withUnsafeMutableElements(of: Int8.self) { out in
        weight.withUnsafeElements(of: Float.self) {
          bh_quantize_channels_f32_s8_scalar(
            $0.baseAddress, 1, Int64(rows), Int64(columns), 1, -127, 127, scales.baseAddress, nil,
            out.baseAddress)
        }
      }
    }
    guard scales == expectedScales else {
      throw WrongResult("the scales are not those of the scalar reference")
    }
    guard integers == expected else {
      throw WrongResult("the integers are not those of the scalar reference")
    }
  }
}
