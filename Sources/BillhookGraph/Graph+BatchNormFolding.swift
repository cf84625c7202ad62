internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph with each batch normalisation multiplied into the convolution or fully connected
  /// layer in front of it.
  ///
  /// The layer's output takes the normalisation's name, so that whoever reads that value still
  /// finds it. A normalisation stays when its layer's output has another reader, or when a number
  /// of either is not a float32 constant.
  ///
  /// - Parameter observed: Values that must stay; a layer whose output is among them keeps its
  ///   batch norm.
  ///
  /// Source: Jacob et al., *Quantization and Training of Neural Networks for Efficient
  /// Integer-Arithmetic-Only Inference*, CVPR 2018, section 3.2. No deviation.
  public func foldingBatchNormalization(keeping observed: Set<String> = []) -> Graph {
    var result = self
    let consumers = self.consumers()
    let producers = self.producers()
    let kept = observed.union(outputs.map(\.name))
    var removed = Set<Int>()
    for (index, node) in nodes.enumerated() where node.op == "BatchNormalization" {
      guard node.inputs.count == 5, let producer = producers[node.inputs[0]],
        consumers[node.inputs[0]] == [index], !kept.contains(node.inputs[0]),
        node.outputs.dropFirst().allSatisfy(\.isEmpty),
        let fold = BatchNormFold(graph: result, layer: result.nodes[producer], norm: node)
      else { continue }
      let layer = result.nodes[producer]
      let isShared = { (name: String) in (consumers[name]?.count ?? 0) > 1 }
      var inputs = layer.inputs
      if isShared(inputs[1]) || kept.contains(inputs[1]) {
        inputs[1] = result.freeName("\(inputs[1]).folded")
        result.initializers[inputs[1]] = Initializer(fold.weight)
      } else {
        result.setConstant(inputs[1], fold.weight)
      }
      if let bias = layer.input(2), !isShared(bias), !kept.contains(bias) {
        result.setConstant(bias, fold.bias)
      } else {
        let name = result.freeName("\(layer.displayName).bias")
        inputs = Array(inputs.prefix(2)) + [name]
        result.initializers[name] = Initializer(fold.bias)
      }
      result.nodes[producer].inputs = inputs
      result.nodes[producer].outputs[0] = node.outputs[0]
      removed.insert(index)
    }
    guard !removed.isEmpty else { return self }
    result.nodes = result.nodes.indices.filter { !removed.contains($0) }.map { result.nodes[$0] }
    let read = Set(result.nodes.flatMap(\.inputs)).union(outputs.map(\.name))
    for node in removed.sorted().map({ nodes[$0] }) {
      for name in node.inputs.dropFirst() where !read.contains(name) {
        result.initializers[name] = nil
      }
      result.valueInfos.removeAll { $0.name == node.inputs[0] }
    }
    return result
  }

  private func freeName(_ wish: String) -> String {
    let taken = Set(nodes.flatMap { $0.inputs + $0.outputs }).union(initializers.keys)
    guard taken.contains(wish) else { return wish }
    return (2...).lazy.map { "\(wish).\($0)" }.first { !taken.contains($0) }!
  }
}

/// A layer's weight and bias with a batch norm multiplied in.
private struct BatchNormFold {
  var weight: Tensor
  var bias: Tensor

  init?(graph: Graph, layer: Node, norm: Node) {
    guard layer.domain.isEmpty, layer.op == "Conv" || layer.op == "Gemm" else { return nil }
    let isTransposed = layer.op == "Conv" || layer.int("transB", default: 0) != 0
    if layer.op == "Gemm" {
      guard layer.float("alpha", default: 1) == 1, layer.float("beta", default: 1) == 1 else {
        return nil
      }
    }
    func floats(_ name: String) -> Tensor? {
      guard let tensor = graph.constant(name), tensor.elementType == .float32 else { return nil }
      return tensor
    }
    guard let weight = floats(layer.inputs[1]), weight.rank >= 2,
      let scale = floats(norm.inputs[1])?.floats(), let shift = floats(norm.inputs[2])?.floats(),
      let mean = floats(norm.inputs[3])?.floats(),
      let variance = floats(norm.inputs[4])?.floats()
    else { return nil }
    let channels = weight.shape[isTransposed ? 0 : 1]
    guard [scale, shift, mean, variance].allSatisfy({ $0.count == channels }) else { return nil }
    var bias = [Float](repeating: 0, count: channels)
    if let name = layer.input(2) {
      guard let given = floats(name), given.count == channels else { return nil }
      bias = given.floats()
    }
    let epsilon = norm.float("epsilon", default: 1e-5)
    let factors = zip(scale, variance).map { $0 / ($1 + epsilon).squareRoot() }
    var folded = weight.floats()
    let inner = isTransposed ? weight.count / max(channels, 1) : 1
    for index in folded.indices { folded[index] *= factors[index / inner % channels] }
    self.weight = Tensor(folded, shape: weight.shape)
    self.bias = Tensor(
      bias.indices.map { (bias[$0] - mean[$0]) * factors[$0] + shift[$0] }, shape: [channels])
  }
}
