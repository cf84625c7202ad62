// @name@: a quantizer. Symmetric integers with a scale for each output channel of a weight, and one
// scale for an activation.
internal import BillhookPluginKit
public import BillhookSDK

final class Symmetric: QuantizerHook {
  func layout(_ call: HostCall, _ layer: bh_layer, _ layout: inout bh_qlayout) throws(HookFailure) {
    let byChannel = Int32(layer.role) == BH_ROLE_WEIGHT && layer.out_axis >= 0
    layout.formula = UInt32(BH_QFORMULA_AFFINE)
    layout.q_code = UInt8(BH_CODE_INT)
    layout.q_bits = 8
    layout.qmax = (1 << (Int64(layout.max_bits) - 1)) - 1
    layout.qmin = -layout.qmax
    layout.symmetric = 1
    layout.granularity = UInt32(byChannel ? BH_QGRANULARITY_AXIS : BH_QGRANULARITY_TENSOR)
    layout.axis = byChannel ? layer.out_axis : -1
    layout.export_flags = BH_QEXPORT_DEQUANT_EXACT | BH_QEXPORT_QUANT_EXACT
  }

  func calibrate(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, x: bh_tensor, out: bh_qparams
  ) throws(HookFailure) {
    let kernels = try call.kernels()
    let (outer, count, inner) = around(layout, x)
    let values = x.pointer(to: Float.self)
    // For an activation calibration has found the lowest and the highest value already.
    var low = values
    var high = values.map { $0 + 1 }
    if Int32(layer.role) == BH_ROLE_WEIGHT {
      low = try call.scratch(Float.self, count: Int(count))
      high = try call.scratch(Float.self, count: Int(count))
      try call.check(kernels.min_max(call.pointer, values, outer, count, inner, low, high))
    }
    out.zero_point.pointee.pointer(to: Int8.self)?.update(repeating: 0, count: Int(count))
    try call.check(
      kernels.affine_params(
        call.pointer, low, high, count, Int32(layout.qmin), Int32(layout.qmax), layout.symmetric,
        out.scale.pointee.pointer(to: Float.self), try zeroPoints(call, count)))
  }

  func quantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, q: bh_tensor
  ) throws(HookFailure) {
    let kernels = try call.kernels()
    let (outer, count, inner) = around(layout, x)
    try call.check(
      kernels.affine_quantize(
        call.pointer, x.pointer(to: Float.self), outer, count, inner,
        parameters.scale.pointee.pointer(to: Float.self), try zeroPoints(call, count),
        Int32(layout.qmin), Int32(layout.qmax), UInt32(layout.q_code), q.data))
  }

  func dequantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    q: bh_tensor, x: bh_tensor
  ) throws(HookFailure) {
    let kernels = try call.kernels()
    let (outer, count, inner) = around(layout, q)
    try call.check(
      kernels.affine_dequantize(
        call.pointer, q.data, UInt32(layout.q_code), outer, count, inner,
        parameters.scale.pointee.pointer(to: Float.self), try zeroPoints(call, count),
        x.pointer(to: Float.self)))
  }

  /// A tensor seen as [outer, count, inner] around the axis that has a scale an index.
  private func around(
    _ layout: bh_qlayout, _ x: bh_tensor
  ) -> (outer: Int64, count: Int64, inner: Int64) {
    let sizes = x.sizes.map { Int64($0) }
    let axis = Int(layout.axis)
    guard axis >= 0 else { return (1, 1, sizes.reduce(1, *)) }
    return (sizes[..<axis].reduce(1, *), sizes[axis], sizes[(axis + 1)...].reduce(1, *))
  }

  private func zeroPoints(
    _ call: HostCall, _ count: Int64
  ) throws(HookFailure) -> UnsafeMutablePointer<Int32> {
    let points = try call.scratch(Int32.self, count: Int(count))
    points.update(repeating: 0, count: Int(count))
    return points
  }
}

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func entry() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.example.@name@.module", version: "1.0.0", vendor: "Example", license: "0BSD",
  plugins: [
    .quantizer(
      id: "org.example.@name@", name: "@name@",
      summary: "Symmetric integers with a scale for each output channel.",
      doc: "Weights get a scale for each output channel, activations one for the tensor.",
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT,
      create: { call, values, out in createQuantizer(call, values, out) { _ in Symmetric() } })
  ])
