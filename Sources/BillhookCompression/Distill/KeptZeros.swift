internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// The tensors of a network whose zeros were made by pruning, and where the zeros are counted.
struct KeptZeros {
  struct Entry {
    var name: String
    var zeros: Int
  }
  private(set) var tensors: [Entry] = []

  init() {}

  /// Tensors in which some elements are zero and others are not: one of zeros only has not been
  /// trained yet.
  ///
  /// - Parameter keepsWhole: Weights of rank 2 and more count even if they are all zero: pruning made
  ///   them so.
  init(of graph: Graph, keepsWhole: Bool) {
    let statistics = Set(
      graph.nodes.filter { $0.op == "BatchNormalization" }.flatMap { $0.inputs.dropFirst(3) })
    let constants =
      graph.initializers.keys
      + graph.nodes.filter { $0.op == "Constant" }.compactMap(\.outputs.first)
    for name in constants where !statistics.contains(name) {
      guard let tensor = graph.constant(name), tensor.elementType == .float32 else { continue }
      let zeros = tensor.zeroCount
      if zeros > 0, keepsWhole && tensor.rank >= 2 || zeros < tensor.count {
        tensors.append(Entry(name: name, zeros: zeros))
      }
    }
  }

  var record: [TrainRecord.KeptZeros] {
    tensors.map { TrainRecord.KeptZeros(tensor: $0.name, zeros: $0.zeros) }
  }

  /// - Throws: ``CompressionError/zerosLost(tensor:before:after:)``.
  func check(_ graph: Graph) throws(CompressionError) {
    for entry in tensors {
      let after = graph.constant(entry.name)?.zeroCount ?? 0
      guard after >= entry.zeros else {
        throw .zerosLost(tensor: entry.name, before: entry.zeros, after: after)
      }
    }
  }
}

extension Tensor {
  /// The number of elements that are exactly 0, of either sign.
  var zeroCount: Int {
    if elementType == .float32 {
      return withUnsafeElements(of: Float.self) { $0.reduce(0) { $0 + ($1 == 0 ? 1 : 0) } }
    }
    return floats().reduce(0) { $0 + ($1 == 0 ? 1 : 0) }
  }
}
