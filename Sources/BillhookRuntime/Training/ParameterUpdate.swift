internal import BillhookKernels

/// One parameter's share of an optimizer step: its weights, gradient and state, all in the plan's
/// own layout.
///
/// Padding of a blocked layout is zero in weights and gradients alike, and every rule keeps
/// 0 with gradient 0 at 0.
struct ParameterUpdate {
  // Both live as long as the plan, which owns this value.
  private let weights: UnsafeMutableBufferPointer<Float>
  private let gradients: UnsafeMutableBufferPointer<Float>
  private let optimizer: Optimizer
  /// Running means of the gradient and, with Adam, of its square; as many as weights.
  var firstMoment: [Float]
  var secondMoment: [Float]
  /// 0 where an element was zero at the start and stays so; nil when all may change.
  private let keep: [UInt8]?
  /// Steps taken, which Adam's bias correction counts.
  var stepCount: Int64 = 0

  init(
    weights: UnsafeMutableBufferPointer<Float>, gradients: UnsafeMutableBufferPointer<Float>,
    optimizer: Optimizer, keepsZeros: Bool
  ) {
    precondition(weights.count == gradients.count, "a gradient in another layout than its weight")
    self.weights = weights
    self.gradients = gradients
    self.optimizer = optimizer
    keep = keepsZeros ? weights.map { $0 == 0 ? 0 : 1 } : nil
    firstMoment = Array(repeating: 0, count: weights.count)
    if case .adam = optimizer {
      secondMoment = Array(repeating: 0, count: weights.count)
    } else {
      secondMoment = []
    }
  }

  mutating func apply(learningRate: Float) {
    stepCount += 1
    let count = Int64(weights.count)
    switch optimizer {
    case .sgd(let momentum, let weightDecay):
      var options = bh_sgd(
        learning_rate: learningRate, momentum: momentum, weight_decay: weightDecay, nesterov: 0)
      bh_sgd_step_f32(
        &options, 1, gradients.baseAddress, keep, weights.baseAddress, &firstMoment, count)
    case .adam(let beta1, let beta2, let epsilon, let weightDecay, let decoupled):
      var options = bh_adam(
        learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
        weight_decay: weightDecay, decoupled: decoupled ? 1 : 0, step: stepCount)
      bh_adam_step_f32(
        &options, 1, gradients.baseAddress, keep, weights.baseAddress, &firstMoment,
        &secondMoment, count)
    }
  }
}
