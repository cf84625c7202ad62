internal import BillhookTensor

extension OperatorDefinition {
  /// Operators that give the same elements another shape, or repeat them.
  static let shapingFamily: [OperatorDefinition] = [
    reshape, flatten, squeeze, unsqueeze, expand, tile,
  ]

  /// The axes before `axis` become the first axis, the others the second.
  private static let flatten = OperatorDefinition(
    "Flatten", inputs: 1...1, attributes: [.int("axis")],
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

  /// Another shape of as many elements: 0 keeps an axis, one −1 takes what is left. Before operator
  /// set 5 the shape is an attribute.
  private static let reshape = OperatorDefinition(
    "Reshape", inputs: 1...2,
    attributes: [.int("allowzero"), .ints("shape")],
    infer: inferReshape, evaluate: reshapeTensor)

  /// Without the named axes of size 1, or without all of them.
  private static let squeeze = OperatorDefinition(
    "Squeeze", inputs: 1...2, attributes: [.ints("axes")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      var gone: [Int]
      if let stated = try context.integers(1, or: "axes") {
        gone = try context.axes(stated, rank: input.shape.count)
        for axis in gone where input.shape[axis].contradicts(1) {
          throw context.wrongShape(0, expected: "size 1 on the squeezed axis \(axis)")
        }
      } else {
        gone = input.shape.indices.filter { input.shape[$0] == 1 }
        // Whether a symbol stands for 1 shows while running.
        guard input.sizes != nil else {
          throw .notConstant(op: context.op, node: context.name, value: context.valueName(0))
        }
      }
      let kept = input.shape.indices.filter { !gone.contains($0) }
      return [ValueType(input.elementType, kept.map { input.shape[$0] })]
    },
    evaluate: reshapeTensor)

  /// With axes of size 1 inserted; positions count in the result.
  private static let unsqueeze = OperatorDefinition(
    "Unsqueeze", inputs: 1...2, attributes: [.ints("axes")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      guard let stated = try context.integers(1, or: "axes") else {
        throw .missingInput(op: context.op, node: context.name, index: 1)
      }
      let rank = try context.sum(input.shape.count, stated.count)
      let new = try context.axes(stated, rank: rank)
      var rest = input.shape[...]
      let shape = (0..<rank).map { new.contains($0) ? .fixed(1) : rest.removeFirst() }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: reshapeTensor)

  /// Repeats axes of size 1 until the shape meets the one asked for, by NumPy's rules.
  private static let expand = OperatorDefinition(
    "Expand", inputs: 2...2,
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let target = try context.type(1)
      if context.optionalTensor(1) == nil, target.shape.count == 1,
        let wanted = try context.elements(1)
      {
        let rank = max(wanted.count, input.shape.count)
        let shape = (0..<rank).map { axis -> Dimension in
          let (own, place) = (axis - rank + input.shape.count, axis - rank + wanted.count)
          return (own < 0 ? 1 : input.shape[own]).expanded(to: place < 0 ? 1 : wanted[place])
        }
        return [ValueType(input.elementType, shape)]
      }
      let sizes = try context.integers(1)
      guard sizes.allSatisfy({ $0 >= 0 }),
        let shape = broadcast(input.shape, sizes.map { .fixed($0) })
      else {
        throw context.wrongShape(0, expected: "a shape that spreads with \(sizes)")
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (input, shape) = (try context.tensor(0), types[0].sizes ?? [])
      return [input.gathered(Broadcast(input.shape, to: shape).source, shape: shape)]
    })

  /// Repeats the whole tensor along each axis; before operator set 6 one axis, as scalars.
  private static let tile = OperatorDefinition(
    "Tile", inputs: 2...3,
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let repeats = try context.repeats(rank: input.shape.count)
      let shape = zip(input.shape, repeats).map { DimensionProduct([$0, .fixed($1)]).dimension }
      for (size, dimension) in zip(input.shape, shape) where size.size != nil {
        guard dimension.size != nil else {
          throw .shapeOverflow(
            node: context.name, value: context.node.outputs.first ?? "", shape: input.shape)
        }
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (input, shape) = (try context.tensor(0), types[0].sizes ?? [])
      let positions = zip(shape, input.shape).map { size, old in (0..<size).map { $0 % old } }
      return [input.gathered(crossIndices(input.shape, positions), shape: shape)]
    })

}

extension Dimension {
  /// The size of an axis that is spread; it may only grow from size 1.
  fileprivate func expanded(to wanted: Dimension) -> Dimension {
    if self == 1 { return wanted }
    if wanted == 1 || isSame(as: wanted) || size != nil { return self }
    return wanted.size == nil ? .symbolic("") : wanted
  }
}

extension NodeContext {
  fileprivate func repeats(rank: Int) throws(GraphError) -> [Int] {
    var repeats = try integers(1)
    if optionalType(2) != nil {
      // Operator set 1: a count and an axis.
      let axis = try axis(try optionalInteger(2) ?? 0, rank: rank, of: "axis")
      let count = repeats.first ?? 1
      repeats = [Int](repeating: 1, count: rank)
      repeats[axis] = count
    }
    guard repeats.count == rank, repeats.allSatisfy({ $0 >= 0 }) else {
      throw wrongAttribute("repeats", repeats, expected: "\(rank) counts of 0 or more")
    }
    return repeats
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
  if let target = context.optionalType(1) {
    _ = try context.type(1, in: [.int64], expected: "int64 sizes")
    guard target.shape.count == 1 else {
      throw context.wrongShape(1, expected: "a vector of sizes")
    }
  }
  guard let sizes = try context.targetSizes() else {
    throw .missingInput(op: context.op, node: context.name, index: 1)
  }
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
    case .symbolic: shape.append(size)
    case .fixed(0) where !allowsZero:
      guard axis < input.shape.count else { throw wrong("an axis \(axis) to copy") }
      shape.append(input.shape[axis])
    case .fixed(-1):
      guard open == nil else { throw wrong("at most one -1") }
      open = axis
      shape.append(1)
    case .fixed(0...): shape.append(size)
    case .fixed: throw wrong("sizes of -1 or more")
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
  } else if let unknown = shape.lone(.symbolic("")) {
    // What the other axes leave over; nothing can be told where one of them may be empty.
    shape[unknown] = 1
    shape[unknown] = have.divided(by: DimensionProduct(shape)) ?? .symbolic("")
  }
  return [ValueType(input.elementType, shape)]
}

extension NodeContext {
  /// What is known of the sizes that a Reshape asks for; nil when they are left out.
  fileprivate func targetSizes() throws(GraphError) -> [Dimension]? {
    if optionalType(1) != nil, let elements = try elements(1) { return elements }
    return try integers(1, or: "shape")?.map { .fixed($0) }
  }
}

extension [Dimension] {
  /// Where an element stands that is there once; nil when it is not, or several times.
  fileprivate func lone(_ element: Dimension) -> Int? {
    guard let first = firstIndex(of: element), lastIndex(of: element) == first else { return nil }
    return first
  }
}
