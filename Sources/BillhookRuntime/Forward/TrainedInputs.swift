internal import BillhookGraph
internal import BillhookTensor

/// Which constants training changes: those that stand where an operator has its weights.
enum TrainedInputs {
  /// Where operators have weights.
  private static let positions: [String: [Int]] = [
    "BatchNormalization": [1, 2], "Conv": [1, 2], "ConvTranspose": [1, 2], "DeformConv": [1, 3],
    "GRU": [1, 2, 3], "Gemm": [0, 1, 2], "GroupNormalization": [1, 2],
    "InstanceNormalization": [1, 2], "LSTM": [1, 2, 3, 7], "LayerNormalization": [1, 2],
    "MatMul": [0, 1], "PRelu": [1], "RMSNormalization": [1], "RNN": [1, 2, 3],
  ]
  /// Operators of which an operand beside a trained one is a bias or a scale.
  private static let sums: Set<String> = ["Add", "Einsum", "Mul", "Sum"]

  /// The constants that a node on the host trains.
  static func names(of node: Node, _ lowering: Lowering) -> [String] {
    var names: [String] = []
    if let positions = positions[node.op] {
      names = positions.compactMap { node.input($0) }
    } else if node.op == "Gather" || node.op == "GatherND" {
      // A table of vectors for computed indices: an embedding.
      names = lowering.constant(node.input(1)) == nil ? [node.inputs[0]] : []
    } else if sums.contains(node.op), node.inputs.contains(where: lowering.dependsOnParameters) {
      names = node.inputs
    } else if !node.subgraphs.isEmpty {
      names = node.subgraphs.flatMap(\.captures)
    }
    return names.filter { lowering.isWeight($0) }
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
