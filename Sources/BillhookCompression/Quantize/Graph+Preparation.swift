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
  /// The graph with max pooling in front of the activation of layers that stay in float.
  ///
  /// The maximum of rising functions is the function of the maximum, so nothing changes but the place
  /// of a QuantizeLinear: behind an activation, where runtimes leave it. Directly behind the pooling
  /// ONNX Runtime moves it in front, and pools integers many times slower than floats.
  ///
  /// - Parameters:
  ///   - floats: The outputs of the layers that stay in float.
  ///   - names: Gives the pooled values their names.
  func movingActivationsBehindPooling(
    of floats: Set<String>, names: inout NamePool
  ) -> Graph {
    let consumers = consumers()
    let outputs = Set(outputs.map(\.name))
    func onlyReader(_ value: String) -> Int? {
      guard let readers = consumers[value], readers.count == 1, !outputs.contains(value) else {
        return nil
      }
      return readers[0]
    }
    var result = self
    for node in nodes {
      guard let made = node.outputs.first, floats.contains(made), let first = onlyReader(made),
        ["Relu", "Clip"].contains(nodes[first].op), nodes[first].input(0) == made,
        let activated = nodes[first].outputs.first, let second = onlyReader(activated),
        nodes[second].op == "MaxPool", nodes[second].outputs.count == 1
      else { continue }
      let pooled = nodes[second].outputs[0]
      var pool = nodes[second]
      var activation = nodes[first]
      pool.inputs[0] = made
      pool.outputs[0] = names.unused("\(made)_pooled")
      activation.inputs[0] = pool.outputs[0]
      activation.outputs[0] = pooled
      result.nodes[first] = pool
      result.nodes[second] = activation
    }
    return result
  }
}
