internal import BillhookPluginKit
internal import BillhookSDK

/// Affine quantization to int8 and uint8. Has no state but its parameters.
final class AffineQuantizer: QuantizerHook {
  private let isActivationSymmetric: Bool
  private let isPerChannel: Bool
  private let isWeightSymmetric: Bool

  init(isActivationSymmetric: Bool, isPerChannel: Bool, isWeightSymmetric: Bool) {
    self.isActivationSymmetric = isActivationSymmetric
    self.isPerChannel = isPerChannel
    self.isWeightSymmetric = isWeightSymmetric
  }

  func layout(
    _ call: HostCall, _ layer: bh_layer, _ layout: inout bh_qlayout
  ) throws(HookFailure) {
    let isWeight = Int32(layer.role) == BH_ROLE_WEIGHT
    let isSymmetric = isWeight ? isWeightSymmetric : isActivationSymmetric
    let isUnsigned = !isWeight && !isSymmetric
    let count = Int64(1) << Int64(layout.max_bits)
    layout.q_code = UInt8(isUnsigned ? BH_CODE_UINT : BH_CODE_INT)
    layout.q_bits = 8
    layout.symmetric = isSymmetric ? 1 : 0
    layout.qmax = isUnsigned ? count - 1 : count / 2 - 1
    // A weight's integers are symmetric too: -128 would have no partner. An activation is
    // quantized by ONNX QuantizeLinear, which saturates to the whole type.
    layout.qmin = isUnsigned ? 0 : isWeight && isSymmetric ? -layout.qmax : -count / 2
    let hasAxis = isWeight && isPerChannel && layer.out_axis >= 0
    layout.granularity = UInt32(hasAxis ? BH_QGRANULARITY_AXIS : BH_QGRANULARITY_TENSOR)
    layout.axis = hasAxis ? layer.out_axis : -1
  }

  func calibrate(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, x: bh_tensor, out: bh_qparams
  ) throws(HookFailure) {
    let kernels = try call.kernels()
    let count = out.scale.pointee.count
    guard count > 0 else { return }
    let low = try call.scratch(Float.self, count: count)
    let high = try call.scratch(Float.self, count: count)
    let zeros = try call.scratch(Int32.self, count: count)
    // The two values that stand for an activation are a tensor like any other: its range is theirs.
    let (outer, channels, inner) = Self.channels(x, layout)
    try call.check(
      kernels.min_max(
        call.pointer, x.pointer(to: Float.self), outer, channels, inner, low, high))
    try call.check(
      kernels.affine_params(
        call.pointer, low, high, channels, Int32(layout.qmin), Int32(layout.qmax),
        layout.symmetric, out.scale.pointee.pointer(to: Float.self), zeros))
    if Int32(layout.q_code) == BH_CODE_INT, let target = Self.pointer(out.zero_point, Int8.self) {
      for index in 0..<count { target[index] = Int8(clamping: zeros[index]) }
    } else if let target = Self.pointer(out.zero_point, UInt8.self) {
      for index in 0..<count { target[index] = UInt8(clamping: zeros[index]) }
    }
  }

  func quantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, q: bh_tensor
  ) throws(HookFailure) {
    let (outer, channels, inner) = Self.channels(x, layout)
    let zeros = try zeroPoints(call, layout, parameters)
    try call.check(
      try call.kernels().affine_quantize(
        call.pointer, x.pointer(to: Float.self), outer, channels, inner,
        parameters.scale.pointee.pointer(to: Float.self), zeros, Int32(layout.qmin),
        Int32(layout.qmax), UInt32(layout.q_code), q.pointer(to: UInt8.self)))
  }

  func dequantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    q: bh_tensor, x: bh_tensor
  ) throws(HookFailure) {
    let (outer, channels, inner) = Self.channels(q, layout)
    let zeros = try zeroPoints(call, layout, parameters)
    try call.check(
      try call.kernels().affine_dequantize(
        call.pointer, q.pointer(to: UInt8.self), UInt32(layout.q_code), outer, channels, inner,
        parameters.scale.pointee.pointer(to: Float.self), zeros, x.pointer(to: Float.self)))
  }

  /// The zero points as the kernels want them.
  private func zeroPoints(
    _ call: HostCall, _ layout: bh_qlayout, _ parameters: bh_qparams
  ) throws(HookFailure) -> UnsafeMutablePointer<Int32> {
    let count = parameters.zero_point.pointee.count
    let zeros = try call.scratch(Int32.self, count: count)
    if Int32(layout.q_code) == BH_CODE_INT {
      let given = Self.pointer(parameters.zero_point, Int8.self)
      for index in 0..<count { zeros[index] = given.map { Int32($0[index]) } ?? 0 }
    } else {
      let given = Self.pointer(parameters.zero_point, UInt8.self)
      for index in 0..<count { zeros[index] = given.map { Int32($0[index]) } ?? 0 }
    }
    return zeros
  }

  private static func pointer<T: BitwiseCopyable>(
    _ tensor: UnsafePointer<bh_tensor>, _ type: T.Type
  ) -> UnsafeMutablePointer<T>? { tensor.pointee.pointer(to: type) }

  /// A tensor seen as [outer, channels, inner], with one scale per channel.
  private static func channels(
    _ tensor: bh_tensor, _ layout: bh_qlayout
  ) -> (outer: Int64, channels: Int64, inner: Int64) {
    let sizes = tensor.sizes.map { Int64($0) }
    let axis = Int(layout.axis)
    guard Int32(layout.granularity) == BH_QGRANULARITY_AXIS, sizes.indices.contains(axis) else {
      return (1, 1, sizes.reduce(1, *))
    }
    return (sizes[..<axis].reduce(1, *), sizes[axis], sizes[(axis + 1)...].reduce(1, *))
  }
}
