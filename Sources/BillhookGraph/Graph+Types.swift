internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The name that an input's unnamed first axis goes by: the batch.
  public static let batchSymbol = "N"

  /// Computes the element type and shape of every value: inputs, initializers and node outputs.
  ///
  /// What the file states about inner values is not read, so it cannot be stale. An axis whose size
  /// is a symbol keeps it as far as it can be followed; an axis of unknown size is
  /// `.symbolic("")`. The first axis of an input, when it has neither a size nor a name, is taken to
  /// be the batch and gets the name ``batchSymbol``.
  ///
  /// - Parameter binding: Sizes for symbols, at least 0. ``binding(batchSize:)`` makes one.
  /// - Throws: ``GraphError``; never traps, whatever the graph holds.
  public func inferTypes(
    binding: [String: Int] = [:]
  ) throws(GraphError) -> [String: ValueType] {
    try verifyStructure()
    var types: [String: ValueType] = [:]
    var constants = initializers.mapValues(\.tensor).reduce(into: [String: Tensor]()) {
      $0[$1.key] = $1.value
    }
    for input in inputs { types[input.name] = try type(of: input, binding: binding) }
    for (name, initializer) in initializers { types[name] = ValueType(of: initializer.tensor) }
    for node in nodes {
      let context = NodeContext(
        node: node, opset: opset, inputs: node.inputs.map { types[$0] },
        constants: node.inputs.map { constants[$0] })
      let result = try OperatorTable.definition(of: node).checkedTypes(context)
      for (output, type) in zip(node.outputs, result) where !output.isEmpty { types[output] = type }
      if let tensor = node.constantTensor, let output = node.outputs.first {
        constants[output] = tensor
      }
    }
    return types
  }

  /// Sizes for the symbols of the inputs' first axes: the batch.
  ///
  /// - Parameter batchSize: At least 1.
  public func binding(batchSize: Int) -> [String: Int] {
    var result: [String: Int] = [:]
    for input in inputs {
      guard case .symbolic(let name)? = input.shape?.first else { continue }
      result[name.isEmpty ? Self.batchSymbol : name] = batchSize
    }
    return result
  }

  private func type(
    of input: ValueInfo, binding: [String: Int]
  ) throws(GraphError) -> ValueType {
    guard var shape = input.shape else { throw .unknownShape(input: input.name) }
    if shape.first == .symbolic("") { shape[0] = .symbolic(Self.batchSymbol) }
    shape = shape.map { dimension in
      guard case .symbolic(let name) = dimension, let size = binding[name] else {
        return dimension
      }
      return .fixed(size)
    }
    guard shape.allSatisfy({ ($0.size ?? 0) >= 0 }) else {
      throw .negativeSize(value: input.name, shape: shape)
    }
    guard isAddressable(shape, input.elementType) else {
      throw .shapeOverflow(node: input.name, value: input.name, shape: shape)
    }
    return ValueType(input.elementType, shape)
  }
}

extension OperatorDefinition {
  /// The output types, none of which is too large to address.
  func checkedTypes(_ context: NodeContext) throws(GraphError) -> [ValueType] {
    let types = try infer(context)
    for (output, type) in zip(context.node.outputs, types) {
      guard isAddressable(type.shape, type.elementType) else {
        throw .shapeOverflow(node: context.name, value: output, shape: type.shape)
      }
    }
    return types
  }
}

/// True when a tensor of this shape fits an address space even with every symbol at 1.
private func isAddressable(_ shape: [Dimension], _ type: ElementType) -> Bool {
  Tensor.elementCount(of: shape.map { $0.size ?? 1 }, elementType: type) != nil
}
