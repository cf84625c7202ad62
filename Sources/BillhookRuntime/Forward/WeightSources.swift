internal import BillhookGraph
internal import BillhookTensor

/// Finds the constants that training changes although no layer reads them first: those of which
/// constants alone make weights, as exporters write what they did not fold (the transpose of a weight,
/// the parts of one that several layers share, its direction and size), and weights that others read
/// too.
struct WeightSources {
  /// The nodes that compute values from constants alone, by the values.
  let producers: [String: Node]
  private(set) var constants = Set<String>()
  private let graph: Graph
  private let shape: (String) -> [Int]
  private let readers: [String: [Int]]
  private var seen = Set<String>()
  /// What is computed from weights.
  private var reached = Set<String>()

  /// Operators that only move elements.
  private static let movements: Set<String> = [
    "Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
  ]

  init(of graph: Graph, shape: @escaping (String) -> [Int]) {
    self.graph = graph
    self.shape = shape
    readers = graph.consumers()
    var producers: [String: Node] = [:]
    for node in graph.nodes
    where node.op != "Constant" && node.subgraphs.isEmpty && !node.inputs.isEmpty {
      guard
        node.inputs.allSatisfy({
          $0.isEmpty || producers[$0] != nil || graph.constant($0) != nil
        })
      else { continue }
      for output in node.outputs { producers[output] = node }
    }
    self.producers = producers
    for node in graph.nodes { visit(node) }
  }

  private func isConstant(_ name: String) -> Bool {
    producers[name] != nil || graph.constant(name) != nil
  }

  private mutating func visit(_ node: Node) {
    var isReached = node.inputs.contains { reached.contains($0) }
    for name in TrainedInputs.weights(of: node, shape: shape, isConstant: isConstant)
    where isConstant(name) {
      isReached = true
      add(name, movementsOnly: false)
    }
    if node.op == "Gather", let indices = node.input(1), !isConstant(indices),
      isConstant(node.inputs[0])
    {
      isReached = true
      add(node.inputs[0], movementsOnly: true)
    }
    if isReached, TrainedInputs.sums.contains(node.op), !node.inputs.allSatisfy(isConstant) {
      for name in node.inputs
      where producers[name] != nil && TrainedInputs.isBesideTrained(node.op, shape(name)) {
        add(name, movementsOnly: node.op != "Mul")
      }
    }
    if isReached { reached.formUnion(node.outputs.filter { !$0.isEmpty }) }
  }

  /// Adds a weight that is computed, or that others may read before its layer does.
  private mutating func add(_ name: String, movementsOnly: Bool) {
    if producers[name] != nil {
      follow(name, movementsOnly: movementsOnly)
    } else if readers[name]?.count ?? 0 > 1 {
      constants.insert(name)
    }
  }

  private mutating func follow(_ name: String, movementsOnly: Bool) {
    guard let node = producers[name] else {
      constants.insert(name)
      return
    }
    // A layer among them has weights of its own; integers are not trained, nor what is spread.
    guard !TrainedInputs.isLayer(node), !node.op.hasSuffix("QuantizeLinear"),
      node.op != "DequantizeLinear", node.op != "Expand",
      !movementsOnly || Self.movements.contains(node.op), seen.insert(name).inserted
    else { return }
    for input in node.inputs where !input.isEmpty {
      if node.op == "Mul", graph.constant(input)?.isMask == true { continue }
      follow(input, movementsOnly: movementsOnly)
    }
  }
}

extension Tensor {
  /// True for zeros and ones, both of them.
  fileprivate var isMask: Bool {
    guard elementType == .float32 else { return false }
    return withUnsafeElements(of: Float.self) { values in
      values.allSatisfy { $0 == 0 || $0 == 1 } && values.contains(0) && values.contains(1)
    }
  }
}
