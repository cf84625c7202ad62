/// How the learning rate changes while training.
public struct LearningRateSchedule: Sendable, Equatable, Codable {
  public enum Shape: Sendable, Equatable, Codable {
    case constant
    /// Multiplied by `factor` after each `everyEpochs` epochs.
    case step(everyEpochs: Int, factor: Float)
    /// From the base rate down to `final` over half a cosine wave.
    ///
    /// Source: Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, 2017,
    /// equation 5, arXiv:1608.03983. Our deviation: no restarts.
    case cosine(final: Float = 0)
  }

  /// The rate after the warm-up, greater than 0.
  public var base: Float
  public var shape: Shape
  /// Steps over which the rate grows linearly from near 0 to `base`.
  public var warmupSteps: Int

  public init(base: Float, shape: Shape = .constant, warmupSteps: Int = 0) {
    self.base = base
    self.shape = shape
    self.warmupSteps = warmupSteps
  }

  /// The rate of step `step`, in 0..<`totalSteps`.
  public func rate(step: Int, totalSteps: Int, stepsPerEpoch: Int) -> Float {
    if step < warmupSteps { return base * Float(step + 1) / (Float(warmupSteps) + 1) }
    switch shape {
    case .constant: return base
    case .step(let everyEpochs, let factor):
      let drops = step / max(stepsPerEpoch, 1) / max(everyEpochs, 1)
      return (0..<drops).reduce(base) { rate, _ in rate * factor }
    case .cosine(let final):
      let length = max(totalSteps - warmupSteps, 1)
      let progress = Double(step - warmupSteps) / Double(length)
      return final + (base - final) * Float(0.5 * (1 + cosine(.pi * min(progress, 1))))
    }
  }
}

/// cos(x) for x in 0...π by its Taylor series about π/2: the same bits on every machine, which the
/// C library does not promise.
private func cosine(_ x: Double) -> Double {
  let y = .pi / 2 - x
  var term = y
  var sum = y
  for k in 1...13 {
    term *= -y * y / Double((2 * k) * (2 * k + 1))
    sum += term
  }
  return sum
}
