public import BillhookGraph
public import BillhookTensor
internal import OrderedCollections

/// A graph compiled for one batch size: fused, laid out, ready to run again and again.
///
/// Runs of nodes that have kernels are compiled into regions; what lies between them is computed on
/// the host by the operators' own definitions. Where the shape of a value shows only while running,
/// the rest of the graph is specialised when it is known (``InferenceSession``).
///
/// One caller at a time.
public final class InferencePlan {
  /// The number of samples a run takes: the size bound to the graph's symbolic first axis.
  public let batchSize: Int
  private let inputs: [(name: String, sizes: [Int], elementType: ElementType)]
  private let outputs: [(name: String, slot: Int)]
  private let steps: [PlacedPiece]
  private let observed: Set<String>
  /// Observed values that follow from constants, or from the sizes that the plan is for.
  private let observedConstants: [(name: String, tensor: Tensor)]
  /// What every run starts with: the inputs' slots first, then constants where pieces read them.
  private let initialValues: [Tensor?]

  /// Compiles a graph.
  ///
  /// - Parameters:
  ///   - graph: Any graph of supported operators. When nobody else holds it, the memory of each weight
  ///     is given back as soon as the plan has packed it.
  ///   - batchSize: At least 1; bound to every symbolic first axis of the inputs.
  ///   - observed: Names of values to hand to `observe` while running. Observing a value keeps it
  ///     from being fused away.
  /// - Throws: ``RuntimeError``, which names the node that cannot be compiled.
  public convenience init(
    _ graph: consuming Graph, batchSize: Int, observed: Set<String> = []
  ) throws(RuntimeError) {
    guard batchSize >= 1 else { throw .batchSizeNotPositive(batchSize) }
    do {
      try graph.verify()
      graph = try graph.inKernelTypes()
    } catch {
      throw .graph(error)
    }
    try self.init(verified: graph, batchSize: batchSize, observed: observed)
  }

  /// Compiles a graph for the shapes of given inputs.
  ///
  /// - Parameter graph: As above.
  /// - Throws: ``RuntimeError``, as ``InferenceSession/run(_:profiler:observe:)`` does.
  public convenience init(
    _ graph: consuming Graph, for inputs: [String: Tensor]
  ) throws(RuntimeError) {
    do {
      try graph.verify()
      graph = try graph.inKernelTypes()
    } catch {
      throw .graph(error)
    }
    let tensors = try graph.ordered(inputs)
    try graph.specialize(for: tensors)
    try self.init(verified: graph, batchSize: 1, observed: [])
  }

  /// Compiles a graph that was verified.
  convenience init(
    verified graph: consuming Graph, batchSize: Int, observed: Set<String>
  ) throws(RuntimeError) {
    try self.init(compiling: graph, batchSize: batchSize, observed: observed)
    // The graph is gone, as far as it was for this plan only; now the weights can go one by one.
    for step in steps { try step.piece.finish() }
  }

  private init(
    compiling source: consuming Graph, batchSize: Int, observed: Set<String>
  ) throws(RuntimeError) {
    self.batchSize = batchSize
    self.observed = observed
    var types: [String: ValueType]
    var graph: Graph
    do {
      let binding = source.binding(batchSize: batchSize)
      let folded = try source.inliningKnownBranches(binding: binding)
        .foldingConstants(binding: binding, keeping: observed)
      graph = folded.foldingBatchNorms(keeping: observed).graph
      types = try graph.inferTypes(binding: binding)
      if let changed = graph.writingEinsumsAsProducts(types) {
        graph = changed
        types = try graph.inferTypes(binding: binding)
      }
      if let changed = graph.withFloatOperands(types, mode: .inference) {
        graph = changed
        types = try graph.inferTypes(binding: binding)
      }
      let kept = observed.union(graph.outputs.map(\.name))
      graph =
        PatternSearch(graph, types: types, keeping: kept)
        .fused([{ $0.safeAttention($1) }])
        .graph
    } catch {
      throw .graph(error)
    }
    var inputs: [(name: String, sizes: [Int], elementType: ElementType)] = []
    for input in graph.inputs {
      guard let type = types[input.name], let sizes = type.sizes else {
        throw .unsupportedForm(
          node: input.name, op: "input", found: "the shape \(types[input.name]?.shape ?? [])",
          expected: "a shape whose only unknown size is its first axis, the batch")
      }
      inputs.append((input.name, sizes, type.elementType))
    }
    self.inputs = inputs
    let pieces = try ExecutionPiece.pieces(of: graph, types: types, observed: observed)
    var slots = SlotTable(graph)
    steps = pieces.map { PlacedPiece($0, &slots) }
    outputs = graph.outputs.map { ($0.name, slots.slot($0.name)) }
    initialValues = slots.initialValues
    let made = Set(inputs.map(\.name)).union(graph.nodes.flatMap(\.outputs))
    observedConstants = try observed.subtracting(made).sorted().map { name throws(RuntimeError) in
      guard let constant = graph.initializers[name] else { throw .unknownValue(name: name) }
      return (name, constant.tensor)
    }
  }

