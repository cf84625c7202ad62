internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// Quantization and layers of integers.
extension KernelPlan {
  func quantize(
    _ x: PlanValue, _ grid: QuantizationGrid
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_quantize(
        plan, x.id, grid.elementType.rawValue, grid.scale, grid.zeroPoint, Int64(grid.scale.count),
        Int32(grid.axis)), x.shape, grid.elementType)
  }

  func dequantize(
    _ q: PlanValue, _ grid: QuantizationGrid
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_dequantize(
        plan, q.id, grid.scale, grid.zeroPoint, Int64(grid.scale.count), Int32(grid.axis)),
      q.shape)
  }

  func dynamicQuantize(
    _ x: PlanValue
  ) throws(RuntimeError) -> (integers: PlanValue, scale: PlanValue, zeroPoint: PlanValue) {
    var scale: Int32 = -1
    var zeroPoint: Int32 = -1
    let integers = try made(
      bh_plan_dynamic_quantize(plan, x.id, &scale, &zeroPoint), x.shape, .uint8)
    return (integers, try made(scale, []), try made(zeroPoint, [], .uint8))
  }

  /// `zeroValue`: a value that each run takes the input's zero point from, instead of `zeroPoint`;
  /// `shape`: of the result, behind the max pooling when there is one.
  func integerLayer(
    _ x: PlanValue, zeroPoint: Int32, zeroValue: PlanValue? = nil, weight: Tensor,
    weightZeroPoint: [Int32]?, window: Convolving?, pooling: Window? = nil, output: Requantization,
    _ shape: [Int]
  ) throws(RuntimeError) -> PlanValue {
    let id = output.scale.withUnsafeBufferPointer { scale in
      (output.bias ?? []).withUnsafeBufferPointer { bias in
        weight.withUnsafeBytes { bytes in
          var form = bh_requantize(
            scale: scale.baseAddress, bias: output.bias == nil ? nil : bias.baseAddress,
            activation: output.activation.kernelForm,
            out_type: (output.target?.elementType ?? .float32).rawValue,
            out_scale: output.target?.scale[0] ?? 1,
            out_zero_point: output.target?.zeroPoint[0] ?? 0)
          guard var window = window?.kernelForm else {
            return bh_plan_dense_integer(
              plan, x.id, zeroPoint, zeroValue.id, bytes.baseAddress, weight.elementType.rawValue,
              weightZeroPoint, Int64(weight.shape[0]), &form)
          }
          func made(_ pooling: UnsafePointer<bh_window>?) -> Int32 {
            bh_plan_conv_integer(
              plan, x.id, zeroPoint, zeroValue.id, bytes.baseAddress, weight.elementType.rawValue,
              weightZeroPoint, weight.shape.int64, &window, &form, pooling, shape.int64)
          }
          guard var pooling = pooling?.kernelForm() else { return made(nil) }
          return made(&pooling)
        }
      }
    }
    return try made(id, shape, output.target?.elementType ?? .float32)
  }

  func addInteger(
    _ a: PlanValue, _ aGrid: QuantizationGrid, _ b: PlanValue, _ bGrid: QuantizationGrid,
    _ activation: Activation?, _ target: QuantizationGrid
  ) throws(RuntimeError) -> PlanValue {
    try made(
      bh_plan_add_integer(
        plan, a.id, aGrid.scale[0], aGrid.zeroPoint[0], b.id, bGrid.scale[0], bGrid.zeroPoint[0],
        activation.kernelForm, target.elementType.rawValue, target.scale[0], target.zeroPoint[0]),
      a.shape, target.elementType)
  }
}

extension Activation? {
  fileprivate var kernelForm: bh_activation {
    self?.kernelForm ?? bh_activation(kind: BH_ACTIVATION_NONE, alpha: 0, beta: 0)
  }
}
