/// How many samples a network classifies as their labels say.
public struct Evaluation: Sendable, Codable, Equatable {
  public var correct: Int
  public var count: Int
  /// `correct / count`, 0...1.
  public var top1: Double
  /// The 95 % interval of `top1`.
  public var intervalLow: Double
  public var intervalHigh: Double
  /// Mean cross-entropy in nats, the outputs taken as logits (as probabilities when the network
  /// ends in Softmax).
  public var meanLoss: Double?

  public init(correct: Int, count: Int, meanLoss: Double? = nil) {
    self.correct = correct
    self.count = count
    self.meanLoss = meanLoss
    top1 = count > 0 ? Double(correct) / Double(count) : 0
    (intervalLow, intervalHigh) = Self.wilsonInterval(correct: correct, count: count)
  }

  /// The 95 % score interval of a proportion.
  ///
  /// Source: Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, 1927.
  /// No continuity correction.
  public static func wilsonInterval(correct: Int, count: Int) -> (low: Double, high: Double) {
    guard count > 0 else { return (0, 1) }
    // The 97.5 % point of the normal distribution.
    let z = 1.959963984540054
    let n = Double(count)
    let p = Double(correct) / n
    let middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    let half = z * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot() / (1 + z * z / n)
    // At the ends the formula gives 0 and 1 but for rounding.
    return (correct == 0 ? 0 : max(0, middle - half), correct == count ? 1 : min(1, middle + half))
  }
}
