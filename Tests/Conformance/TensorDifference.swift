internal import BillhookTensor

extension Tensor {
  /// How a tensor differs from the expected one beyond rounding; nil when it does not.
  ///
  /// The tolerances are those of ONNX's own test runner: 10⁻³ of the expected value, and 10⁻⁷ (times
  /// the largest expected value, since sums round by that measure). What 16 bits hold may differ by
  /// two units in the last place: expected values were rounded on the way, ours only at the end.
  func difference(from expected: Tensor) -> String? {
    guard elementType == expected.elementType else {
      return "\(elementType) instead of \(expected.elementType)"
    }
    guard shape == expected.shape else { return "shape \(shape) instead of \(expected.shape)" }
    if let own = integers(), let others = expected.integers() {
      guard let place = own.indices.first(where: { own[$0] != others[$0] }) else { return nil }
      return "\(own[place]) instead of \(others[place]) at \(place)"
    }
    let numbers = expected.numbers()
    let largest = numbers.reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
    let relative =
      switch elementType {
      case .float16: 0x1p-9
      case .bfloat16: 0x1p-6
      default: 1e-3
      }
    for (place, (own, other)) in zip(self.numbers(), numbers).enumerated() {
      let isNear =
        own == other || (own.isNaN && other.isNaN)
        || abs(own - other) <= 1e-7 * largest + relative * abs(other)
      if !isNear { return "\(own) instead of \(other) at \(place)" }
    }
    return nil
  }
}
