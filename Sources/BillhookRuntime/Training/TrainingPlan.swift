public import BillhookGraph
public import BillhookTensor
internal import OrderedCollections

/// A graph compiled for training with one batch size: forward, backward and parameter update.
///
/// Trained are the float32 weights, biases and batch-norm scales; batch-norm statistics follow
/// their momentum. Weights, gradients and the optimizer's state stay in the layout that the kernels
/// chose, so nothing is reordered for an update. One caller at a time.
public final class TrainingPlan {
  public let batchSize: Int
  let plan: KernelPlan
  private let inputs: [(name: String, value: PlanValue)]
  private let output: PlanValue
  private let outputGradient: PlanValue
  private let forwardEnd: Int32
  let parameters: OrderedDictionary<String, PlanValue>
  let statistics: OrderedDictionary<String, PlanValue>
  private let gradientValues: OrderedDictionary<String, PlanValue>
  var updates: [ParameterUpdate]
  private var gradient: Tensor

  /// Compiles a graph for training.
  ///
  /// - Parameters:
  ///   - graph: A graph whose first output is what the loss looks at, `[N, C]`.
  ///   - batchSize: At least 1; bound to every symbolic first axis of the inputs.
  ///   - keepingZeros: Names of parameters whose elements that are zero now stay exactly zero.
  ///   - seed: For Dropout.
  /// - Throws: ``RuntimeError``, which names the node that has no gradient or cannot be compiled.
  public init(
    _ graph: Graph, batchSize: Int, optimizer: Optimizer, keepingZeros: Set<String> = [],
    seed: UInt64 = 0
  ) throws(RuntimeError) {
    guard batchSize >= 1 else { throw .batchSizeNotPositive(batchSize) }
    self.batchSize = batchSize
    let types: [String: ValueType]
    do {
      try graph.verify()
      types = try graph.inferTypes(binding: graph.binding(batchSize: batchSize))
    } catch {
      throw .graph(error)
    }
    let lowering = try Lowering(graph, types: types, mode: .training, seed: seed)
    plan = lowering.plan
    inputs = try lowering.feedInputs()
    let steps = graph.steps(mode: .training, observed: [], types: types)
    for step in steps { try lowering.lower(step) }
    guard let outputName = graph.outputs.first?.name, lowering.dependsOnParameters(outputName)
    else { throw .nothingToTrain }
    output = try lowering.float(outputName)
    // The loss reads it after all of the forward half has run.
    try plan.keep(output)
    forwardEnd = plan.position
    plan.currentNode = outputName
    outputGradient = try plan.input(output.shape, .float32)
    gradient = Tensor(zeros: output.shape)
    let backward = Backward(lowering)
    try backward.build(steps, output: outputName, gradient: outputGradient)
    gradientValues = backward.parameterGradients
    for value in gradientValues.values { try plan.keep(value) }
    parameters = lowering.parameters.filter { backward.parameterGradients[$0.key] != nil }
    statistics = lowering.statistics
    try plan.finish()
    updates = []
    for (name, parameter) in parameters {
      updates.append(
        ParameterUpdate(
          weights: plan.raw(parameter), gradients: plan.raw(gradientValues[name]!),
          optimizer: optimizer, keepsZeros: keepingZeros.contains(name)))
    }
  }

  /// One step: forward, loss, backward, update.
  ///
  /// - Parameters:
  ///   - learningRate: Step size, at least 0; 0 leaves the parameters alone.
  ///   - lossGradient: Gets the first graph output, `[N, C]`, and a gradient tensor of the same
  ///     shape to fill with dLoss/dOutput.
  /// - Throws: ``RuntimeError`` when an input does not fit; whatever `lossGradient` throws.
  public func step(
    _ inputs: [String: Tensor], learningRate: Float,
    lossGradient: (_ output: Tensor, _ gradient: inout Tensor) throws -> Void
  ) throws {
    let feeds = try plan.matching(inputs, self.inputs)
    try plan.withBound(feeds) {
      try plan.run(0..<forwardEnd)
      try lossGradient(try plan.read(output), &gradient)
      try plan.withBound([(outputGradient, gradient)]) {
        try plan.run(forwardEnd..<plan.position)
      }
    }
    guard learningRate > 0 else { return }
    for index in updates.indices { updates[index].apply(learningRate: learningRate) }
  }

  /// Runs the forward half in training mode, so that batch-norm statistics are re-estimated;
  /// parameters do not change.
  ///
  /// - Parameter momentum: Share of the old statistics that is kept (ONNX's meaning), 0..<1; nil
  ///   uses each node's own. `Float(k) / Float(k + 1)` at batch k gives the plain mean.
  public func updateStatistics(_ inputs: [String: Tensor], momentum: Float?) throws {
    let feeds = try plan.matching(inputs, self.inputs)
    plan.setMomentum(momentum)
    defer { plan.setMomentum(nil) }
    try plan.withBound(feeds) { try plan.run(0..<forwardEnd) }
  }

  /// Gradients of the trained parameters from the last ``step``, by name, in plain layout.
  public func gradients() throws -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (name, value) in gradientValues {
      result[name] = try plan.read(value).reshaped(parameters[name]!.shape)
    }
    return result
  }

  /// The names of the parameters that are trained, in the order in which the graph reads them.
  public var parameterNames: [String] { Array(parameters.keys) }

  /// Copies the trained parameters and batch-norm statistics back into a graph that has them.
  public func store(into graph: inout Graph) throws {
    for (name, value) in parameters { graph.setConstant(name, try plan.read(value)) }
    for (name, value) in statistics { graph.setConstant(name, try plan.read(value)) }
  }

  /// Bytes of intermediate values, shared by their lifetimes.
  public var arenaBytes: Int { plan.arenaBytes }

  /// What each operation of the plan is, in running order.
  public var operations: [String] { (0..<plan.position).map { plan.describe($0) } }
}
