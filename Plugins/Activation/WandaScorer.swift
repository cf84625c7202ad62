internal import BillhookPluginKit
internal import BillhookSDK

/// Scores by |w| times the L2 norm of the input channel. Has no state.
final class WandaScorer: ScorerHook {
  func score(
    _ call: HostCall, _ layer: bh_layer, _ input: bh_score_in, scores: bh_tensor
  ) throws(HookFailure) {
    let kernels = try call.kernels()
    let count = input.weight.pointee.count
    guard count > 0 else {
      scores.pointer(to: Float.self)?.update(repeating: 0, count: scores.count)
      return
    }
    guard let weight = input.weight.pointee.pointer(to: Float.self),
      let squares = input.in_sq_norm?.pointee.pointer(to: Float.self),
      let out = scores.pointer(to: Float.self)
    else { throw HookFailure(BH_E_INVALID_ARG, "\"in_sq_norm\" is missing") }
    let axes = try InputAxes(layer)

    guard Int32(input.granularity) != BH_GRANULARITY_ELEMENT else {
      return try elements(call, kernels, layer, axes, weight, squares, count, into: out)
    }
    let products = try call.scratch(Float.self, count: count)
    try elements(call, kernels, layer, axes, weight, squares, count, into: products)
    if Int32(input.granularity) == BH_GRANULARITY_OUT_CHANNEL {
      let (outer, channels, inner) = layer.around(axis: layer.out_axis)
      try call.check(
        kernels.abs_power_sums(call.pointer, products, outer, channels, inner, 1, out))
    } else {
      for group in 0..<axes.groups {
        try call.check(
          kernels.abs_power_sums(
            call.pointer, products + group * axes.groupElements, Int64(axes.rows),
            Int64(axes.channels), Int64(axes.inner), 1, out + group * axes.channels))
      }
    }
  }

  /// Scores `count` elements of the layer from `element_begin` on.
  private func elements(
    _ call: HostCall, _ kernels: bh_kernel_table, _ layer: bh_layer, _ axes: InputAxes,
    _ weight: UnsafeMutablePointer<Float>, _ squares: UnsafeMutablePointer<Float>, _ count: Int,
    into out: UnsafeMutablePointer<Float>
  ) throws(HookFailure) {
    let norms = try call.scratch(Float.self, count: axes.channels)
    let begin = Int(layer.element_begin)
    var done = 0
    while done < count {
      // The elements of one group are neighbours, and share its channels.
      let first = begin + done
      let group = first / axes.groupElements
      let length = min(count - done, (group + 1) * axes.groupElements - first)
      // A piece may meet few of many channels: only those get a root.
      let firstRun = first / axes.inner
      let runs = min((first + length - 1) / axes.inner - firstRun + 1, axes.channels)
      for run in firstRun..<firstRun + runs {
        let channel = run % axes.channels
        norms[channel] = squares[group * axes.channels + channel].squareRoot()
      }
      try call.check(
        kernels.abs_times_channel(
          call.pointer, weight + done, Int64(first), Int64(length), norms, Int64(axes.channels),
          Int64(axes.inner), out + done))
      done += length
    }
  }
}

/// A weight seen as [groups, rows, channels, inner] around its input axis.
private struct InputAxes {
  let groups: Int
  let rows: Int
  let channels: Int
  let inner: Int
  var groupElements: Int { rows * channels * inner }

  init(_ layer: bh_layer) throws(HookFailure) {
    guard layer.in_axis >= 0 else {
      throw HookFailure(
        BH_E_UNSUPPORTED, "a weight of shape \(layer.sizes) has no input channels")
    }
    let (outer, count, inner) = layer.around(axis: layer.in_axis)
    guard layer.groups == 1 || (layer.out_axis == 0 && outer % layer.groups == 0) else {
      throw HookFailure(
        BH_E_UNSUPPORTED,
        "\(layer.groups) groups in a weight of shape \(layer.sizes) with output axis "
          + "\(layer.out_axis); output channels must come first and divide by the groups")
    }
    groups = Int(layer.groups)
    rows = Int(outer / layer.groups)
    channels = Int(count)
    self.inner = Int(inner)
  }
}
