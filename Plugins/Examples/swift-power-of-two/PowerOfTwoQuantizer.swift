internal import BillhookPluginKit
internal import BillhookSDK

/// Weights as signed powers of two: 0, ±1, ±1/2, … times a scale that is a power of two itself.
///
/// What to learn here: a quantizer in Swift with fake quantization and a gradient of its own, so that
/// networks can be trained through a codebook.
final class PowerOfTwoQuantizer: QuantizerHook {
  /// The levels, in rising order, of which 0 is the middle one.
  private let levels: [Float]

  /// - Parameter bits: Of an index, 2...8; one of the 2^bits levels stays unused.
  /// - Throws: ``HookFailure`` for any other number, which a host may try.
  init(bits: Int64) throws(HookFailure) {
    guard (2...8).contains(bits) else {
      throw HookFailure(BH_E_INVALID_ARG, "bits is \(bits) but must be 2 to 8")
    }
    let powers = (1 << (Int(bits) - 1)) - 1
    let positive = (0..<powers).map {
      Float(sign: .plus, exponent: $0 - powers + 1, significand: 1)
    }
    levels = positive.reversed().map { -$0 } + [0] + positive
  }

  func layout(
    _ call: HostCall, _ layer: bh_layer, _ layout: inout bh_qlayout
  ) throws(HookFailure) {
    guard Int32(layer.role) == BH_ROLE_WEIGHT else { throw HookFailure(BH_SKIP) }
    layout.formula = UInt32(BH_QFORMULA_CODEBOOK)
    layout.q_code = UInt8(BH_CODE_UINT)
    layout.qmax = Int64(levels.count - 1)
    layout.q_bits = UInt8(8 - UInt8(levels.count).leadingZeroBitCount)
    layout.export_flags = BH_QEXPORT_DEQUANT_EXACT
    let hasAxis = layer.out_axis >= 0
    layout.granularity = UInt32(hasAxis ? BH_QGRANULARITY_AXIS : BH_QGRANULARITY_TENSOR)
    layout.axis = layer.out_axis
  }

  /// The scale is the power of two at or above two thirds of the largest magnitude, which is where
  /// the largest level is the nearest to it.
  func calibrate(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, x: bh_tensor, out: bh_qparams
  ) throws(HookFailure) {
    let (outer, count, inner) = layer.around(axis: layout.axis)
    let low = try call.scratch(Float.self, count: Int(count))
    let high = try call.scratch(Float.self, count: Int(count))
    try call.check(
      try call.kernels().min_max(
        call.pointer, x.pointer(to: Float.self), outer, count, inner, low, high))
    if let scales = out.scale.pointee.pointer(to: Float.self) {
      for channel in 0..<Int(count) {
        let largest = max(-low[channel], high[channel], Float.leastNormalMagnitude * 2)
        let power = Float(sign: .plus, exponent: Int(largest.exponent), significand: 1)
        scales[channel] = largest > power * 1.5 ? power * 2 : power
      }
    }
    if let table = out.table.pointee.pointer(to: Float.self) {
      for (index, level) in levels.enumerated() { table[index] = level }
    }
  }

  func quantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, q: bh_tensor
  ) throws(HookFailure) {
    guard let values = x.pointer(to: Float.self), let indices = q.pointer(to: UInt8.self) else {
      return
    }
    each(layer, layout, parameters) { element, scale in
      indices[element] = UInt8(nearest(values[element] / scale))
    }
  }

  func dequantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    q: bh_tensor, x: bh_tensor
  ) throws(HookFailure) {
    guard let values = x.pointer(to: Float.self), let indices = q.pointer(to: UInt8.self) else {
      return
    }
    each(layer, layout, parameters) { element, scale in
      values[element] = levels[Int(indices[element])] * scale
    }
  }

  func fakeQuantize(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, y: bh_tensor
  ) throws(HookFailure) {
    guard let values = x.pointer(to: Float.self), let rounded = y.pointer(to: Float.self) else {
      return
    }
    each(layer, layout, parameters) { element, scale in
      rounded[element] = levels[nearest(values[element] / scale)] * scale
    }
  }

  /// Straight through: no weight lies outside of the levels, so none is clipped.
  func fakeQuantizeGradient(
    _ call: HostCall, _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    x: bh_tensor, gradY: bh_tensor, gradX: bh_tensor
  ) throws(HookFailure) {
    guard let source = gradY.pointer(to: Float.self), let target = gradX.pointer(to: Float.self)
    else { return }
    target.update(from: source, count: x.count)
  }

  /// The index of the level nearest to a number.
  private func nearest(_ x: Float) -> Int {
    var low = 0
    var high = levels.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if x < levels[middle] { high = middle } else { low = middle }
    }
    return x - levels[low] <= levels[high] - x ? low : high
  }

  /// Every element with its scale.
  private func each(
    _ layer: bh_layer, _ layout: bh_qlayout, _ parameters: bh_qparams,
    _ body: (_ element: Int, _ scale: Float) -> Void
  ) {
    guard let scales = parameters.scale.pointee.pointer(to: Float.self) else { return }
    let (outer, count, inner) = layer.around(axis: layout.axis)
    var element = 0
    for _ in 0..<Int(outer) {
      for channel in 0..<Int(count) {
        for _ in 0..<Int(inner) {
          body(element, scales[channel])
          element += 1
        }
      }
    }
  }
}
