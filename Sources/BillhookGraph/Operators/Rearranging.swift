internal import BillhookTensor
internal import OrderedCollections

extension OperatorDefinition {
  /// Operators that put elements into another order, or tensors together and apart.
  static let rearrangingFamily: [OperatorDefinition] = [
    transpose, concat, split, depthToSpace, spaceToDepth, reverseSequence,
  ]

  /// Joins tensors along an axis.
  private static let concat = OperatorDefinition(
    "Concat", inputs: 1...Int.max, attributes: [.int("axis")],
    infer: inferConcat,
    evaluate: { (context, types) throws(GraphError) in
      let shape = types[0].sizes ?? []
      let axis = try context.concatAxis(rank: shape.count)
      var parts: [Tensor] = []
      for index in context.inputs.indices { parts.append(try context.tensor(index)) }
      let size = types[0].elementType.byteCount
      let outer = shape[..<axis].reduce(1, *)
      let inner = shape[(axis + 1)...].reduce(1, *) * size
      var bytes: [UInt8] = []
      bytes.reserveCapacity(shape.reduce(size, *))
      for row in 0..<outer {
        for part in parts {
          let run = part.shape[axis] * inner
          part.withUnsafeBytes { bytes += $0[row * run..<(row + 1) * run] }
        }
      }
      return [Tensor(bytes: bytes, shape: shape, types[0].elementType)]
    })

  /// Axes in another order; reversed when `perm` is left out.
  private static let transpose = OperatorDefinition(
    "Transpose", inputs: 1...1, attributes: [.ints("perm")],
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

  /// Cuts along an axis, into equal parts or those that `split` states.
  private static let split = OperatorDefinition(
    "Split", inputs: 1...2, outputs: 1...Int.max,
    attributes: [.int("axis"), .ints("split"), .int("num_outputs")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let axis = try context.axis(default: 0, rank: input.shape.count)
      let parts = try context.parts(input.shape[axis])
      return parts.map { part in
        var type = input
        type.shape[axis] = part
        return type
      }
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let axis = try context.axis(default: 0, rank: input.rank)
      var start = 0
      return types.map { type in
        let shape = type.sizes ?? []
        var positions = shape.map { Array(0..<$0) }
        positions[axis] = positions[axis].map { $0 + start }
        start += shape[axis]
        return input.gathered(crossIndices(input.shape, positions), shape: shape)
      }
    })

  /// Blocks of channels become blocks of positions, in `mode` DCR (depth, column, row) or CRD.
  private static let depthToSpace = OperatorDefinition(
    "DepthToSpace", inputs: 1...1,
    attributes: [.int("blocksize", required: true), .string("mode")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 4...4)
      let block = try context.blockSize()
      let mode = context.node.string("mode", default: "DCR")
      guard mode == "DCR" || mode == "CRD" else {
        throw context.wrongAttribute("mode", "\"\(mode)\"", expected: "DCR or CRD")
      }
      guard let channels = input.shape[1].size, channels % (block * block) == 0 else {
        throw context.wrongShape(0, expected: "a multiple of \(block * block) channels")
      }
      var shape = input.shape
      shape[1] = .fixed(channels / (block * block))
      for axis in 2...3 {
        shape[axis] = DimensionProduct([shape[axis], .fixed(block)]).dimension
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let block = try context.blockSize()
      let (n, h, w) = (input.shape[0], input.shape[2], input.shape[3])
      let depth = types[0].sizes?[1] ?? 0
      let moved =
        context.node.string("mode", default: "DCR") == "DCR"
        ? input.reshaped([n, block, block, depth, h, w]).transposed([0, 3, 4, 1, 5, 2])
        : input.reshaped([n, depth, block, block, h, w]).transposed([0, 1, 4, 2, 5, 3])
      return [moved.reshaped(types[0].sizes ?? [])]
    })

  /// Blocks of positions become blocks of channels.
  private static let spaceToDepth = OperatorDefinition(
    "SpaceToDepth", inputs: 1...1,
    attributes: [.int("blocksize", required: true), .string("mode")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 4...4)
      let block = try context.blockSize()
      let mode = context.node.string("mode", default: "DCR")
      guard mode == "DCR" || mode == "CRD" else {
        throw context.wrongAttribute("mode", "\"\(mode)\"", expected: "DCR or CRD")
      }
      var shape = input.shape
      shape[1] = DimensionProduct([shape[1], .fixed(block * block)]).dimension
      for axis in 2...3 {
        guard
          let rest = DimensionProduct([shape[axis]]).divided(by: DimensionProduct([.fixed(block)]))
        else { throw context.wrongShape(0, expected: "multiples of \(block) on axes 2 and 3") }
        shape[axis] = rest
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let block = try context.blockSize()
      let (n, c) = (input.shape[0], input.shape[1])
      let (h, w) = (input.shape[2] / block, input.shape[3] / block)
      let order =
        context.node.string("mode", default: "DCR") == "DCR"
        ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4]
      return [
        input.reshaped([n, c, h, block, w, block]).transposed(order)
          .reshaped(types[0].sizes ?? [])
      ]
    })

