internal import BillhookGraph
internal import BillhookTensor

/// A case that expects the random numbers of another library, of which only the distribution can be
/// checked.
enum RandomCase {
  case bernoulli
  case dropout

  init?(_ name: String) {
    if name.hasPrefix("bernoulli") {
      self = .bernoulli
    } else if name.hasPrefix("training_dropout"), !name.contains("zero_ratio") {
      self = .dropout
    } else {
      return nil
    }
  }

  /// What is wrong with the outputs; nil when type, shape and distribution are right.
  func difference(
    _ found: [String: Tensor], _ expected: [String: Tensor], _ inputs: [String: Tensor],
    _ graph: Graph
  ) -> String? {
    for (name, tensor) in expected.sorted(by: { $0.key < $1.key }) {
      guard let own = found[name], own.elementType == tensor.elementType, own.shape == tensor.shape
      else { return "\(name): another type or shape than expected" }
    }
    guard let x = inputs[graph.inputs[0].name]?.numbers(),
      let y = found[graph.outputs[0].name]?.numbers()
    else { return "no first input or output" }
    switch self {
    case .bernoulli:
      guard y.allSatisfy({ $0 == 0 || $0 == 1 }) else { return "other numbers than 0 and 1" }
      let variance = x.reduce(0) { $0 + $1 * (1 - $1) }
      return Self.isFar(y.reduce(0, +), from: x.reduce(0, +), variance)
    case .dropout:
      let ratio =
        graph.inputs.count > 1 ? inputs[graph.inputs[1].name]?.numbers().first ?? 0.5 : 0.5
      let kept = zip(x, y).filter { $1 != 0 }
      guard kept.allSatisfy({ abs($1 - $0 / (1 - ratio)) <= 1e-5 * max(1, abs($1)) }) else {
        return "what stays is not divided by \(1 - ratio)"
      }
      let count = Double(x.count)
      return Self.isFar(Double(kept.count), from: count * (1 - ratio), count * ratio * (1 - ratio))
    }
  }

  /// A sum that lies within four standard deviations is taken to be by chance.
  private static func isFar(_ sum: Double, from mean: Double, _ variance: Double) -> String? {
    let limit = 4 * max(variance, 0).squareRoot()
    return abs(sum - mean) <= limit + 1e-9 ? nil : "a sum of \(sum), expected \(mean) ± \(limit)"
  }
}
