internal import BillhookPluginKit
internal import BillhookSDK

/// Affine quantization to int8 and uint8, and of weights to fewer bits. Has no state but its
/// parameters.
final class AffineQuantizer: QuantizerHook {
  enum Granularity: Int { case channel, tensor, block }

  private let isActivationSymmetric: Bool
  private let granularity: Granularity
  private let isWeightSymmetric: Bool
  private let weightBits: Int64
  private let blockSize: Int64

  init(
    isActivationSymmetric: Bool, granularity: Granularity, isWeightSymmetric: Bool,
    weightBits: Int64, blockSize: Int64
  ) {
    self.isActivationSymmetric = isActivationSymmetric
    self.granularity = granularity
    self.isWeightSymmetric = isWeightSymmetric
    self.weightBits = weightBits
    self.blockSize = blockSize
  }

  func layout(
    _ call: HostCall, _ layer: bh_layer, _ layout: inout bh_qlayout
  ) throws(HookFailure) {
    let isWeight = Int32(layer.role) == BH_ROLE_WEIGHT
    let isSymmetric = isWeight ? isWeightSymmetric : isActivationSymmetric
    let isUnsigned = !isWeight && !isSymmetric
    let bits = isWeight ? min(weightBits, Int64(layout.max_bits)) : Int64(layout.max_bits)
    let count = Int64(1) << bits
    layout.formula = UInt32(BH_QFORMULA_AFFINE)
    layout.q_code = UInt8(isUnsigned ? BH_CODE_UINT : BH_CODE_INT)
    layout.q_bits = isWeight ? UInt8(weightBits) : 8
    layout.symmetric = isSymmetric ? 1 : 0
    layout.qmax = isUnsigned ? count - 1 : count / 2 - 1
    // A weight's integers are symmetric too: -128 would have no partner. An activation is
    // quantized by ONNX QuantizeLinear, which saturates to the whole type.
    layout.qmin = isUnsigned ? 0 : isWeight && isSymmetric ? -layout.qmax : -count / 2
    layout.export_flags = BH_QEXPORT_DEQUANT_EXACT | BH_QEXPORT_QUANT_EXACT
    layout.granularity = UInt32(BH_QGRANULARITY_TENSOR)
    layout.axis = -1
    guard isWeight else { return }
    let isThin = layer.in_axis >= 0 && layer.sizes[Int(layer.in_axis)] == 1
    switch granularity {
    case .tensor: break
    // Along an axis of one index each weight would be a block, and its scale larger than itself.
    case .block where isThin && layer.out_axis >= 0, .channel:
      guard layer.out_axis >= 0 else { return }
      layout.granularity = UInt32(BH_QGRANULARITY_AXIS)
      layout.axis = layer.out_axis
    case .block:
      layout.granularity = UInt32(BH_QGRANULARITY_BLOCK)
      layout.axis = layer.in_axis
      layout.block_size = blockSize
    }
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
    for part in Blocks(layout, x.sizes).parts {
      try call.check(
        kernels.min_max(
          call.pointer, x.pointer(to: Float.self).map { $0 + part.element }, part.outer,
          part.count, part.inner, low + part.scale, high + part.scale))
    }
    try call.check(
      kernels.affine_params(
        call.pointer, low, high, Int64(count), Int32(layout.qmin), Int32(layout.qmax),
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
    let zeros = try zeroPoints(call, layout, parameters)
    let kernels = try call.kernels()
    let scale = parameters.scale.pointee.pointer(to: Float.self)
    for part in Blocks(layout, x.sizes).parts {
      try call.check(
        kernels.affine_quantize(
          call.pointer, x.pointer(to: Float.self).map { $0 + part.element }, part.outer,
          part.count, part.inner, scale.map { $0 + part.scale }, zeros + part.scale,
          Int32(layout.qmin), Int32(layout.qmax), UInt32(layout.q_code),
          q.pointer(to: UInt8.self).map { $0 + part.element }))
    }
  }

  func dequantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    q: bh_tensor, x: bh_tensor
  ) throws(HookFailure) {
    let zeros = try zeroPoints(call, layout, parameters)
    let kernels = try call.kernels()
    let scale = parameters.scale.pointee.pointer(to: Float.self)
    for part in Blocks(layout, x.sizes).parts {
      try call.check(
        kernels.affine_dequantize(
          call.pointer, q.pointer(to: UInt8.self).map { $0 + part.element }, UInt32(layout.q_code),
          part.outer, part.count, part.inner, scale.map { $0 + part.scale }, zeros + part.scale,
          x.pointer(to: Float.self).map { $0 + part.element }))
    }
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
}
