internal import BillhookSDK
internal import Glibc

extension PlainInstance {
  /// Scores one layer, or a piece of it.
  func score(
    _ layer: bh_layer, _ input: bh_score_in, _ scores: bh_tensor, isCancelled: () -> Bool
  ) throws(PlainFault) {
    guard let call = functions.plugin.call(.scorer) else { return }
    try PlainFrame.with { (frame) throws(PlainFault) in
      frame[.weight] = PlainView(input.weight.pointee)
      frame[.scores] = PlainView(scores)
      // Functions that have no answer for no values are none the worse; such a channel is worth nothing.
      guard frame[.weight].count > 0 else {
        if let data = frame[.scores].data { memset(data, 0, frame[.scores].bytes) }
        return
      }
      if let grad = input.grad { frame[.grad] = PlainView(grad.pointee) }
      if let mask = input.mask { frame[.mask] = PlainView(mask.pointee) }
      if let tensor = input.in_abs_mean { frame[.inputAbsMean] = PlainView(tensor.pointee) }
      if let tensor = input.in_sq_norm { frame[.inputSquaredNorm] = PlainView(tensor.pointee) }
      if let tensor = input.out_abs_mean { frame[.outputAbsMean] = PlainView(tensor.pointee) }
      if let tensor = input.out_zero_fraction {
        frame[.outputZeroFraction] = PlainView(tensor.pointee)
      }
      frame[.axis] = Int(layer.out_axis)
      frame[.samples] = Int(input.n_samples)
      // Without memory of its own a small call stays free of allocations.
      let isElement = input.granularity == UInt32(BH_GRANULARITY_ELEMENT)
      if call.mode == .whole, isElement, !call.needsMemory {
        try run(.scorer, &frame, PlainMemory())
        return
      }
      let memory = PlainMemory()
      try withExtendedLifetime(memory) { () throws(PlainFault) in
        if !isElement { try arrangeChannels(layer, input, call, frame, memory) }
        guard let out = frame[.scores].data?.assumingMemoryBound(to: Float.self) else { return }
        switch call.mode {
        case .elements: try runElements(&frame, memory, into: out, isCancelled: isCancelled)
        case .whole: try run(.scorer, &frame, memory, isCancelled: isCancelled)
        case .rows:
          let weight = frame[.weight]
          let returnsScore = call.returns == .score
          var rows = Rows(
            count: weight.rows, cols: weight.cols, outCols: isElement ? weight.cols : 1)
          if returnsScore { rows.finish = { out[$0] = $1.float } }
          try run(.scorer, &frame, memory, rows: rows, isCancelled: isCancelled)
        }
      }
    }
  }

  /// Puts the weights of each channel behind each other, where they are not so already, and where
  /// the function does not go by shape and strides itself.
  private func arrangeChannels(
    _ layer: bh_layer, _ input: bh_score_in, _ call: PlainCall, _ frame: PlainFrame,
    _ memory: PlainMemory
  ) throws(PlainFault) {
    let weight = frame[.weight]
    let shape = (0..<weight.ndim).map { Int(weight.shape![$0]) }
    let isOutput = input.granularity == UInt32(BH_GRANULARITY_OUT_CHANNEL)
    let axes = (out: Int(layer.out_axis), in: Int(layer.in_axis))
    guard shape.indices.contains(isOutput ? axes.out : axes.in) else {
      throw PlainFault("the layer has no such channels")
    }
    let groups = max(Int(layer.groups), 1)
    let channels = isOutput ? shape[axes.out] : shape[axes.in] * groups
    let cols = channels > 0 ? weight.count / channels : 0
    let goesByShape = call.bindings.contains {
      $0 == .tensor(.weight, .shape) || $0 == .tensor(.weight, .strides)
    }
    for tensor in [PlainTensor.weight, .grad, .mask] {
      var view = frame[tensor]
      guard let data = view.data else { continue }
      view.rows = channels
      view.cols = cols
      if !(isOutput && axes.out == 0), !goesByShape {
        guard let copy = memory.allocate(view.bytes) else {
          throw PlainFault("there is no memory for \(view.bytes) bytes")
        }
        let source = data.assumingMemoryBound(to: Float.self)
        let target = copy.assumingMemoryBound(to: Float.self)
        var filled = [Int](repeating: 0, count: channels)
        let steps = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
        let outputsInGroup = max(
          (shape.indices.contains(axes.out) ? shape[axes.out] : 1) / groups, 1)
        for index in 0..<view.count {
          func place(_ axis: Int) -> Int {
            shape.indices.contains(axis) ? index / steps[axis] % shape[axis] : 0
          }
          let channel =
            isOutput
            ? place(axes.out)
            : place(axes.out) / outputsInGroup * shape[axes.in] + place(axes.in)
          target[channel * cols + filled[channel]] = source[index]
          filled[channel] += 1
        }
        view.data = copy
      }
      frame[tensor] = view
    }
  }
}
