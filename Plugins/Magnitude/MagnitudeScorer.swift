internal import BillhookPluginKit
internal import BillhookSDK

/// Scores by |w|^exponent. Has no state but its parameter, so calls may overlap.
final class MagnitudeScorer: ScorerHook {
  private let exponent: Double

  init(exponent: Double) { self.exponent = exponent }

  func score(
    _ call: HostCall, _ layer: bh_layer, _ input: bh_score_in, scores: bh_tensor
  ) throws(HookFailure) {
    let kernels = try call.kernels()
    let weight = input.weight.pointee.pointer(to: Float.self)
    let out = scores.pointer(to: Float.self)
    switch Int32(input.granularity) {
    case BH_GRANULARITY_ELEMENT:
      try call.check(
        kernels.abs_power(call.pointer, weight, Int64(scores.count), exponent, out))
    case BH_GRANULARITY_OUT_CHANNEL:
      let (outer, count, inner) = layer.around(axis: layer.out_axis)
      try call.check(
        kernels.abs_power_sums(call.pointer, weight, outer, count, inner, exponent, out))
    default:
      try inputChannels(call, kernels, layer, weight, out)
    }
  }

  private func inputChannels(
    _ call: HostCall, _ kernels: bh_kernel_table, _ layer: bh_layer,
    _ weight: UnsafeMutablePointer<Float>?, _ out: UnsafeMutablePointer<Float>?
  ) throws(HookFailure) {
    let (outer, count, inner) = layer.around(axis: layer.in_axis)
    guard layer.groups > 1, let weight, let out else {
      try call.check(
        kernels.abs_power_sums(call.pointer, weight, outer, count, inner, exponent, out))
      return
    }
    // Each group has input channels of its own, and its output channels are neighbours.
    guard layer.out_axis == 0, outer % layer.groups == 0 else {
      throw HookFailure(
        BH_E_UNSUPPORTED,
        "\(layer.groups) groups in a weight of shape \(layer.sizes) with output axis "
          + "\(layer.out_axis); output channels must come first and divide by the groups")
    }
    let rows = outer / layer.groups
    for group in 0..<layer.groups {
      try call.check(
        kernels.abs_power_sums(
          call.pointer, weight + Int(group * rows * count * inner), rows, count, inner, exponent,
          out + Int(group * count)))
    }
  }
}
