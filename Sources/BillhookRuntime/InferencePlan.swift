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
  private let graph: Graph
  private let inputs: [(name: String, type: ValueType)]
  private let pieces: [ExecutionPiece]
  private let observed: Set<String>

  /// Compiles a graph.
  ///
  /// - Parameters:
  ///   - graph: Any graph of supported operators.
  ///   - batchSize: At least 1; bound to every symbolic first axis of the inputs.
  ///   - observed: Names of values to hand to `observe` while running. Observing a value keeps it
  ///     from being fused away.
  /// - Throws: ``RuntimeError``, which names the node that cannot be compiled.
  public convenience init(
    _ graph: Graph, batchSize: Int, observed: Set<String> = []
  ) throws(RuntimeError) {
    guard batchSize >= 1 else { throw .batchSizeNotPositive(batchSize) }
    do {
      try graph.verify()
    } catch {
      throw .graph(error)
    }
    try self.init(verified: graph, batchSize: batchSize, observed: observed)
  }

  /// Compiles a graph that was verified.
  init(verified graph: Graph, batchSize: Int, observed: Set<String>) throws(RuntimeError) {
    self.batchSize = batchSize
    self.observed = observed
    let types: [String: ValueType]
    do {
      let binding = graph.binding(batchSize: batchSize)
      let folded = try graph.foldingConstants(binding: binding)
      self.graph = folded.foldingBatchNorms(keeping: observed).graph
      types = try self.graph.inferTypes(binding: binding)
    } catch {
      throw .graph(error)
    }
    var inputs: [(name: String, type: ValueType)] = []
    for input in graph.inputs {
      guard let type = types[input.name], type.sizes != nil else {
        throw .unsupportedForm(
          node: input.name, op: "input", found: "the shape \(types[input.name]?.shape ?? [])",
          expected: "a shape whose only unknown size is its first axis, the batch")
      }
      inputs.append((input.name, type))
    }
    self.inputs = inputs
    pieces = try ExecutionPiece.pieces(of: self.graph, types: types, observed: observed)
    let made = Set(inputs.map(\.name)).union(self.graph.nodes.flatMap(\.outputs))
    if let missing = observed.subtracting(made).sorted().first {
      throw .unknownValue(name: missing)
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
    try check(inputs)
    var values = inputs
    if let observe {
      for input in self.inputs where observed.contains(input.name) {
        if let tensor = inputs[input.name] { try observe(input.name, tensor) }
      }
    }
    for piece in pieces {
      let results = try piece.run(
        values, in: graph, observed: observed, profiler: profiler, observe: observe)
      values.merge(results) { _, new in new }
      for name in piece.lastReads { values[name] = nil }
    }
    var results: [String: Tensor] = [:]
    for output in graph.outputs {
      results[output.name] = values[output.name] ?? graph.initializers[output.name]?.tensor
    }
    return results
  }

  private func check(_ given: [String: Tensor]) throws(RuntimeError) {
    let names = inputs.map(\.name)
    if let unknown = given.keys.sorted().first(where: { !names.contains($0) }) {
      throw .unknownInput(name: unknown, expected: names)
    }
    for (name, type) in inputs {
      guard let tensor = given[name] else {
        throw .missingInput(name: name, given: given.keys.sorted())
      }
      guard tensor.shape == type.sizes, tensor.elementType == type.elementType else {
        throw .inputMismatch(
          name: name, foundShape: tensor.shape, foundType: tensor.elementType,
          expectedShape: type.sizes ?? [], expectedType: type.elementType)
      }
    }
  }

  /// The operators that kernels run; all others are computed on the host.
  public static let kernelOperators: [String] = ForwardRules.table.keys.sorted()

  /// Bytes of intermediate values in the compiled regions, shared by their lifetimes.
  public var arenaBytes: Int { pieces.reduce(0) { $0 + $1.arenaBytes } }

  /// What each operation of the plan is, in running order.
  public var operations: [String] { pieces.flatMap(\.operations) }
}
