internal import BillhookGraph
internal import BillhookTensor

/// Which constants training changes: those that stand where an operator has its weights, and those
/// that its weights are computed from.
enum TrainedInputs {
  /// Where operators have weights.
  private static let positions: [String: [Int]] = [
    "BatchNormalization": [1, 2], "Conv": [1, 2], "ConvTranspose": [1, 2], "DeformConv": [1, 3],
    "GRU": [1, 2, 3], "Gemm": [0, 1, 2], "GroupNormalization": [1, 2],
    "InstanceNormalization": [1, 2], "LSTM": [1, 2, 3, 7], "LayerNormalization": [1, 2],
    "MatMul": [0, 1], "PRelu": [1], "RMSNormalization": [1], "RNN": [1, 2, 3],
  ]
  /// Operators of which an operand beside a trained one is a bias or a scale.
  static let sums: Set<String> = ["Add", "Mul", "Sum"]

  /// True for the shape of an operand that a trained value is added to or multiplied by and that may
  /// be trained too: a scale has at most one axis of more than one element, since a larger factor is a
  /// table or a mask of a formula.
  static func isBesideTrained(_ op: String, _ shape: [Int]) -> Bool {
    op != "Mul" || shape.count { $0 > 1 } <= 1
  }

  /// The constants that a node on the host trains.
  static func names(of node: Node, _ lowering: Lowering) -> [String] {
    var names: [String] = []
    if isLayer(node) {
      names = weights(of: node, shape: lowering.shape) { lowering.isFixedByConstants($0) }
    } else if node.op == "Gather" || node.op == "GatherND" {
      // A table of vectors for computed indices: an embedding.
      names = lowering.constant(node.input(1)) == nil ? [node.inputs[0]] : []
    } else if sums.contains(node.op), node.inputs.contains(where: lowering.dependsOnParameters) {
      names = node.inputs.filter { isBesideTrained(node.op, lowering.shape($0)) }
    } else if !node.subgraphs.isEmpty {
      names = node.subgraphs.flatMap(\.captures)
    }
    return names.filter { lowering.isWeight($0) }
  }

  /// True for an operator that has weights of its own.
  static func isLayer(_ node: Node) -> Bool { node.op == "Einsum" || positions[node.op] != nil }

  /// The inputs of a node that are its weights.
  ///
  /// Of two constants that are multiplied only the right one is a weight, and none where they are a
  /// row and a column: the angles of rotary embeddings are made so, by Einsum too.
  static func weights(
    of node: Node, shape: (String) -> [Int], isConstant: (String) -> Bool
  ) -> [String] {
    if node.op == "Einsum" {
      return node.inputs.allSatisfy(isConstant) ? [] : node.inputs
    }
    let names = (positions[node.op] ?? []).compactMap { node.input($0) }
    let isProduct = node.op == "MatMul" || node.op == "Gemm"
    guard isProduct, names.count > 1, isConstant(names[0]), isConstant(names[1]) else {
      return names
    }
    if node.op == "MatMul", shape(names[0]).last == 1 { return [] }
    return Array(names.dropFirst())
  }
}

extension Lowering {
  /// True for a constant that can be a weight: float32, not a single number (a factor of a formula),
  /// and without the huge numbers that masks are made of.
  func isWeight(_ name: String) -> Bool {
    guard let tensor = constant(name), tensor.elementType == .float32, tensor.count > 1 else {
      return false
    }
    return tensor.withUnsafeElements(of: Float.self) { $0.allSatisfy { abs($0) < 1e9 } }
  }
}
