public import BillhookGraph
public import BillhookTensor

/// A graph compiled for one batch size: fused, laid out, ready to run again and again.
///
/// One caller at a time.
public final class InferencePlan {
  /// The number of samples a run takes: the size bound to the graph's symbolic first axis.
  public let batchSize: Int
  private let plan: KernelPlan
  private let inputs: [(name: String, value: PlanValue)]
  private let outputs: [(name: String, value: LoweredValue)]
  private let taps: [(position: Int32, name: String, value: PlanValue)]

  /// Compiles a graph.
  ///
  /// - Parameters:
  ///   - graph: Any graph of supported operators.
  ///   - batchSize: At least 1; bound to every symbolic first axis of the inputs.
  ///   - observed: Names of values to hand to `observe` while running. Observing a value keeps it
  ///     from being fused away.
  /// - Throws: ``RuntimeError``, which names the node that cannot be compiled.
  public init(_ graph: Graph, batchSize: Int, observed: Set<String> = []) throws(RuntimeError) {
    guard batchSize >= 1 else { throw .batchSizeNotPositive(batchSize) }
    self.batchSize = batchSize
    let folded: Graph
    let types: [String: ValueType]
    do {
      try graph.verify()
      folded = try graph.foldingConstants()
        .foldingBatchNorms(keeping: observed).graph
      types = try folded.inferTypes(binding: folded.binding(batchSize: batchSize))
    } catch {
      throw .graph(error)
    }
    let lowering = try Lowering(folded, types: types, mode: .inference)
    plan = lowering.plan
    inputs = try lowering.feedInputs()

    var taps: [(position: Int32, name: String, value: PlanValue)] = []
    func tap(_ name: String) throws(RuntimeError) {
      guard observed.contains(name) else { return }
      taps.append((lowering.plan.position, name, try lowering.float(name)))
      // A tap of an integer value adds the operation that makes floats of it.
      taps[taps.count - 1].position = lowering.plan.position
    }
    for input in inputs { try tap(input.name) }
    for step in folded.steps(mode: .inference, observed: observed, types: types) {
      try lowering.lower(step)
      try tap(step.output)
    }
    self.taps = taps
    if let missing = observed.subtracting(taps.map(\.name)).sorted().first {
      throw .unknownValue(name: missing)
    }
    var outputs: [(name: String, value: LoweredValue)] = []
    for output in folded.outputs {
      switch lowering.value(output.name) {
      case .constant(let tensor)?: outputs.append((output.name, .constant(tensor)))
      case .computed(let value)?: outputs.append((output.name, .computed(value)))
      default: outputs.append((output.name, .computed(try lowering.float(output.name))))
      }
      if case .computed(let value) = outputs.last!.value { try plan.keep(value) }
    }
    self.outputs = outputs
    try plan.finish()
  }

  /// Runs the plan once.
  ///
  /// - Parameters:
  ///   - inputs: By input name; shapes as the graph states them with `batchSize` bound.
  ///   - observe: Called for each observed value as soon as it is computed, with the tensor in
  ///     plain row-major layout (valid beyond the call).
  /// - Returns: The graph's outputs by name.
  /// - Throws: ``RuntimeError`` when an input is missing, unknown or of the wrong shape; whatever
  ///   `observe` throws.
  public func run(
    _ inputs: [String: Tensor], observe: ((_ name: String, _ value: Tensor) throws -> Void)? = nil
  ) throws -> [String: Tensor] {
    let feeds = try plan.matching(inputs, self.inputs)
    return try plan.withBound(feeds) {
      var position: Int32 = 0
      for tap in taps {
        try plan.run(position..<tap.position)
        position = tap.position
        if let observe { try observe(tap.name, try plan.read(tap.value)) }
      }
      try plan.run(position..<plan.position)
      var results: [String: Tensor] = [:]
      for (name, value) in outputs {
        switch value {
        case .computed(let value): results[name] = try plan.read(value)
        case .constant(let tensor): results[name] = tensor
        case .dequantized, .dequantizedConstant, .integerSums: continue
        }
      }
      return results
    }
  }

  /// Bytes of intermediate values, shared by their lifetimes.
  public var arenaBytes: Int { plan.arenaBytes }

  /// What each operation of the plan is, in running order.
  public var operations: [String] { (0..<plan.position).map { plan.describe($0) } }
}

extension Lowering {
  /// Makes the graph's inputs values of the plan.
  func feedInputs() throws(RuntimeError) -> [(name: String, value: PlanValue)] {
    var result: [(name: String, value: PlanValue)] = []
    for input in graph.inputs {
      plan.currentNode = input.name
      guard let type = types[input.name], let sizes = type.sizes else {
        throw .unsupportedForm(
          node: input.name, op: "input", found: "the shape \(types[input.name]?.shape ?? [])",
          expected: "a shape whose only unknown size is its first axis, the batch")
      }
      let value = try plan.input(sizes, type.elementType)
      define(input.name, .computed(value))
      result.append((input.name, value))
    }
    return result
  }
}

extension KernelPlan {
  /// Pairs given tensors with the plan's inputs.
  func matching(
    _ given: [String: Tensor], _ expected: [(name: String, value: PlanValue)]
  ) throws(RuntimeError) -> [(PlanValue, Tensor)] {
    let names = expected.map(\.name)
    if let unknown = given.keys.sorted().first(where: { !names.contains($0) }) {
      throw .unknownInput(name: unknown, expected: names)
    }
    var result: [(PlanValue, Tensor)] = []
    for (name, value) in expected {
      guard let tensor = given[name] else {
        throw .missingInput(name: name, given: given.keys.sorted())
      }
      guard tensor.shape == value.shape, tensor.elementType == value.elementType else {
        throw .inputMismatch(
          name: name, foundShape: tensor.shape, foundType: tensor.elementType,
          expectedShape: value.shape, expectedType: value.elementType)
      }
      result.append((value, tensor))
    }
    return result
  }

  /// Points inputs at their tensors while `body` runs.
  func withBound<R>(_ feeds: [(PlanValue, Tensor)], _ body: () throws -> R) throws -> R {
    guard let (value, tensor) = feeds.first else { return try body() }
    return try tensor.withUnsafeBytes { bytes in
      if let address = bytes.baseAddress { bind(value, to: address) }
      return try withBound(Array(feeds.dropFirst()), body)
    }
  }
}
