public import BillhookGraph
public import BillhookTensor

/// A graph compiled for one batch size: fused, laid out, ready to run again and again.
///
/// One caller at a time.
public final class InferencePlan {
  /// The number of samples a run takes: the size bound to the graph's symbolic first axis.
  public let batchSize: Int

  /// Compiles a graph.
  ///
  /// - Parameters:
  ///   - graph: Any graph of supported operators.
  ///   - batchSize: At least 1; bound to every symbolic first axis of the inputs.
  ///   - observed: Names of values to hand to `observe` while running. Observing a value keeps it
  ///     from being fused away.
  public init(_ graph: Graph, batchSize: Int, observed: Set<String> = []) throws(RuntimeError) {
    fatalError("skeleton")
  }

  /// Runs the plan once.
  ///
  /// - Parameters:
  ///   - inputs: By input name; shapes as the graph states them with `batchSize` bound.
  ///   - observe: Called for each observed value as soon as it is computed, with the tensor in
  ///     plain row-major layout (valid beyond the call).
  /// - Returns: The graph's outputs by name.
  public func run(
    _ inputs: [String: Tensor], observe: ((_ name: String, _ value: Tensor) throws -> Void)? = nil
  ) throws -> [String: Tensor] {
    fatalError("skeleton")
  }
}
