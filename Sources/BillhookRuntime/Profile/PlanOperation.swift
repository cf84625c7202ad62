/// An operation of a plan: what runs, and for which nodes of the graph.
public struct PlanOperation: Sendable, Hashable {
  /// The kernel, as `Conv` or `Reorder`; `Host` for an operator computed by its own definition.
  public var kernel: String
  /// The node's name, else that of its first output.
  public var node: String
  /// The node's operator.
  public var op: String
  /// Operators of the nodes behind it that are computed in the same pass, in their order.
  public var fused: [String]

  public init(kernel: String, node: String, op: String, fused: [String] = []) {
    self.kernel = kernel
    self.node = node
    self.op = op
    self.fused = fused
  }
}
