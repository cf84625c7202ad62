internal import BillhookTensor
internal import OrderedCollections

/// What is known of the values that the nodes of a graph, and its subgraphs, can see.
struct ValueScope {
  var types: [String: ValueType] = [:]
  var constants: [String: Tensor] = [:]
  /// What is known of the elements of small integer values that are not constant.
  var elements: [String: [Dimension]] = [:]

  subscript(_ name: String) -> ValueType? {
    types[name] ?? constants[name].map { ValueType(of: $0) }
  }
}

extension ValueScope {
  /// Keeps what is known of the elements of a value, which is constant when all of them are numbers.
  fileprivate mutating func know(_ elements: [Dimension], of value: String, _ type: ValueType) {
    let numbers = elements.compactMap(\.size)
    if numbers.count == elements.count, let sizes = type.sizes {
      constants[value] = Tensor(truncating: numbers, shape: sizes, type.elementType)
    } else {
      self.elements[value] = elements
    }
  }
}

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
  /// A value is missing from the result when its number of axes depends on what other values hold
  /// while the graph runs (a Squeeze of all axes of size 1, the outputs of a Loop), or on such a value.
  ///
  /// - Parameter binding: Sizes for symbols, at least 0. ``binding(batchSize:)`` makes one.
  /// - Throws: ``GraphError``; never traps, whatever the graph holds.
  public func inferTypes(
    binding: [String: Int] = [:]
  ) throws(GraphError) -> [String: ValueType] {
    try inferScope(binding: binding).types
  }

  /// The types, and the small values that are already known, such as shapes that are computed with.
  func inferScope(binding: [String: Int] = [:]) throws(GraphError) -> ValueScope {
    try verifyStructure()
    var scope = ValueScope()
    for input in inputs { scope.types[input.name] = try type(of: input, binding: binding) }
    try inferNodes(&scope, opset: opset)
    return scope
  }

  /// Adds initializers and node outputs to a scope that knows the graph's inputs.
  func inferNodes(_ scope: inout ValueScope, opset: Int) throws(GraphError) {
    for (name, initializer) in initializers {
      scope.types[name] = ValueType(of: initializer.tensor)
      scope.constants[name] = initializer.tensor
    }
    for node in nodes {
      let definition = try OperatorTable.definition(of: node)
      let inputs = node.inputs.map { $0.isEmpty ? nil : scope[$0] }
      let isComplete = zip(node.inputs, inputs).allSatisfy { $0.isEmpty || $1 != nil }
      // A name that an outer graph uses too means this graph's value from here on.
      for output in node.outputs {
        scope.types[output] = nil
        scope.constants[output] = nil
        scope.elements[output] = nil
      }
      guard isComplete else { continue }
      var context = NodeContext(
        node: node, opset: opset, inputs: inputs,
        constants: node.inputs.map { scope.constants[$0] },
        // Only subgraphs look at it, and a context that shares it makes each write copy it whole.
        scope: node.subgraphs.isEmpty ? ValueScope() : scope)
      for input in node.inputs { context.known[input] = scope.elements[input] }
      let types: [ValueType]
      do {
        types = try definition.checkedTypes(context)
      } catch {
        guard case .notConstant = error else { throw error }
        continue
      }
      for (output, type) in zip(node.outputs, types) where !output.isEmpty {
        scope.types[output] = type
      }
      guard let tensors = try definition.knownOutputs(context, types) else {
        if let elements = try definition.knownElements(context, types) {
          scope.know(elements, of: node.outputs[0], types[0])
        }
        continue
      }
      for (output, tensor) in zip(node.outputs, tensors) where !output.isEmpty {
        scope.constants[output] = tensor
      }
    }
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
  ) throws(GraphError) -> ValueType? {
    guard var shape = input.shape else { return nil }
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

  /// Values of up to this size are computed while types are inferred, because shapes are made of
  /// them.
  private static let knownByteCount = 1 << 16

  /// The outputs when they can be told now and are small; nil otherwise.
  func knownOutputs(
    _ context: NodeContext, _ types: [ValueType]
  ) throws(GraphError) -> [Tensor]? {
    switch dependence {
    case .types:
      guard context.inputs.allSatisfy({ $0 == nil || $0?.sizes != nil }) else { return nil }
    case .values:
      let isConstant = zip(context.inputs, context.constants).allSatisfy { type, tensor in
        type == nil || (tensor?.byteCount ?? .max) <= Self.knownByteCount
      }
      guard isConstant else { return nil }
    case .subgraphs, .randomness: return nil
    }
    for type in types.prefix(context.node.outputs.count) {
      guard let sizes = type.sizes,
        let count = Tensor.elementCount(of: sizes, elementType: type.elementType),
        count <= Self.knownByteCount / type.elementType.byteCount
      else { return nil }
    }
    return try evaluate(context, types)
  }
}

/// True when a tensor of this shape fits an address space even with every symbol at 1.
private func isAddressable(_ shape: [Dimension], _ type: ElementType) -> Bool {
  Tensor.elementCount(of: shape.map { $0.size ?? 1 }, elementType: type) != nil
}