  /// The first elements of each sequence of a batch in reverse order.
  private static let reverseSequence = OperatorDefinition(
    "ReverseSequence", inputs: 2...2, attributes: [.int("batch_axis"), .int("time_axis")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 2...Int.max)
      let (batch, time) = try context.sequenceAxes()
      _ = try context.indices(1)
      try context.vector(1, count: input.shape[batch])
      if context.optionalTensor(1) != nil, let size = input.shape[time].size {
        let lengths = try context.integers(1)
        guard lengths.allSatisfy({ (0...size).contains($0) }) else {
          throw context.wrongShape(1, expected: "lengths in 0...\(size), found \(lengths)")
        }
      }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let lengths = try context.integers(1)
      let (batch, time) = try context.sequenceAxes()
      let strides = rowMajorStrides(input.shape)
      let source = (0..<input.count).map { place in
        let step = place / strides[time] % input.shape[time]
        let length = lengths[place / strides[batch] % input.shape[batch]]
        return step < length ? place + (length - 1 - 2 * step) * strides[time] : place
      }
      return [input.gathered(source, shape: input.shape)]
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

  /// The axis of a Concat, which may be left out before operator set 4 only.
  fileprivate func concatAxis(rank: Int) throws(GraphError) -> Int {
    guard opset < 4 || node.attributes["axis"] != nil else {
      throw .missingAttribute(op: op, node: name, attribute: "axis", expected: "int")
    }
    return try axis(default: 1, rank: rank)
  }

  fileprivate func blockSize() throws(GraphError) -> Int {
    let block = node.int("blocksize", default: 0)
    guard (1...1 << 20).contains(block) else {
      throw wrongAttribute("blocksize", block, expected: "1...\(1 << 20)")
    }
    return block
  }

  fileprivate func sequenceAxes() throws(GraphError) -> (batch: Int, time: Int) {
    let axes = (node.int("batch_axis", default: 1), node.int("time_axis", default: 0))
    guard axes == (0, 1) || axes == (1, 0) else {
      throw wrongAttribute("batch_axis", axes.0, expected: "0 or 1, and time_axis the other")
    }
    return axes
  }

  /// The sizes of a Split's parts.
  fileprivate func parts(_ size: Dimension) throws(GraphError) -> [Dimension] {
    if let stated = try integers(1, or: "split") {
      var total = 0
      for part in stated { total = try sum(total, part) }
      guard stated.count == node.outputs.count, stated.allSatisfy({ $0 >= 0 }),
        !size.contradicts(.fixed(total))
      else {
        throw wrongAttribute(
          "split", stated, expected: "\(node.outputs.count) sizes of \(size) in all")
      }
      return stated.map { .fixed($0) }
    }
    let count = node.outputs.count
    if let stated = node.attributes["num_outputs"].flatMap({ _ in
      node.int("num_outputs", default: 0)
    }),
      stated != count
    {
      throw wrongAttribute("num_outputs", stated, expected: "the number of outputs, \(count)")
    }
    guard let size = size.size else { return [Dimension](repeating: .symbolic(""), count: count) }
    // From operator set 18 on the last part may be smaller.
    let part = size / count + (size % count == 0 ? 0 : 1)
    let isEven = size % count == 0 || (opset >= 18 && part * (count - 1) <= size)
    guard isEven else {
      throw wrongShape(0, expected: "a size that \(count) equal parts make up")
    }
    return (0..<count).map { .fixed(max(0, min(part, size - $0 * part))) }
  }
}

@Sendable private func inferConcat(_ context: NodeContext) throws(GraphError) -> [ValueType] {
  var result = try context.type(0)
  let axis = try context.concatAxis(rank: result.shape.count)
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
