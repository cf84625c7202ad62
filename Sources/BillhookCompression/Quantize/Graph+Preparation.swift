internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph under a newer operator set, for operators that mean the same there.
  ///
  /// Quantization along an axis came with operator set 13, IR version 7.
  ///
  /// - Throws: ``CompressionError/opsetTooOld(opset:needed:node:op:)`` naming the node that could mean
  ///   something else.
  func raisedOpset(to needed: Int = 13) throws -> Graph {
    guard opset < needed else { return self }
    var result = self
    let types = try inferTypes()
    // Raised and unchanged since operator set 7, apart from the cases below.
    let unchanged: Set<String> = [
      "Add", "AveragePool", "BatchNormalization", "Concat", "Constant", "Conv", "Flatten", "Gemm",
      "GlobalAveragePool", "Identity", "MatMul", "MaxPool", "Mul", "Relu", "Reshape", "Sigmoid",
      "Transpose",
    ]
    for (index, node) in nodes.enumerated() {
      let isSame =
        switch node.op {
        case _ where !node.domain.isEmpty && node.domain != "ai.onnx": true
        case "Clip": opset >= 11
        case "Dropout": true
        case "Softmax": node.input(0).flatMap { types[$0]?.shape.count } == 2
        default: unchanged.contains(node.op)
        }
      guard isSame else {
        throw CompressionError.opsetTooOld(
          opset: opset, needed: needed, node: node.displayName, op: node.op)
      }
      if node.op == "Dropout" { result.nodes[index].attributes["ratio"] = nil }
      if node.op == "Softmax" {
        // The default axis became -1; for two axes the older default, 1, is the same one.
        result.nodes[index].attributes["axis"] = .int(node.int("axis", default: 1))
      }
      if node.op == "BatchNormalization" { result.nodes[index].attributes["spatial"] = nil }
    }
    result.opsets[opsets[""] == nil && opsets["ai.onnx"] != nil ? "ai.onnx" : ""] = needed
    result.irVersion = max(irVersion, 7)
    return result
  }

  /// The graph with each batch norm that follows a convolution (or Gemm) put into its weights.
  ///
  /// The layer's node makes the batch norm's output then; its bias is made where there was none. In
  /// double precision, rounded once.
  ///
  /// Source: Jacob et al., *Quantization and Training of Neural Networks for Efficient
  /// Integer-Arithmetic-Only Inference*, CVPR 2018, section 3.2, equation 14.
  ///
  /// - Returns: The graph and the names of the nodes that are gone.
  func foldingBatchNorms() -> (graph: Graph, folded: [String]) {
    var result = self
    var names = NamePool(self)
    let consumers = consumers()
    let producers = producers()
    let graphOutputs = Set(outputs.map(\.name))
    var gone: Set<Int> = []
    for (index, node) in nodes.enumerated() where node.op == "BatchNormalization" {
      guard node.int("training_mode", default: 0) == 0,
        node.outputs.dropFirst().allSatisfy(\.isEmpty),
        let input = node.input(0), let layerIndex = producers[input],
        consumers[input]?.count == 1, !graphOutputs.contains(input),
        let fold = BatchNormFold(result, layer: layerIndex, norm: node)
      else { continue }
      let layer = result.nodes[layerIndex]
      let weight = layer.inputs[1]
      // A weight that others read too stays as it is for them.
      let isOwn = consumers[weight]?.count == 1 && !graphOutputs.contains(weight)
      if isOwn {
        result.setConstant(weight, fold.weight)
      } else {
        let name = names.unused("\(layer.displayName)_weight")
        result.initializers[name] = Initializer(fold.weight)
        result.nodes[layerIndex].inputs[1] = name
      }
      if let bias = layer.input(2), consumers[bias]?.count == 1, !graphOutputs.contains(bias),
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
    result.dropUnusedInitializers(of: gone.sorted().map { nodes[$0] })
    return (result, folded)
  }

  /// Removes the initializers of nodes that are gone, where nothing else reads them.
  mutating func dropUnusedInitializers(of gone: [Node]) {
    let read = Set(nodes.flatMap(\.inputs)).union(outputs.map(\.name))
    for name in gone.flatMap(\.inputs) where !read.contains(name) {
      initializers.removeValue(forKey: name)
    }
  }

  /// Removes a constant, wherever the graph keeps it.
  mutating func removeConstant(_ name: String) {
    initializers.removeValue(forKey: name)
    nodes.removeAll { $0.op == "Constant" && $0.outputs.first == name }
  }
}

/// Names that are not in use yet.
struct NamePool {
  private var used: Set<String>

  init(_ graph: Graph) {
    used = Set(graph.initializers.keys).union(graph.inputs.map(\.name))
    for node in graph.nodes {
      used.formUnion(node.outputs)
      used.formUnion(node.inputs)
      used.insert(node.name)
    }
  }

  /// `wanted`, with a number behind it when it is taken.
  mutating func unused(_ wanted: String) -> String {
    var name = wanted
    var number = 2
    while !used.insert(name).inserted {
      name = "\(wanted)_\(number)"
      number += 1
    }
    return name
  }
}

/// Weight and bias of a layer with the batch norm behind it put into them.
private struct BatchNormFold {
  let weight: Tensor
  let bias: Tensor

  init?(_ graph: Graph, layer index: Int, norm: Node) {
    let layer = graph.nodes[index]
    guard layer.op == "Conv" || layer.op == "Gemm", layer.domain.isEmpty,
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
