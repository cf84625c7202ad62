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
    var names = NamePool(self)
    let types = try inferTypes()
    for index in nodes.indices {
      try result.nodes[index].raise(from: opset, to: needed, types, &names, &result.initializers)
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

extension Node {
  /// What did not change between operator sets 7 and 13, apart from the operators that
  /// ``raise(from:to:_:_:_:)`` looks at one by one; most only gained types.
  private static let unchanged: Set<String> = [
    "Abs", "Add", "And", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Concat", "Constant",
    "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "DepthToSpace", "Div", "Elu", "Equal", "Erf",
    "Exp", "Expand", "Flatten", "Floor", "Gather", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
    "Greater", "HardSigmoid", "Identity", "If", "InstanceNormalization", "LSTM", "GRU",
    "LeakyRelu", "Less", "Log", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "Not",
    "Or", "PRelu", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "Relu",
    "Reshape", "Selu", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Softplus", "SpaceToDepth",
    "Sqrt", "Sub", "Tanh", "Tile", "Transpose", "Where",
  ]

  /// Operators whose attribute became an input with operator set 13.
  private static let movedAttributes = [
    "ReduceSum": "axes", "Split": "split", "Squeeze": "axes", "Unsqueeze": "axes",
  ]

  /// Writes the node as operator set 13 wants it.
  ///
  /// - Throws: ``CompressionError/opsetTooOld(opset:needed:node:op:)``.
  fileprivate mutating func raise(
    from opset: Int, to needed: Int, _ types: [String: ValueType], _ names: inout NamePool,
    _ initializers: inout OrderedDictionary<String, Initializer>
  ) throws {
    guard domain.isEmpty || domain == "ai.onnx" else { return }
    let rank = input(0).flatMap { types[$0]?.shape.count }
    let isSame =
      switch op {
      case "Clip", "Pad", "Resize", "ScatterElements", "TopK": opset >= 11
      case "Slice": opset >= 10
      case "Dropout", "ReduceSum", "Split", "Squeeze", "Unsqueeze": true
      case "Softmax", "LogSoftmax":
        // All axes from the given one on were one; for the last axis that is the same.
        rank.map { [$0 - 1, -1].contains(int("axis", default: 1)) } ?? false
      default: Self.unchanged.contains(op)
      }
    guard isSame else {
      throw CompressionError.opsetTooOld(opset: opset, needed: needed, node: displayName, op: op)
    }
    switch op {
    case "Dropout": attributes["ratio"] = nil
    case "BatchNormalization": attributes["spatial"] = nil
    case "Softmax", "LogSoftmax":
      // The default axis became -1.
      attributes["axis"] = .int(int("axis", default: 1))
    default: break
    }
    if let key = Self.movedAttributes[op], let numbers = ints(key) {
      let name = names.unused("\(displayName)_\(key)")
      initializers[name] = Initializer(Tensor(numbers.map { Int64($0) }))
      attributes[key] = nil
      inputs.append(name)
    }
    for (key, attribute) in attributes {
      guard case .graph(var body) = attribute else { continue }
      for index in body.nodes.indices {
        try body.nodes[index].raise(from: opset, to: needed, [:], &names, &initializers)
      }
      attributes[key] = .graph(body)
    }
  }
}
