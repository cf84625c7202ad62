public import BillhookTensor
internal import OrderedCollections

extension OperatorDefinition {
  /// A tensor that the node itself carries, in one of the attributes that ONNX has for it.
  static let constant = OperatorDefinition(
    "Constant", inputs: 0...0,
    attributes: [
      .tensor("value"), .float("value_float"),
      .floats("value_floats"), .int("value_int"),
      .ints("value_ints"),
    ],
    infer: { (context) throws(GraphError) in [ValueType(of: try constantTensor(context))] },
    evaluate: { (context, _) throws(GraphError) in [try constantTensor(context)] })
}

extension Node {
  /// The tensor of a `Constant` node, whichever attribute holds it; nil for any other node.
  public var constantTensor: Tensor? {
    guard op == "Constant", isStandard else { return nil }
    for attribute in attributes.values {
      switch attribute {
      case .tensor(let initializer): return initializer.tensor
      case .float(let number): return Tensor(scalar: number)
      case .floats(let numbers): return Tensor(numbers)
      case .int(let number): return Tensor(scalar: Int64(number))
      case .ints(let numbers): return Tensor(numbers.map { Int64($0) })
      case .string, .strings, .graph, .opaque: continue
      }
    }
    return nil
  }
}

private func constantTensor(_ context: NodeContext) throws(GraphError) -> Tensor {
  guard context.node.attributes.count == 1, let tensor = context.node.constantTensor else {
    throw .missingAttribute(
      op: context.op, node: context.name, attribute: "value",
      expected: "a tensor there, or one of value_float, value_floats, value_int and value_ints")
  }
  return tensor
}
