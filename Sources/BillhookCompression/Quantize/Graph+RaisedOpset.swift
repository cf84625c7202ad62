internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph under a newer operator set: what means the same there stays, what changed is written as
  /// it is written there.
  ///
  /// Quantization along an axis came with operator set 13, IR version 7.
  ///
  /// - Throws: ``CompressionError/opsetTooOld(opset:needed:node:op:)`` naming the node that could mean
  ///   something else.
  func raisedOpset(to needed: Int = 13) throws -> Graph {
    guard opset < needed else { return self }
    guard opset >= 7 else {
      let node = nodes.first { $0.op != "Constant" }
      throw CompressionError.opsetTooOld(
        opset: opset, needed: needed, node: node?.displayName ?? "", op: node?.op ?? "")
    }
    var raise = OpsetRaise(self, to: needed)
    let types = try inferTypes()
    var result = self
    result.nodes = try nodes.flatMap { try raise.visit($0, type: { types[$0] }) }
    for (name, initializer) in raise.initializers { result.initializers[name] = initializer }
    result.opsets[opsets[""] == nil && opsets["ai.onnx"] != nil ? "ai.onnx" : ""] = needed
    result.irVersion = max(irVersion, 7)
    return result
  }
}

/// Writes nodes of an older operator set as a newer one, up to 21, wants them.
private struct OpsetRaise {
  /// What did not change from operator set 7, or the one that brought it, to 21; most only gained
  /// types. ``visit(_:type:)`` looks at the other operators one by one.
  private static let unchanged: Set<String> = [
    "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh",
    "AveragePool", "BitShift", "Cast", "CastLike", "Ceil", "Celu", "Concat", "Constant",
    "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "Cosh", "CumSum", "DepthToSpace",
    "DequantizeLinear", "Det", "Div", "DynamicQuantizeLinear", "Einsum", "Elu", "Equal", "Erf",
    "Exp", "Expand", "EyeLike", "Flatten", "Floor", "GRU",
    "Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool", "GlobalLpPool",
    "GlobalMaxPool", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "If",
    "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM", "LayerNormalization", "LeakyRelu",
    "Less", "LessOrEqual",
    "Log", "LpNormalization", "LpPool", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mod",
    "Mul",
    "Neg", "NonZero", "Not", "OneHot", "Or", "PRelu", "Pow", "QuantizeLinear", "RNN", "Range",
    "Reciprocal", "Relu", "Reshape", "ReverseSequence", "Round",
    "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size",
    "Softplus", "Softsign", "SpaceToDepth", "Sqrt", "Sub", "Sum", "Tan", "Tanh",
    "ThresholdedRelu", "Tile", "Transpose", "Trilu", "Where", "Xor",
  ]

  /// Operators whose attributes became inputs, from which operator set on, and their defaults.
  private static let moved: [String: (since: Int, keys: [String])] = [
    "ReduceSum": (13, ["axes"]), "Split": (13, ["split"]), "Squeeze": (13, ["axes"]),
    "Unsqueeze": (13, ["axes"]), "Slice": (10, ["starts", "ends", "axes"]), "TopK": (10, ["k"]),
    "Clip": (11, ["min", "max"]), "Pad": (11, ["pads", "value"]), "ReduceL1": (18, ["axes"]),
    "ReduceL2": (18, ["axes"]), "ReduceLogSum": (18, ["axes"]),
    "ReduceLogSumExp": (18, ["axes"]), "ReduceMax": (18, ["axes"]), "ReduceMean": (18, ["axes"]),
    "ReduceMin": (18, ["axes"]), "ReduceProd": (18, ["axes"]), "ReduceSumSquare": (18, ["axes"]),
  ]

  private let opset: Int
  private let needed: Int
  private var names: NamePool
  private(set) var initializers: OrderedDictionary<String, Initializer> = [:]

  init(_ graph: Graph, to needed: Int) {
    opset = graph.opset
    self.needed = needed
    names = NamePool(graph)
  }

