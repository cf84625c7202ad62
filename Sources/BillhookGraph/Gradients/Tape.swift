internal import BillhookTensor
internal import OrderedCollections

/// Nodes that are computed one after the other and remembered, so that gradients can go back through
/// them: how the gradient of a subgraph, or of an operator that is a sum of others, is found.
///
/// Source: Griewank and Walther, *Evaluating Derivatives*, 2008, section 3.2 (reverse mode). No
/// deviation.
struct Tape {
  /// A value on the tape.
  struct Value: Hashable { fileprivate let index: Int }

  private struct Entry {
    let node: Node
    let opset: Int
    /// What the node reads, by the names that it has for it.
    let reads: [String: Value]
    let outputs: [Value]
  }

  private var tensors: [Tensor] = []
  private var entries: [Entry] = []
  /// The operator set of what ``apply(_:_:_:outputs:)`` adds.
  private static let opset = 18

  subscript(_ value: Value) -> Tensor { tensors[value.index] }

  /// Puts a tensor on the tape.
  mutating func add(_ tensor: Tensor) -> Value {
    tensors.append(tensor)
    return Value(index: tensors.count - 1)
  }

  /// The same with its fractions as 64-bit numbers, so that nothing is rounded on the way.
  mutating func addWide(_ tensor: Tensor) -> Value {
    add(tensor.elementType.isFloatingPoint ? tensor.converted(to: .float64) : tensor)
  }

  /// Puts a 64-bit number on the tape.
  mutating func scalar(_ number: Double) -> Value { add(Tensor(scalar: number)) }

  /// Puts whole numbers on the tape: axes, shapes, positions.
  mutating func integers(_ numbers: [Int]) -> Value { add(Tensor(numbers.map { Int64($0) })) }

  /// Computes an operator with one output.
  mutating func apply(
    _ op: String, _ inputs: [Value?], _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) throws(GraphError) -> Value {
    try apply(op, inputs, attributes, outputs: 1)[0]
  }

  /// Computes an operator.
  mutating func apply(
    _ op: String, _ inputs: [Value?], _ attributes: OrderedDictionary<String, Attribute> = [:],
    outputs: Int
  ) throws(GraphError) -> [Value] {
    var reads: [String: Value] = [:]
    for (index, input) in inputs.enumerated() { reads["\(index)"] = input }
    let node = Node(
      op, name: op, inputs: inputs.enumerated().map { $1 == nil ? "" : "\($0)" },
      outputs: (0..<outputs).map { "y\($0)" }, attributes: attributes)
    return try run(node, opset: Self.opset, reads)
  }

  /// Computes a node.
  ///
  /// - Parameter scope: Values by the names that the node, and the graph around it, have for them.
  /// - Returns: A value for each output.
  mutating func run(
    _ node: Node, opset: Int, _ scope: [String: Value]
  ) throws(GraphError) -> [Value] {
    var reads: [String: Value] = [:]
    for name in node.reads where !name.isEmpty { reads[name] = scope[name] }
    let results = try ReferenceEvaluator.evaluate(node, opset: opset, reads.mapValues { self[$0] })
    let outputs = results.map { add($0) }
    entries.append(Entry(node: node, opset: opset, reads: reads, outputs: outputs))
    return outputs
  }

  /// Computes a subgraph.
  ///
  /// - Parameters:
  ///   - inputs: One a subgraph's input.
  ///   - outer: What the subgraph may take from outside.
  mutating func run(
    body: Graph, opset: Int, _ inputs: [Value], outer: [String: Value]
  ) throws(GraphError) -> [Value] {
    var scope = outer
    for (name, initializer) in body.initializers { scope[name] = add(initializer.tensor) }
    for (input, value) in zip(body.inputs, inputs) { scope[input.name] = value }
    for node in body.nodes {
      let results = try run(node, opset: opset, scope)
      for (name, value) in zip(node.outputs, results) where !name.isEmpty { scope[name] = value }
    }
    var results: [Value] = []
    for output in body.outputs {
      guard let value = scope[output.name] else { throw .missingOutput(name: output.name) }
      results.append(value)
    }
    return results
  }

  /// Takes gradients back to where the tape starts.
  ///
  /// - Parameters:
  ///   - seeds: Values with their gradients; a value may stand more than once.
  ///   - wanted: The values whose gradients are asked for.
  /// - Returns: The gradient of each of `wanted` that the seeds depend on.
  func gradients(
    _ seeds: [(Value, [Double])], of wanted: [Value]
  ) throws(GraphError) -> [Value: [Double]] {
    var isDependent = [Bool](repeating: false, count: tensors.count)
    for value in wanted { isDependent[value.index] = true }
    for entry in entries where entry.reads.values.contains(where: { isDependent[$0.index] }) {
      for output in entry.outputs where self[output].elementType.isFloatingPoint {
        isDependent[output.index] = true
      }
    }
    var gradients = [[Double]?](repeating: nil, count: tensors.count)
    func add(_ gradient: [Double], to value: Value) {
      guard var sum = gradients[value.index] else {
        gradients[value.index] = gradient
        return
      }
      gradients[value.index] = nil
      for index in sum.indices { sum[index] += gradient[index] }
      gradients[value.index] = sum
    }
    for (value, gradient) in seeds where isDependent[value.index] { add(gradient, to: value) }
    for entry in entries.reversed() {
      guard entry.outputs.contains(where: { gradients[$0.index] != nil }) else { continue }
      let names = Set(entry.reads.filter { isDependent[$0.value.index] }.keys)
      let found = try ReferenceGradient.numbers(
        entry.node, opset: entry.opset, entry.reads.mapValues { self[$0] },
        outputs: entry.outputs.map { self[$0] },
        outputGradients: entry.outputs.map { gradients[$0.index] }, wanted: names)
      for name in found.keys.sorted() {
        if let value = entry.reads[name] { add(found[name] ?? [], to: value) }
      }
      for output in entry.outputs where !wanted.contains(output) { gradients[output.index] = nil }
    }
    var result: [Value: [Double]] = [:]
    for value in wanted { result[value] = gradients[value.index] }
    return result
  }
}

extension GradientRule {
  /// A rule for an operator that is made of others.
  ///
  /// - Parameter compose: Computes the node's outputs on a tape from its inputs, which are 64-bit
  ///   numbers there; nil for those that are left out.
  static func composed(
    _ compose:
      @escaping @Sendable (GradientContext, inout Tape, [Tape.Value?])
      throws(GraphError) -> [Tape.Value]
  ) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      var tape = Tape()
      let inputs = context.node.inputs.indices.map { index in
        context.forward.optionalTensor(index).map { tape.addWide($0) }
      }
      let outputs = try compose(context, &tape, inputs)
      var seeds: [(Tape.Value, [Double])] = []
      for (index, output) in outputs.enumerated() where context.has(index) {
        seeds.append((output, context.dy(index)))
      }
      let wanted = inputs.enumerated().compactMap { context.wants($0) ? $1 : nil }
      let found = try tape.gradients(seeds, of: wanted)
      return inputs.map { $0.flatMap { found[$0] } }
    }
  }
}
