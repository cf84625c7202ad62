public import BillhookTensor

/// Takes the place of an Identity node in a training plan: what its readers see of a value, and how
/// the gradient passes back. Fake quantization is one.
public protocol ValueSubstitution: AnyObject {
  /// The value as its readers see it, of the same shape.
  ///
  /// - Parameter x: float32.
  func forward(_ x: Tensor) throws -> Tensor

  /// dLoss/dx from dLoss/dy.
  ///
  /// - Parameters:
  ///   - x: What ``forward(_:)`` got in the same step.
  ///   - gradient: dLoss/dy, of the same shape.
  func backward(_ x: Tensor, gradient: Tensor) throws -> Tensor
}