  /// - Parameter type: The type of a value, where it is known.
  /// - Throws: ``CompressionError/opsetTooOld(opset:needed:node:op:)``.
  mutating func visit(_ node: Node, type: (String) -> ValueType?) throws -> [Node] {
    guard node.isStandard else { return [node] }
    var node = node
    switch node.op {
    case "Softmax", "LogSoftmax", "Hardmax":
      return opset < 13 ? softmax(node, type: type) : [node]
    case "Resize" where opset >= 11, "ScatterElements" where opset >= 11: break
    case "Loop" where opset >= 9, "Scan" where opset >= 9: break
    case "Split":
      moveAttributes(of: &node)
      if opset < 18, needed >= 18, node.input(1) == nil {
        node.attributes["num_outputs"] = .int(node.outputs.count)
      }
    case "Dropout" where opset >= 10 || node.outputs.dropFirst().allSatisfy(\.isEmpty):
      // The share of what is dropped is an input now; without it nothing changes in a finished network.
      node.attributes["ratio"] = nil
    case "BatchNormalization" where opset >= 9 || node.int("spatial", default: 1) == 1:
      node.attributes["spatial"] = nil
    case "Clip" where opset < 11 && isOtherFloat(node, type),
      "Pad" where opset < 11 && isOtherFloat(node, type):
      // The bounds would have to be of the input's type.
      throw refusal(of: node)
    case "Scatter":
      // The same operator under another name since 11.
      node.op = "ScatterElements"
    case let op where Self.moved[op] != nil: moveAttributes(of: &node)
    case let op where Self.unchanged.contains(op): break
    default: throw refusal(of: node)
    }
    for (key, attribute) in node.attributes {
      guard case .graph(var body) = attribute else { continue }
      body.nodes = try body.nodes.flatMap { try visit($0, type: { _ in nil }) }
      node.attributes[key] = .graph(body)
    }
    return [node]
  }

  private func refusal(of node: Node) -> CompressionError {
    .opsetTooOld(opset: opset, needed: needed, node: node.displayName, op: node.op)
  }

  private func isOtherFloat(_ node: Node, _ type: (String) -> ValueType?) -> Bool {
    node.input(0).flatMap(type).map { $0.elementType != .float32 } ?? false
  }

  private mutating func moveAttributes(of node: inout Node) {
    guard let (since, keys) = Self.moved[node.op], opset < since, needed >= since else {
      return
    }
    for (index, key) in keys.enumerated() {
      let tensor: Tensor?
      switch node.attributes[key] {
      case .ints(let numbers)?: tensor = Tensor(numbers.map { Int64($0) })
      case .int(let number)?: tensor = Tensor([Int64(number)])
      case .float(let number)?: tensor = Tensor(scalar: number)
      default: tensor = nil
      }
      node.attributes[key] = nil
      guard let tensor else { continue }
      // What is left out in front of an input has an empty name.
      while node.inputs.count < index + 1 { node.inputs.append("") }
      let name = names.unused("\(node.displayName)_\(key)")
      initializers[name] = Initializer(tensor)
      node.inputs.append(name)
    }
  }

  /// Before operator set 13 all axes from the given one on were one; from then on the axis stands
  /// alone. For the last axis that is the same, any other is flattened first.
  private mutating func softmax(_ node: Node, type: (String) -> ValueType?) -> [Node] {
    var node = node
    let axis = node.int("axis", default: 1)
    // The default axis became -1.
    node.attributes["axis"] = .int(axis)
    guard let input = node.input(0), let output = node.outputs.first else { return [node] }
    let count = type(input)?.shape.count
    if axis == -1 || count.map({ axis == $0 - 1 }) == true { return [node] }
    func name(_ part: String) -> String { names.unused("\(node.displayName)_\(part)") }
    let (shape, flat, result) = (name("shape"), name("flat"), name("rows"))
    node.inputs[0] = flat
    node.outputs[0] = result
    node.attributes["axis"] = .int(-1)
    return [
      Node("Shape", name: name("Shape"), inputs: [input], outputs: [shape]),
      Node(
        "Flatten", name: name("Flatten"), inputs: [input], outputs: [flat],
        attributes: ["axis": .int(axis)]),
      node,
      Node("Reshape", name: name("Reshape"), inputs: [result, shape], outputs: [output]),
    ]
  }
}
