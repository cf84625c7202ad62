internal import BillhookSDK

extension PlainInstance {
  private var plugin: PlainPlugin { functions.plugin }

  /// How a tensor is stored: integers, or blocks of bytes row by row.
  func layout(_ layer: bh_layer, _ out: inout bh_qlayout) throws(PlainFault) {
    if let block = plugin.block {
      guard layer.role == UInt32(BH_ROLE_WEIGHT) else {
        throw PlainFault("a packed format is for weights: use the mode \"weight-only\"")
      }
      out.formula = UInt32(BH_QFORMULA_OPAQUE)
      out.granularity = UInt32(BH_QGRANULARITY_BLOCK)
      out.axis = -1
      out.block_size = Int64(block.values)
      out.block_bytes = Int64(block.bytes)
      out.storage = UInt32(BH_QSTORAGE_CUSTOM)
      out.storage_id = functions.storageID
      return
    }
    guard let layout = plugin.layout else { return }
    var range = layout.minimum...layout.maximum
    if range.count > 1 << out.max_bits {
      // A function that is told the range can use a smaller one.
      guard plugin.calls.contains(where: { $0.bindings.contains { $0.target == .integer(.qmax) } })
      else {
        throw PlainFault(
          "its integers from \(range.lowerBound) to \(range.upperBound) need more than the "
            + "\(out.max_bits) bits that this layer may use, and it does not take qmax")
      }
      range = range.lowerBound >> 1...range.upperBound >> 1
    }
    out.formula = UInt32(BH_QFORMULA_AFFINE)
    out.q_code = UInt8(layout.isSigned ? BH_CODE_INT : BH_CODE_UINT)
    out.q_bits = 8
    out.qmin = Int64(range.lowerBound)
    out.qmax = Int64(range.upperBound)
    out.symmetric = layout.isSymmetric ? 1 : 0
    let isPerChannel = layout.isPerChannel && layer.role == UInt32(BH_ROLE_WEIGHT)
    out.granularity = UInt32(isPerChannel ? BH_QGRANULARITY_AXIS : BH_QGRANULARITY_TENSOR)
    out.axis = isPerChannel ? layer.out_axis : -1
    out.storage = UInt32(BH_QSTORAGE_NATURAL)
  }

  func calibrate(
    _ layout: bh_qlayout, _ values: bh_tensor, _ out: bh_qparams, isCancelled: () -> Bool
  ) throws(PlainFault) {
    guard let call = plugin.call(.calibrate) else { return widestRange(layout, values, out) }
    let memory = PlainMemory()
    try PlainFrame.with { (frame) throws(PlainFault) in
      frame[.weight] = PlainView(values)
      fillParameters(&frame, layout, out)
      if !call.usesData(.zeroPoint), let zero = frame[.zeroPoint].data {
        zero.initializeMemory(as: UInt8.self, repeating: 0, count: frame[.zeroPoint].bytes)
      }
      try run(.calibrate, &frame, memory, isCancelled: isCancelled)
    }
  }

  func quantize(
    _ layout: bh_qlayout, _ parameters: bh_qparams?, _ values: bh_tensor, _ packed: bh_tensor,
    isCancelled: () -> Bool
  ) throws(PlainFault) {
    let memory = PlainMemory()
    try PlainFrame.with { (frame) throws(PlainFault) in
      let (weight, original) = try paddedWeight(values, memory)
      if let data = weight.data, let source = original.data, data != source {
        data.initializeMemory(as: UInt8.self, repeating: 0, count: weight.bytes)
        data.copyMemory(from: source, byteCount: original.bytes)
      }
      frame[.weight] = weight
      frame[.q] = PlainView(packed)
      fillParameters(&frame, layout, parameters)
      defer { withExtendedLifetime(memory) {} }
      try run(
        .quantize, &frame, memory, rows: rows(weight, frame[.q], .quantize),
        isCancelled: isCancelled)
    }
  }