  /// Runs the plan once.
  ///
  /// - Parameters:
  ///   - inputs: By input name; shapes as the graph states them with `batchSize` bound.
  ///   - profiler: Notes the time of each operation.
  ///   - observe: Called for each observed value as soon as it is computed, with the tensor in
  ///     plain row-major layout (valid beyond the call).
  /// - Returns: The graph's outputs by name.
  /// - Throws: ``RuntimeError`` when an input is missing, unknown or of the wrong shape; whatever
  ///   `observe` throws.
  public func run(
    _ inputs: [String: Tensor], profiler: Profiler? = nil,
    observe: ((_ name: String, _ value: Tensor) throws -> Void)? = nil
  ) throws -> [String: Tensor] {
    let results = try run(try ordered(inputs), profiler: profiler, observe: observe)
    return Dictionary(zip(outputs.map(\.name), results)) { first, _ in first }
  }

  /// The same with tensors that fit, in the order of the graph's inputs and outputs.
  func run(
    _ given: [Tensor], profiler: Profiler?,
    observe: ((_ name: String, _ value: Tensor) throws -> Void)?
  ) throws -> [Tensor] {
    var values = initialValues
    for (slot, tensor) in given.enumerated() { values[slot] = tensor }
    if let observe {
      for (name, tensor) in observedConstants { try observe(name, tensor) }
      for (input, tensor) in zip(inputs, given) where observed.contains(input.name) {
        try observe(input.name, tensor)
      }
    }
    for step in steps {
      let results = try step.piece.run(
        step.reads.map { $0 < 0 ? nil : values[$0] }, observed: observed, profiler: profiler,
        observe: observe)
      for (slot, result) in zip(step.writes, results) where slot >= 0 { values[slot] = result }
      for slot in step.frees { values[slot] = nil }
    }
    return try outputs.map { name, slot in
      guard let tensor = values[slot] else { throw RuntimeError.unknownValue(name: name) }
      return tensor
    }
  }

  /// True when tensors, in the order of the inputs, are what the plan was compiled for.
  func fits(_ tensors: [Tensor]) -> Bool {
    zip(inputs, tensors).allSatisfy { $0.elementType == $1.elementType && $0.sizes == $1.shape }
  }

  private func ordered(_ given: [String: Tensor]) throws(RuntimeError) -> [Tensor] {
    let names = inputs.map(\.name)
    if let unknown = given.keys.filter({ !names.contains($0) }).min() {
      throw .unknownInput(name: unknown, expected: names)
    }
    var tensors: [Tensor] = []
    for (name, sizes, elementType) in inputs {
      guard let tensor = given[name] else {
        throw .missingInput(name: name, given: given.keys.sorted())
      }
      guard tensor.shape == sizes, tensor.elementType == elementType else {
        throw .inputMismatch(
          name: name, foundShape: tensor.shape, foundType: tensor.elementType,
          expectedShape: sizes, expectedType: elementType)
      }
      tensors.append(tensor)
    }
    return tensors
  }

  /// The operators that kernels run; all others are computed on the host.
  public static let kernelOperators: [String] =
    // An Einsum is written with others.
    (ForwardRules.table.keys.filter { $0 != PatternSearch.attention } + ["Einsum"]).sorted()

  /// Bytes of intermediate values in the compiled regions, shared by their lifetimes.
  public var arenaBytes: Int { steps.reduce(0) { $0 + $1.piece.arenaBytes } }

  /// What each operation of the plan is, in running order.
  public var operations: [String] { steps.flatMap(\.piece.operations) }
}

/// A piece with the places of its values; negative where there is none.
private struct PlacedPiece {
  let piece: ExecutionPiece
  let reads: [Int]
  let writes: [Int]
  /// Not needed after the piece.
  let frees: [Int]

  init(_ piece: ExecutionPiece, _ slots: inout SlotTable) {
    self.piece = piece
    reads = piece.reads.map { $0.isEmpty ? -1 : slots.slot($0) }
    writes = piece.writes.map { $0.isEmpty ? -1 : slots.slot($0) }
    // What only a region's nodes read, its weights among them, has no place between pieces.
    frees = piece.lastReads.compactMap { slots.known[$0] }
  }
}

/// A place for each value that lies between pieces.
private struct SlotTable {
  private let graph: Graph
  private(set) var known: [String: Int] = [:]
  private(set) var initialValues: [Tensor?] = []

  init(_ graph: Graph) {
    self.graph = graph
    for input in graph.inputs { _ = slot(input.name) }
  }

  mutating func slot(_ name: String) -> Int {
    if let slot = known[name] { return slot }
    known[name] = initialValues.count
    initialValues.append(graph.initializers[name]?.tensor)
    return initialValues.count - 1
  }
}
