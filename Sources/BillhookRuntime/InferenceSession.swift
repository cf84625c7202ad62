public import BillhookGraph
public import BillhookTensor

/// Runs a graph on inputs of any shape: a plan is made for each set of shapes when it is first met,
/// and kept.
///
/// One caller at a time.
public final class InferenceSession {
  private let graph: Graph
  private let observed: Set<String>
  /// True for the rest of another graph, or a subgraph, whose inputs another plan made.
  private let isRest: Bool
  /// The one used last at the end.
  private var plans: [InferencePlan] = []

  /// Plans that are kept; one more and that which was not used for longest goes.
  public static let planLimit = 8

  /// Checks a graph.
  ///
  /// - Parameter observed: Names of values to hand to `observe` while running.
  /// - Throws: ``RuntimeError/graph(_:)``.
  public convenience init(
    _ graph: Graph, observed: Set<String> = []
  ) throws(RuntimeError) {
    do {
      try graph.verify()
      self.init(try graph.inKernelTypes(), observed: observed, isRest: false)
    } catch {
      throw .graph(error)
    }
  }

  convenience init(rest: Graph, observed: Set<String>) {
    self.init(rest, observed: observed, isRest: true)
  }

  private init(_ graph: Graph, observed: Set<String>, isRest: Bool) {
    self.graph = graph
    self.observed = observed
    self.isRest = isRest
    inputNames = graph.inputs.map(\.name)
    outputNames = graph.outputs.map(\.name)
  }

  let inputNames: [String]
  let outputNames: [String]
  var arenaBytes: Int { plans.reduce(0) { $0 + $1.arenaBytes } }

  /// Runs the graph once.
  ///
  /// - Parameters:
  ///   - inputs: A tensor for each input of the graph, by name.
  ///   - profiler: Notes the time of each operation.
  ///   - observe: Called for each observed value as soon as it is computed.
  /// - Returns: The graph's outputs by name.
  /// - Throws: ``RuntimeError`` when an input is missing, unknown, or contradicts what the graph
  ///   states of it, or when a node cannot be run.
  public func run(
    _ inputs: [String: Tensor], profiler: Profiler? = nil,
    observe: ((_ name: String, _ value: Tensor) throws -> Void)? = nil
  ) throws -> [String: Tensor] {
    let tensors = try graph.ordered(inputs)
    let results = try run(tensors, profiler: profiler, observe: observe)
    return Dictionary(zip(outputNames, results)) { first, _ in first }
  }

  /// The same with tensors in the order of the graph's inputs and outputs.
  func run(
    _ inputs: [Tensor], profiler: Profiler?,
    observe: ((_ name: String, _ value: Tensor) throws -> Void)?
  ) throws -> [Tensor] {
    try plan(for: inputs).run(inputs, profiler: profiler, observe: observe)
  }

  private func plan(for inputs: [Tensor]) throws(RuntimeError) -> InferencePlan {
    if let index = plans.lastIndex(where: { $0.fits(inputs) }) {
      if index < plans.count - 1 { plans.append(plans.remove(at: index)) }
      return plans[plans.count - 1]
    }
    var specialized = graph
    try specialized.specialize(for: inputs, isRest: isRest)
    let plan = try InferencePlan(verified: specialized, batchSize: 1, observed: observed)
    if plans.count == Self.planLimit { plans.removeFirst() }
    plans.append(plan)
    return plan
  }
}

extension Graph {
  /// The graph with float16 and bfloat16 weights, and what lies between, in float32, for which there
  /// are kernels. Inputs and outputs keep their types; a network in float64 stays as it is.
  func inKernelTypes() throws(GraphError) -> Graph {
    let types = otherWeightTypes
    guard !types.isEmpty, !types.contains(.float64) else { return self }
    return try inFloat32().castingInputsAndOutputs(as: self)
  }

  /// Tensors for all inputs, in their order.
  ///
  /// - Throws: ``RuntimeError/unknownInput(name:expected:)``,
  ///   ``RuntimeError/missingInput(name:given:)``.
  func ordered(_ given: [String: Tensor]) throws(RuntimeError) -> [Tensor] {
    let names = inputs.map(\.name)
    if let unknown = given.keys.filter({ !names.contains($0) }).min() {
      throw .unknownInput(name: unknown, expected: names)
    }
    var tensors: [Tensor] = []
    for name in names {
      guard let tensor = given[name] else {
        throw .missingInput(name: name, given: given.keys.sorted())
      }
      tensors.append(tensor)
    }
    return tensors
  }

  /// Gives the inputs the types and shapes of tensors, in their order.
  ///
  /// - Parameter isRest: The inputs are what another plan makes, of whatever shape.
  /// - Throws: ``RuntimeError/inputContradicts(name:found:expected:)``.
  mutating func specialize(for tensors: [Tensor], isRest: Bool = false) throws(RuntimeError) {
    var sizes: [String: Int] = [:]
    for (index, tensor) in zip(inputs.indices, tensors) {
      let input = inputs[index]
      guard isRest || fits(tensor, input, &sizes) else {
        throw .inputContradicts(
          name: input.name, found: "\(ValueType(of: tensor))",
          expected: "\(ValueType(input.elementType, input.shape ?? []))")
      }
      inputs[index].elementType = tensor.elementType
      inputs[index].shape = tensor.shape.map { .fixed($0) }
    }
  }

  /// True when a tensor has the declared type, and the same symbol always stands for the same size.
  private func fits(
    _ tensor: Tensor, _ input: ValueInfo, _ sizes: inout [String: Int]
  ) -> Bool {
    guard tensor.elementType == input.elementType else { return false }
    guard let shape = input.shape else { return true }
    guard shape.count == tensor.rank else { return false }
    for (dimension, size) in zip(shape, tensor.shape) {
      switch dimension {
      case .fixed(let expected): if expected != size { return false }
      case .symbolic(""): continue
      case .symbolic(let name):
        if let known = sizes[name], known != size { return false }
        sizes[name] = size
      }
    }
    return true
  }
}
