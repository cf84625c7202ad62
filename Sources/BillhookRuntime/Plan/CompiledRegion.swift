internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor
internal import OrderedCollections

/// Nodes compiled to kernels for fixed shapes: tensors in, tensors out.
///
/// The weights are packed apart, by ``finish()``: by then nobody may hold the graph any more, and each
/// weight's own memory can go before the next one is packed.
final class CompiledRegion {
  private let plan: KernelPlan
  private let inputs: [(name: String, value: PlanValue)]
  private let outputs: [(name: String, value: LoweredValue)]
  private let taps: [(position: Int32, name: String, value: PlanValue)]
  /// One for each position of the plan.
  let operations: [PlanOperation]

  /// Why a region cannot be compiled.
  struct Refusal: Error {
    /// The first output of the node that kernels cannot run; nil when no single one is to blame.
    var output: String?
  }

  /// - Parameters:
  ///   - graph: All of whose values have fixed shapes in `types`.
  ///   - observed: Values to hand out while running, where the graph makes them.
  init(
    _ graph: Graph, types: [String: ValueType], observed: Set<String>
  ) throws(Refusal) {
    let made = Set(graph.nodes.flatMap(\.outputs))
    var current: String?
    do {
      let lowering = try Lowering(graph, types: types, mode: .inference)
      plan = lowering.plan
      inputs = try lowering.feedInputs()
      var taps: [(position: Int32, name: String, value: PlanValue)] = []
      var operations: [PlanOperation] = []
      for step in graph.steps(mode: .inference, observed: observed, types: types) {
        current = step.node.mainOutput
        defer {
          operations += lowering.plan.operations(
            from: operations.count, node: step.node.displayName, op: step.node.op,
            fused: step.nodes.dropFirst().map(\.op))
        }
        try lowering.lower(step)
        let outputs = step.nodes.count == 1 ? step.node.outputs : [step.output]
        for name in outputs where observed.contains(name) && made.contains(name) {
          taps.append((lowering.plan.position, name, try lowering.float(name)))
          switch lowering.value(name) {
          // Nobody else may need its floats.
          case .constant?, .dequantizedConstant?: try plan.keep(taps[taps.count - 1].value)
          default:
            // The operations of the others may lie between.
            if outputs.count > 1 { try plan.keep(taps[taps.count - 1].value) }
          }
          // A tap of an integer value adds the operation that makes floats of it.
          taps[taps.count - 1].position = lowering.plan.position
        }
      }
      self.taps = taps
      let producers = graph.producers()
      var outputs: [(name: String, value: LoweredValue)] = []
      for output in graph.outputs {
        current = producers[output.name].flatMap { graph.nodes[$0].mainOutput }
        switch lowering.value(output.name) {
        case .constant(let tensor)?: outputs.append((output.name, .constant(tensor)))
        case .computed(let value)?: outputs.append((output.name, .computed(value)))
        default: outputs.append((output.name, .computed(try lowering.float(output.name))))
        }
        if case .computed(let value) = outputs.last!.value { try plan.keep(value) }
        // What makes floats of an output that is integers.
        operations += lowering.plan.operations(from: operations.count, node: output.name, op: "")
      }
      self.outputs = outputs
      self.operations = operations
    } catch {
      throw Refusal(output: current)
    }
  }

  /// Makes the region ready to run.
  func finish() throws(RuntimeError) { try plan.finish() }

  var inputNames: [String] { inputs.map(\.name) }
  var outputNames: [String] { outputs.map(\.name) }

  /// Runs the region once.
  ///
  /// - Parameter tensors: For the inputs of the region, in their order.
  /// - Returns: Its outputs, in their order.
  func run(
    _ tensors: [Tensor], profiler: Profiler?,
    observe: ((_ name: String, _ value: Tensor) throws -> Void)?
  ) throws -> [Tensor] {
    let feeds = zip(inputs, tensors).map { ($0.value, $1) }
    return try plan.withBound(feeds) {
      var position: Int32 = 0
      for tap in taps {
        try run(position..<tap.position, profiler)
        position = tap.position
        if let observe { try observe(tap.name, try plan.read(tap.value)) }
      }
      try run(position..<plan.position, profiler)
      var results: [Tensor] = []
      results.reserveCapacity(outputs.count)
      for (name, value) in outputs {
        switch value {
        case .constant(let tensor): results.append(tensor)
        case .computed(let value):
          results.append(
            try time(PlanOperation(kernel: "Output", node: name, op: ""), profiler) {
              try plan.read(value)
            })
        case .dequantized, .dequantizedConstant, .integerSums, .host:
          throw RuntimeError.unknownValue(name: name)
        }
      }
      return results
    }
  }

  private func run(_ positions: Range<Int32>, _ profiler: Profiler?) throws {
    guard let profiler else { return try plan.run(positions) }
    for position in positions {
      try time(operations[Int(position)], profiler) { try plan.run(position..<position + 1) }
    }
  }

  private func time<Result>(
    _ operation: @autoclosure () -> PlanOperation, _ profiler: Profiler?,
    _ body: () throws -> Result
  ) rethrows -> Result {
    guard let profiler else { return try body() }
    return try profiler.time(operation(), body)
  }

  var arenaBytes: Int { plan.arenaBytes }
}

extension KernelPlan {
  /// The operations from a position on, which a step has added.
  fileprivate func operations(
    from first: Int, node: String, op: String, fused: [String] = []
  ) -> [PlanOperation] {
    (first..<max(first, Int(position))).map {
      PlanOperation(kernel: describe(Int32($0)), node: node, op: op, fused: fused)
    }
  }
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
      if mode == .training, !isForPlans(type) {
        // Only steps on the host read it.
        let cell = HostCell()
        define(input.name, .host(cell))
        hostInputs[input.name] = cell
        result.append(
          (input.name, PlanValue(id: BH_PLAN_NONE, shape: sizes, elementType: type.elementType)))
        continue
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
    // A tensor's bytes stay where they are while somebody holds it.
    for (value, tensor) in feeds {
      tensor.withUnsafeBytes { bytes in
        if let address = bytes.baseAddress { bind(value, to: address) }
      }
    }
    return try withExtendedLifetime(feeds, body)
  }
}
