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
}