  func dequantize(
    _ layout: bh_qlayout, _ parameters: bh_qparams?, _ packed: bh_tensor, _ values: bh_tensor,
    isCancelled: () -> Bool
  ) throws(PlainFault) {
    let memory = PlainMemory()
    try PlainFrame.with { (frame) throws(PlainFault) in
      let (weight, original) = try paddedWeight(values, memory)
      if let data = weight.data, data != original.data {
        data.assumingMemoryBound(to: Float.self).update(repeating: .nan, count: weight.count)
      }
      frame[.weight] = weight
      frame[.q] = PlainView(packed)
      fillParameters(&frame, layout, parameters)
      defer { withExtendedLifetime(memory) {} }
      try run(
        .dequantize, &frame, memory, rows: rows(weight, frame[.q], .dequantize),
        isCancelled: isCancelled)
      if let data = weight.data, let target = original.data, data != target {
        target.copyMemory(from: data, byteCount: original.bytes)
      }
    }
  }

  /// The weight as the functions see it: whole blocks, in rows where rows are whole blocks.
  private func paddedWeight(
    _ tensor: bh_tensor, _ memory: PlainMemory
  ) throws(PlainFault) -> (view: PlainView, original: PlainView) {
    let original = PlainView(tensor)
    var view = original
    guard let block = plugin.block, view.cols % block.values != 0 else { return (view, original) }
    let count = (view.count + block.values - 1) / block.values * block.values
    view.rows = 1
    view.cols = count
    view.shape = nil
    view.strides = nil
    view.ndim = 1
    guard count != view.count else { return (view, original) }
    view.count = count
    view.bytes = 4 * count
    view.data = memory.allocate(view.bytes)
    guard view.data != nil else { throw PlainFault("there is no memory for \(view.bytes) bytes") }
    return (view, original)
  }

  private func rows(_ weight: PlainView, _ packed: PlainView, _ role: PlainRole) -> Rows? {
    guard plugin.call(role)?.mode == .rows else { return nil }
    return Rows(count: weight.rows, cols: weight.cols, outCols: weight.cols)
  }

  private func fillParameters(
    _ frame: inout PlainFrame, _ layout: bh_qlayout, _ parameters: bh_qparams?
  ) {
    if let scale = parameters?.scale { frame[.scale] = PlainView(scale.pointee) }
    if let zero = parameters?.zero_point { frame[.zeroPoint] = PlainView(zero.pointee) }
    frame[.axis] = Int(layout.axis)
    frame[.block] = plugin.block?.values ?? 0
    frame[.qmin] = Int(layout.qmin)
    frame[.qmax] = Int(layout.qmax)
  }

  /// Scale and zero point that just hold every value, for a library that does not make them.
  private func widestRange(_ layout: bh_qlayout, _ values: bh_tensor, _ out: bh_qparams) {
    let weight = PlainView(values)
    guard let scales = out.scale.map({ PlainView($0.pointee) }),
      let zeros = out.zero_point.map({ PlainView($0.pointee) }),
      let scale = scales.data?.assumingMemoryBound(to: Float.self),
      let zero = zeros.data?.assumingMemoryBound(to: UInt8.self)
    else { return }
    let data = weight.data?.assumingMemoryBound(to: Float.self)
    var low = [Float](repeating: 0, count: scales.count)
    var high = low
    // The index along the axis of the scales; 0 for one scale.
    let axis = Int(layout.axis)
    let inner = axis >= 0 ? (axis + 1..<weight.ndim).reduce(1) { $0 * Int(weight.shape![$1]) } : 1
    for index in 0..<weight.count {
      let place = axis >= 0 ? index / inner % max(scales.count, 1) : 0
      low[place] = min(low[place], data![index])
      high[place] = max(high[place], data![index])
    }
    let (least, most) = (Float(layout.qmin), Float(layout.qmax))
    for place in 0..<scales.count {
      if layout.symmetric == 1 {
        let largest = max(-low[place], high[place])
        let steps = least < 0 ? min(-least, most) : most
        scale[place] = largest > 0 ? largest / steps : 1
        zero[place] = 0
      } else {
        let width = high[place] - low[place]
        scale[place] = width > 0 ? width / (most - least) : 1
        let offset = (least - low[place] / scale[place]).rounded(.toNearestOrEven)
        zero[place] = UInt8(truncatingIfNeeded: Int(min(max(offset, least), most)))
      }
    }
  }
}
