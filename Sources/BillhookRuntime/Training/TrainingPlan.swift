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
  /// The inputs that only steps on the host read.
  private let hostInputs: [String: HostCell]
  private let output: PlanValue
  private let outputGradient: PlanValue
  private let forwardEnd: Int32
  let parameters: OrderedDictionary<String, PlanValue>
  let statistics: OrderedDictionary<String, PlanValue>
  private let gradientValues: OrderedDictionary<String, PlanValue>
  var updates: [ParameterUpdate]
  private var gradient: Tensor
  private let observed: OrderedDictionary<String, PlanValue>
  private let observedGradients: [String: PlanValue]
  private let features: [(name: String, value: PlanValue, gradient: PlanValue)]
  private var featureGradients: [Tensor]

  /// Compiles a graph for training.
  ///
  /// - Parameters:
  ///   - graph: A graph whose first output is what the loss looks at, `[N, C]`.
  ///   - batchSize: At least 1; bound to every symbolic first axis of the inputs.
  ///   - keepingZeros: Names of parameters whose elements that are zero now stay exactly zero.
  ///   - seed: For Dropout.
  ///   - observed: Names of values inside of the graph, for ``value(_:)`` and ``valueGradient(_:)``.
  ///   - features: Names of values that the loss looks at too: its gradient there is added to what
  ///     comes from the output.
  ///   - substitutions: What takes the place of Identity nodes of the graph, by the node's name.
  /// - Throws: ``RuntimeError``, which names the node that has no gradient, the value that does not
  ///   exist, or what cannot be compiled.
  public init(
    _ graph: Graph, batchSize: Int, optimizer: Optimizer, keepingZeros: Set<String> = [],
    seed: UInt64 = 0, observed: [String] = [], features: [String] = [],
    substitutions: [String: any ValueSubstitution] = [:]
  ) throws(RuntimeError) {
    guard batchSize >= 1 else { throw .batchSizeNotPositive(batchSize) }
    self.batchSize = batchSize
    let source = graph.liftingWeights()
    var graph: Graph
    var types: [String: ValueType]
    do {
      try source.verify()
      let binding = source.binding(batchSize: batchSize)
      // Sizes that follow from shapes; forms that kernels know need them constant.
      graph = try source.inliningKnownBranches(binding: binding)
        .foldingConstants(binding: binding, sparingWeights: true)
      types = try graph.inferTypes(binding: binding)
      if let changed = graph.withFloatOperands(types, mode: .training) {
        graph = changed
        types = try graph.inferTypes(binding: binding)
      }
    } catch {
      throw .graph(error)
    }
    let lowering = try Lowering(
      graph, types: types, mode: .training, seed: seed, substitutions: substitutions)
    // What came out of a branch, or was put in, has no name in the caller's graph that is its own.
    lowering.fixed = Set(graph.constantTensors().keys)
      .subtracting(source.constantTensors().keys)
    plan = lowering.plan
    inputs = try lowering.feedInputs()
    hostInputs = lowering.hostInputs
    let steps = graph.steps(mode: .training, observed: Set(observed + features), types: types)
    for step in steps { try lowering.lower(step) }
    var values: OrderedDictionary<String, PlanValue> = [:]
    let made = Set(steps.flatMap { $0.nodes.count > 1 ? [$0.output] : $0.node.outputs })
    for name in observed + features where values[name] == nil {
      guard made.contains(name) else { throw .unknownValue(name: name) }
      values[name] = try lowering.float(name)
      try plan.keep(values[name]!)
    }
    self.observed = values
    guard let outputName = graph.outputs.first?.name else { throw .nothingToTrain }
    try lowering.checkTrained(outputName)
    output = try lowering.float(outputName)
    // The loss reads it after all of the forward half has run.
    try plan.keep(output)
    forwardEnd = plan.position
    plan.currentNode = outputName
    outputGradient = try plan.input(output.shape, .float32)
    gradient = Tensor(zeros: output.shape)
    let backward = Backward(lowering)
    var inner: [(name: String, value: PlanValue, gradient: PlanValue)] = []
    for name in features {
      let value = values[name]!
      plan.currentNode = name
      inner.append((name, value, try plan.input(value.shape, .float32)))
      backward.begin(name, with: inner[inner.count - 1].gradient)
    }
    self.features = inner
    featureGradients = inner.map { Tensor(zeros: $0.value.shape) }
    try backward.build(steps, output: outputName, gradient: outputGradient)
    var gradients: OrderedDictionary<String, PlanValue> = [:]
    for (name, gradient) in backward.parameterGradients {
      gradients[name] = try plan.inLayout(of: lowering.parameters[name]!, gradient)
    }
    gradientValues = gradients
    for value in gradientValues.values { try plan.keep(value) }
    var found: [String: PlanValue] = [:]
    for name in observed {
      guard let value = backward.gradient(of: name) else { continue }
      try plan.keep(value)
      found[name] = value
    }
    observedGradients = found
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
    try step(inputs, learningRate: learningRate) { output, _, gradient, features in
      for index in features.indices { features[index] = Tensor(zeros: features[index].shape) }
      try lossGradient(output, &gradient)
    }
  }

  /// The same for a loss that looks at features.
  ///
  /// - Parameter lossGradient: Gets the output, the features in their order, and a gradient tensor
  ///   to fill for each of them.
  public func step(
    _ inputs: [String: Tensor], learningRate: Float,
    lossGradient: (
      _ output: Tensor, _ features: [Tensor], _ gradient: inout Tensor,
      _ featureGradients: inout [Tensor]
    ) throws -> Void
  ) throws {
    try withFed(inputs) {
      try plan.run(0..<forwardEnd)
      try lossGradient(
        try plan.read(output), try features.map { try plan.read($0.value) }, &gradient,
        &featureGradients)
      let loss =
        [(outputGradient, gradient)] + zip(features, featureGradients).map { ($0.gradient, $1) }
      try plan.withBound(loss) {
        try plan.run(forwardEnd..<plan.position)
      }
    }
    guard learningRate > 0 else { return }
    for index in updates.indices { updates[index].apply(learningRate: learningRate) }
  }

  /// An observed value or feature of the last ``step``, in plain layout.
  public func value(_ name: String) throws -> Tensor {
    guard let value = observed[name] else { throw RuntimeError.unknownValue(name: name) }
    return try plan.read(value)
  }

  /// dLoss/d(value) of an observed value of the last ``step``; zeros when the loss does not depend on
  /// it.
  public func valueGradient(_ name: String) throws -> Tensor {
    guard let value = observed[name] else { throw RuntimeError.unknownValue(name: name) }
    guard let gradient = observedGradients[name] else { return Tensor(zeros: value.shape) }
    return try plan.read(gradient).reshaped(value.shape)
  }

  /// The gradient of one trained parameter from the last ``step``, in plain layout.
  public func gradient(of name: String) throws -> Tensor {
    guard let value = gradientValues[name], let parameter = parameters[name] else {
      throw RuntimeError.unknownValue(name: name)
    }
    return try plan.read(value).reshaped(parameter.shape)
  }

  /// Runs the forward half in training mode, so that batch-norm statistics are re-estimated;
  /// parameters do not change.
  ///
  /// - Parameter momentum: Share of the old statistics that is kept (ONNX's meaning), 0..<1; nil
  ///   uses each node's own. `Float(k) / Float(k + 1)` at batch k gives the plain mean.
  public func updateStatistics(_ inputs: [String: Tensor], momentum: Float?) throws {
    plan.setMomentum(momentum)
    defer { plan.setMomentum(nil) }
    try withFed(inputs) { try plan.run(0..<forwardEnd) }
  }

  /// Gives the plan its inputs while `body` runs.
  private func withFed(_ given: [String: Tensor], _ body: () throws -> Void) throws {
    let feeds = try plan.matching(given, inputs)
    for (input, feed) in zip(inputs, feeds) { hostInputs[input.name]?.tensor = feed.1 }
    try plan.withBound(feeds.filter { $0.0.id >= 0 }, body)
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

  /// The operators whose gradients kernels compute; those of all others are computed on the host.
  public static var kernelOperators: [String] { GradientRules.table.keys.sorted() }

  /// Bytes of intermediate values, shared by their lifetimes.
  public var arenaBytes: Int { plan.arenaBytes }

  /// What each operation of the plan is, in running order.
  public var operations: [String] { (0..<plan.position).map { plan.describe($0) } }
}
