internal import BillhookPluginKit
internal import BillhookSDK

/// Scores output channels by a statistic of their activations. Has no state.
final class OutputScorer: ScorerHook {
  enum Criterion { case meanAbsolute, notZero }
  private let criterion: Criterion

  init(_ criterion: Criterion) { self.criterion = criterion }

  func score(
    _ call: HostCall, _ layer: bh_layer, _ input: bh_score_in, scores: bh_tensor
  ) throws(HookFailure) {
    let given = criterion == .meanAbsolute ? input.out_abs_mean : input.out_zero_fraction
    guard let given, given.pointee.count == scores.count else {
      throw HookFailure(
        BH_E_INVALID_ARG,
        "\(given?.pointee.count ?? 0) values for \(scores.count) output channels")
    }
    guard let statistic = given.pointee.pointer(to: Float.self),
      let out = scores.pointer(to: Float.self)
    else { return }
    for channel in 0..<scores.count {
      out[channel] = criterion == .meanAbsolute ? statistic[channel] : 1 - statistic[channel]
    }
  }
}
