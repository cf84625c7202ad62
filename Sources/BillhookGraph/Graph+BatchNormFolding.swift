internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph with each batch norm that follows a convolution (or Gemm) put into its weights.
  ///
  /// The layer's node makes the batch norm's output then; its bias is made where there was none. In
  /// double precision, rounded once.
  ///
  /// Source: Jacob et al., *Quantization and Training of Neural Networks for Efficient
  /// Integer-Arithmetic-Only Inference*, CVPR 2018, section 3.2, equation 14.
  ///
  /// - Parameter observed: Values that must stay: a layer whose output is among them keeps its batch
  ///   norm, and a weight among them is not changed.
  /// - Returns: The graph and the names of the nodes that are gone.
  public func foldingBatchNorms(
    keeping observed: Set<String> = []
  ) -> (graph: Graph, folded: [String]) {
    var result = self
    var names = NamePool(self)
    let consumers = consumers()
    let producers = producers()
    let kept = observed.union(outputs.map(\.name))
    var gone: Set<Int> = []
    for (index, node) in nodes.enumerated() where node.op == "BatchNormalization" {
      guard !node.isTrainingBatchNorm(opset: opset),
        node.outputs.dropFirst().allSatisfy(\.isEmpty),
        let input = node.input(0), let layerIndex = producers[input],
        consumers[input]?.count == 1, !kept.contains(input),
        let fold = BatchNormFold(result, layer: layerIndex, norm: node)
      else { continue }
      let layer = result.nodes[layerIndex]
      let weight = layer.inputs[1]
      // A weight that others read too stays as it is for them.
      let isOwn = consumers[weight]?.count == 1 && !kept.contains(weight)
      if isOwn {
        result.setConstant(weight, fold.weight)
      } else {
        let name = names.unused("\(layer.displayName)_weight")
        result.initializers[name] = Initializer(fold.weight)
        result.nodes[layerIndex].inputs[1] = name
      }
      if let bias = layer.input(2), consumers[bias]?.count == 1, !kept.contains(bias),
        result.initializers[bias] != nil
      {
        result.setConstant(bias, fold.bias)
      } else {
        let name = names.unused("\(layer.displayName)_bias")
        result.initializers[name] = Initializer(fold.bias)
        result.nodes[layerIndex].inputs = Array(result.nodes[layerIndex].inputs.prefix(2)) + [name]
      }
      result.nodes[layerIndex].outputs[0] = node.outputs[0]
      result.valueInfos.removeAll { $0.name == input }
      gone.insert(index)
    }
    let folded = gone.sorted().map { nodes[$0].displayName }
    result.nodes = result.nodes.enumerated().filter { !gone.contains($0.offset) }.map(\.element)
    result.dropUnreadConstants(gone.flatMap { nodes[$0].inputs })
    return (result, folded)
  }
}

/// Weight and bias of a layer with the batch norm behind it put into them.
private struct BatchNormFold {
  let weight: Tensor
  let bias: Tensor

  init?(_ graph: Graph, layer index: Int, norm: Node) {
    let layer = graph.nodes[index]
    guard layer.op == "Conv" || layer.op == "Gemm", layer.isStandard,
      let name = layer.input(1), let weight = graph.constant(name),
      weight.elementType == .float32,
      layer.float("alpha", default: 1) == 1, layer.float("beta", default: 1) == 1
    else { return nil }
    let outAxis = layer.op == "Conv" || layer.int("transB", default: 0) != 0 ? 0 : 1
    guard outAxis < weight.rank else { return nil }
    let channels = weight.shape[outAxis]
    func vector(_ name: String?) -> [Double]? {
      guard let name, let tensor = graph.constant(name), tensor.count == channels,
        tensor.elementType.isFloatingPoint
      else { return nil }
      return tensor.floats().map { Double($0) }
    }
    guard let scale = vector(norm.input(1)), let shift = vector(norm.input(2)),
      let mean = vector(norm.input(3)), let variance = vector(norm.input(4))
    else { return nil }
    var old = [Double](repeating: 0, count: channels)
    if let name = layer.input(2) {
      guard let given = vector(name) else { return nil }
      old = given
    }
    let epsilon = Double(norm.float("epsilon", default: 1e-5))
    let factor = (0..<channels).map { scale[$0] / (variance[$0] + epsilon).squareRoot() }
    let inner = weight.shape[(outAxis + 1)...].reduce(1, *)
    let numbers = weight.floats().enumerated().map { position, value in
      // A pruned element stays zero whatever the factor is.
      value == 0 ? 0 : Float(Double(value) * factor[position / inner % channels])
    }
    let biases = (0..<channels).map { Float((old[$0] - mean[$0]) * factor[$0] + shift[$0]) }
    guard numbers.allSatisfy(\.isFinite), biases.allSatisfy(\.isFinite) else { return nil }
    self.weight = Tensor(numbers, shape: weight.shape)
    bias = Tensor(biases)
  }
}
