public import BillhookGraph
public import BillhookTensor

/// A graph compiled for training with one batch size: forward, backward and parameter update.
///
/// Trained are the float32 weights, biases and batch-norm scales; batch-norm statistics follow
/// their momentum. One caller at a time.
public final class TrainingPlan {
  public let batchSize: Int

  /// Compiles a graph for training.
  ///
  /// - Parameters:
  ///   - keepingZeros: Names of parameters whose elements that are zero now stay exactly zero.
  ///   - seed: For Dropout.
  public init(
    _ graph: Graph, batchSize: Int, optimizer: Optimizer, keepingZeros: Set<String> = [],
    seed: UInt64 = 0
  ) throws(RuntimeError) {
    fatalError("skeleton")
  }

  /// One step: forward, loss, backward, update.
  ///
  /// - Parameters:
  ///   - learningRate: Step size, at least 0; 0 leaves the parameters alone.
  ///   - lossGradient: Gets the first graph output, `[N, C]`, and a gradient tensor of the same
  ///     shape to fill with dLoss/dOutput.
  public func step(
    _ inputs: [String: Tensor], learningRate: Float,
    lossGradient: (_ output: Tensor, _ gradient: inout Tensor) throws -> Void
  ) throws {
    fatalError("skeleton")
  }

  /// Runs the forward half in training mode, so that batch-norm statistics are re-estimated;
  /// parameters do not change.
  ///
  /// - Parameter momentum: Share of the old statistics that is kept (ONNX's meaning), 0..<1; nil
  ///   uses each node's own. `Double(k) / Double(k + 1)` at batch k gives the plain mean.
  public func updateStatistics(_ inputs: [String: Tensor], momentum: Float?) throws {
    fatalError("skeleton")
  }

  /// Gradients of the trained parameters from the last ``step``, by name, in plain layout.
  public func gradients() -> [String: Tensor] { fatalError("skeleton") }

  /// The names of the parameters that are trained.
  public var parameterNames: [String] { fatalError("skeleton") }

  /// Copies the trained parameters and batch-norm statistics back into a graph that has them.
  public func store(into graph: inout Graph) { fatalError("skeleton") }
}
