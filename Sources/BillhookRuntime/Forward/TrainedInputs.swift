internal import BillhookGraph
internal import BillhookTensor

/// Which constants training changes: those that stand where an operator has its weights, and those
/// that its weights are computed from.
enum TrainedInputs {
  /// Where operators have weights.
  private static let positions: [String: [Int]] = [
    "BatchNormalization": [1, 2], "Conv": [1, 2], "ConvTranspose": [1, 2], "DeformConv": [1, 3],
    "Einsum": [0, 1, 2], "GRU": [1, 2, 3], "Gemm": [0, 1, 2], "GroupNormalization": [1, 2],
    "InstanceNormalization": [1, 2], "LSTM": [1, 2, 3, 7], "LayerNormalization": [1, 2],
    "MatMul": [0, 1], "PRelu": [1], "RMSNormalization": [1], "RNN": [1, 2, 3],
  ]
  /// Operators of which an operand beside a trained one is a bias or a scale.
  private static let sums: Set<String> = ["Add", "Mul", "Sum"]
  /// Operators that only move elements.
  private static let movements: Set<String> = [
    "Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
  ]

  /// The constants that a node on the host trains.
  static func names(of node: Node, _ lowering: Lowering) -> [String] {
    var names: [String] = []
    if positions[node.op] != nil {
      names = weights(of: node) { lowering.isFixedByConstants($0) }
    } else if node.op == "Gather" || node.op == "GatherND" {
      // A table of vectors for computed indices: an embedding.
      names = lowering.constant(node.input(1)) == nil ? [node.inputs[0]] : []
    } else if sums.contains(node.op), node.inputs.contains(where: lowering.dependsOnParameters) {
      names = node.inputs.filter { node.op != "Mul" || lowering.isVector($0) }
    } else if !node.subgraphs.isEmpty {
      names = node.subgraphs.flatMap(\.captures)
    }
    return names.filter { lowering.isWeight($0) }
  }

  /// The inputs of a node that are its weights: of a product of two constants only the right one.
  private static func weights(of node: Node, isConstant: (String) -> Bool) -> [String] {
    let names = (positions[node.op] ?? []).compactMap { node.input($0) }
    let isProduct = node.op == "MatMul" || node.op == "Gemm"
    guard isProduct, names.count > 1, isConstant(names[0]), isConstant(names[1]) else {
      return names
    }
    return Array(names.dropFirst())
  }

  /// The nodes that compute values from constants alone, by the values.
  static func producers(in graph: Graph) -> [String: Node] {
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
    return producers
  }

  /// The constants of which a network computes its weights, from constants alone: exporters write so
  /// what they did not fold, as the transpose of a weight, and the parts of one that several layers
  /// share.
  ///
  /// - Parameter producers: What ``producers(in:)`` told of the graph.
  static func sources(
    of graph: Graph, _ producers: [String: Node], isVector: (String) -> Bool
  ) -> Set<String> {
    guard !producers.isEmpty else { return [] }
    func isConstant(_ name: String) -> Bool {
      producers[name] != nil || graph.constant(name) != nil
    }
    var found = Set<String>()
    var seen = Set<String>()
    func follow(_ name: String, movementsOnly: Bool) {
      guard let node = producers[name] else {
        found.insert(name)
        return
      }
      // A layer among them has weights of its own; integers are not trained.
      guard positions[node.op] == nil, !node.op.hasSuffix("QuantizeLinear"),
        node.op != "DequantizeLinear", !movementsOnly || movements.contains(node.op),
        seen.insert(name).inserted
      else { return }
      for input in node.inputs where !input.isEmpty {
        follow(input, movementsOnly: movementsOnly)
      }
    }
    for node in graph.nodes {
      var names = weights(of: node, isConstant: isConstant)
      if node.op == "Gather", let indices = node.input(1), !isConstant(indices) {
        names = [node.inputs[0]]
      }
      for name in names where producers[name] != nil { follow(name, movementsOnly: false) }
      guard sums.contains(node.op), !node.inputs.allSatisfy(isConstant) else { continue }
      for name in node.inputs
      where producers[name] != nil && (node.op != "Mul" || isVector(name)) {
        follow(name, movementsOnly: node.op != "Mul")
      }
    }
    return found
  }
}

extension Lowering {
  /// True for a value with at most one axis of more than one element: what is multiplied by it is
  /// scaled by channels. A larger factor is a table or a mask of a formula.
  func isVector(_ name: String) -> Bool { shape(name).count { $0 > 1 } <= 1 }

  /// True for a constant that can be a weight: float32, not a single number (a factor of a formula),
  /// and without the huge numbers that masks are made of.
  func isWeight(_ name: String) -> Bool {
    guard let tensor = constant(name), tensor.elementType == .float32, tensor.count > 1 else {
      return false
    }
    return tensor.withUnsafeElements(of: Float.self) { $0.allSatisfy { abs($0) < 1e9 } }
  }
}
