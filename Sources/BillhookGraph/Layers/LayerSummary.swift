public import BillhookTensor

/// What one layer holds and costs.
public struct LayerSummary: Sendable, Equatable {
  public var node: String
  public var op: String
  /// The weight's value name; of a quantized weight, that of its integers.
  public var weight: String
  public var shape: [Int]
  public var elementType: ElementType
  /// Elements of the weight and the bias.
  public var parameterCount: Int
  /// Multiply-adds (MACs) for one sample.
  public var multiplyAdds: Int
  /// The fraction of the weight's elements that are zero, 0…1.
  public var sparsity: Double

  public init(
    node: String, op: String, weight: String, shape: [Int], elementType: ElementType,
    parameterCount: Int, multiplyAdds: Int, sparsity: Double
  ) {
    self.node = node
    self.op = op
    self.weight = weight
    self.shape = shape
    self.elementType = elementType
    self.parameterCount = parameterCount
    self.multiplyAdds = multiplyAdds
    self.sparsity = sparsity
  }
}

extension Graph {
  /// The number of elements of all trained tensors: weights, biases, batch-norm scales and shifts.
  ///
  /// Batch-norm statistics, quantization scales and shapes are not counted; a tensor that several
  /// nodes read is counted once; quantized weights count as what they stand for.
  public var parameterCount: Int {
    let constants = constantTensors()
    let quantized = quantizedConstants(constants)
    var names: Set<String> = []
    for node in nodes {
      switch node.op {
      case "Conv", "Gemm", "BatchNormalization":
        names.formUnion(node.inputs.dropFirst().prefix(2))
      case "MatMul": names.formUnion(node.inputs)
      case "Add", "Mul": names.formUnion(node.inputs.filter { (constants[$0]?.count ?? 0) > 1 })
      default: break
      }
    }
    let stored = Set(names.map { quantized[$0] ?? $0 })
    return stored.reduce(0) { $0 + (constants[$1]?.count ?? 0) }
  }

  /// The multiply-adds (MACs) of all Conv, Gemm and MatMul nodes; others are not counted.
  ///
  /// - Parameter batchSize: The number of samples that the count is for, at least 1.
  /// - Throws: ``GraphError`` when the graph is wrong or a size stays unknown.
  public func multiplyAdds(batchSize: Int = 1) throws(GraphError) -> Int {
    let types = try inferTypes(binding: binding(batchSize: batchSize))
    var total = 0
    for node in nodes { total += try multiplyAdds(node, types) }
    return total
  }

  /// Size, cost and sparsity of each layer in node order, quantized ones too.
  ///
  /// - Throws: ``GraphError`` when the graph is wrong or a size stays unknown.
  public func layerSummaries() throws(GraphError) -> [LayerSummary] {
    let types = try inferTypes(binding: binding(batchSize: 1))
    let constants = constantTensors()
    let quantized = quantizedConstants(constants)
    var result: [LayerSummary] = []
    for (index, node) in nodes.enumerated() {
      let value = node.input(1) ?? ""
      let weight = quantized[value] ?? value
      guard let tensor = constants[weight], node.layer(index, weightShape: tensor.shape) != nil
      else {
        continue
      }
      let bias = node.input(2).map { quantized[$0] ?? $0 }
      let isZero = zeroes(of: tensor, dequantizedBy: producerOfQuantized(value))
      result.append(
        LayerSummary(
          node: node.displayName, op: node.op, weight: weight, shape: tensor.shape,
          elementType: tensor.elementType,
          parameterCount: tensor.count + (bias.flatMap { constants[$0]?.count } ?? 0),
          multiplyAdds: try multiplyAdds(node, types),
          sparsity: tensor.count == 0 ? 0 : Double(isZero) / Double(tensor.count)))
    }
    return result
  }

  /// For each value that a DequantizeLinear makes of a constant, that constant's name.
  private func quantizedConstants(_ constants: [String: Tensor]) -> [String: String] {
    var result: [String: String] = [:]
    for node in nodes where node.op == "DequantizeLinear" {
      guard let output = node.outputs.first, let input = node.input(0), constants[input] != nil
      else { continue }
      result[output] = input
    }
    return result
  }

  private func producerOfQuantized(_ value: String) -> Node? {
    nodes.first { $0.op == "DequantizeLinear" && $0.outputs.first == value }
  }

  /// How many elements stand for zero.
  private func zeroes(of tensor: Tensor, dequantizedBy node: Node?) -> Int {
    guard let node, let integers = tensor.integers() else {
      return tensor.floats().count { $0 == 0 }
    }
    let zeroPoint = node.input(2).flatMap { constant($0)?.integers() } ?? [0]
    let stated = node.int("axis", default: 1)
    let axis = stated < 0 ? stated + tensor.rank : stated
    guard zeroPoint.count > 1, tensor.shape.indices.contains(axis),
      tensor.shape[axis] == zeroPoint.count
    else { return integers.count { $0 == zeroPoint.first ?? 0 } }
    let inner = tensor.shape[(axis + 1)...].reduce(1, *)
    return integers.indices.count { integers[$0] == zeroPoint[$0 / inner % zeroPoint.count] }
  }

  private func multiplyAdds(
    _ node: Node, _ types: [String: ValueType]
  ) throws(GraphError) -> Int {
    guard ["Conv", "Gemm", "MatMul"].contains(node.op) else { return 0 }
    func sizes(_ value: String) throws(GraphError) -> [Int] {
      let type = types[value] ?? ValueType(.float32, [])
      guard let sizes = type.sizes else {
        throw .wrongShape(
          op: node.op, node: node.displayName, value: value, found: type.shape,
          expected: "sizes that are all known; bind the symbols")
      }
      return sizes
    }
    let output = try sizes(node.outputs[0])
    let depth: [Int]
    switch node.op {
    case "Conv": depth = Array(try sizes(node.inputs[1])[1...])
    case "Gemm":
      let input = try sizes(node.inputs[0])
      depth = [input[node.int("transA", default: 0) == 0 ? 1 : 0]]
    default: depth = try sizes(node.inputs[0]).suffix(1)
    }
    guard let count = Tensor.elementCount(of: output + depth, elementType: .uint8) else {
      throw .shapeOverflow(
        node: node.displayName, value: node.outputs[0], shape: (output + depth).map { .fixed($0) })
    }
    return count
  }
}
