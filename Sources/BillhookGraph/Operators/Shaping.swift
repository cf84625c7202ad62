internal import BillhookTensor

extension OperatorDefinition {
  /// The axes before `axis` become the first axis, the others the second.
  static let flatten = OperatorDefinition(
    "Flatten", inputs: 1...1, attributes: [AttributeDefinition("axis", .int)],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let axis = try context.axis(default: 1, rank: input.shape.count, allowingEnd: true)
      let head = DimensionProduct(input.shape[..<axis])
      let tail = DimensionProduct(input.shape[axis...])
      guard head.coefficient != nil, tail.coefficient != nil else {
        throw .shapeOverflow(
          node: context.name, value: context.node.outputs.first ?? "", shape: input.shape)
      }
      return [ValueType(input.elementType, [head.dimension, tail.dimension])]
    },
    evaluate: reshapeTensor)

  /// Another shape of as many elements: 0 keeps an axis, one −1 takes what is left.
  static let reshape = OperatorDefinition(
    "Reshape", inputs: 2...2, attributes: [AttributeDefinition("allowzero", .int)],
    infer: inferReshape, evaluate: reshapeTensor)

  /// Joins tensors along an axis.
  static let concat = OperatorDefinition(
    "Concat", inputs: 1...Int.max, attributes: [AttributeDefinition("axis", .int, required: true)],
    infer: inferConcat,
    evaluate: { (context, types) throws(GraphError) in
      let shape = types[0].sizes ?? []
      let axis = try context.axis(default: 0, rank: shape.count)
      var parts: [Tensor] = []
      for index in context.inputs.indices { parts.append(try context.tensor(index)) }
      let size = types[0].elementType.byteCount
      let outer = shape[..<axis].reduce(1, *)
      let inner = shape[(axis + 1)...].reduce(1, *) * size
      var bytes: [UInt8] = []
      for row in 0..<outer {
        for part in parts {
          let run = part.shape[axis] * inner
          part.withUnsafeBytes { bytes += $0[row * run..<(row + 1) * run] }
        }
      }
      return [Tensor(bytes: bytes, shape: shape, types[0].elementType)]
    })

  /// Axes in another order; reversed when `perm` is left out.
  static let transpose = OperatorDefinition(
    "Transpose", inputs: 1...1, attributes: [AttributeDefinition("perm", .ints)],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let order = try context.permutation(rank: input.shape.count)
      return [ValueType(input.elementType, order.map { input.shape[$0] })]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let order = try context.permutation(rank: input.rank)
      return [input.transposed(order)]
    })
}

extension NodeContext {
  /// The order of axes of a Transpose: `result[i]` is the input's axis that becomes axis `i`.
  func permutation(rank: Int) throws(GraphError) -> [Int] {
    let order = node.ints("perm") ?? Array((0..<rank).reversed())
    guard order.sorted() == Array(0..<rank) else {
      throw wrongAttribute("perm", order, expected: "each of 0..<\(rank) once")
    }
    return order
  }
}

extension Tensor {
  init(bytes: [UInt8], shape: [Int], _ type: ElementType) {
    self.init(zeros: shape, type)
    withUnsafeMutableBytes { $0.copyBytes(from: bytes) }
  }
}

@Sendable private func reshapeTensor(
  _ context: NodeContext, _ types: [ValueType]
) throws(GraphError) -> [Tensor] {
  [try context.tensor(0).reshaped(types[0].sizes ?? [])]
}

@Sendable private func inferReshape(_ context: NodeContext) throws(GraphError) -> [ValueType] {
  let input = try context.type(0)
  let target = try context.type(1, in: [.int64], expected: "int64 sizes")
  guard target.shape.count == 1 else { throw context.wrongShape(1, expected: "a vector of sizes") }
  let sizes = try context.tensor(1).integers() ?? []
  let allowsZero = try context.flag("allowzero")
  func wrong(_ expected: String) -> GraphError {
    .wrongShape(
      op: context.op, node: context.name, value: context.valueName(0), found: input.shape,
      expected: "\(expected) for the target shape \(sizes)")
  }
  var shape: [Dimension] = []
  var open: Int?
  for (axis, size) in sizes.enumerated() {
    switch size {
    case 0 where !allowsZero:
      guard axis < input.shape.count else { throw wrong("an axis \(axis) to copy") }
      shape.append(input.shape[axis])
    case -1:
      guard open == nil else { throw wrong("at most one -1") }
      open = axis
      shape.append(1)
    case 0...: shape.append(.fixed(size))
    default: throw wrong("sizes of -1 or more")
    }
  }
  let have = DimensionProduct(input.shape)
  let want = DimensionProduct(shape)
  guard have.coefficient != nil, want.coefficient != nil else {
    throw .shapeOverflow(
      node: context.name, value: context.node.outputs.first ?? "", shape: shape)
  }
  if let open {
    guard let rest = have.divided(by: want) else {
      throw wrong("a multiple of \(want.coefficient ?? 0) elements")
    }
    shape[open] = rest
  } else if have.symbols.isEmpty, want.symbols.isEmpty, have.coefficient != want.coefficient {
    throw wrong("\(want.coefficient ?? 0) elements")
  }
  return [ValueType(input.elementType, shape)]
}

@Sendable private func inferConcat(_ context: NodeContext) throws(GraphError) -> [ValueType] {
  var result = try context.type(0)
  let axis = try context.axis(default: 0, rank: result.shape.count)
  var total: Int? = 0
  for index in context.inputs.indices {
    let type = try context.sameElements(index)
    guard type.shape.count == result.shape.count else {
      throw context.incompatible(0, index, expected: "the same number of axes")
    }
    for other in type.shape.indices where other != axis {
      guard !type.shape[other].contradicts(result.shape[other]) else {
        throw context.incompatible(0, index, expected: "equal sizes on all axes but \(axis)")
      }
      result.shape[other] = result.shape[other].merged(with: type.shape[other])
    }
    if let size = type.shape[axis].size, let sum = total {
      let (next, overflow) = sum.addingReportingOverflow(size)
      guard !overflow else { throw context.wrongShape(index, expected: "a smaller axis \(axis)") }
      total = next
    } else {
      total = nil
    }
  }
  if context.inputs.count > 1 { result.shape[axis] = total.map { .fixed($0) } ?? .symbolic("") }
  return [result]
}
