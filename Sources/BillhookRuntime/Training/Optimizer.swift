/// How parameters follow their gradients.
public enum Optimizer: Sendable, Equatable {
  /// `v ← momentum·v + g + weightDecay·w; w ← w − rate·v`.
  case sgd(momentum: Float = 0.9, weightDecay: Float = 0)
  /// Kingma and Ba 2015, algorithm 1; with `decoupledDecay` it is AdamW (Loshchilov and Hutter
  /// 2019, algorithm 2), else weight decay is added to the gradient.
  case adam(
    beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, weightDecay: Float = 0,
    decoupledDecay: Bool = false)
}
