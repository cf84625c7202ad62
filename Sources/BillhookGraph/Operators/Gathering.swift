internal import BillhookTensor

extension OperatorDefinition {
  /// Operators that take elements from, or put them at, positions that are computed.
  static let indexingFamily: [OperatorDefinition] = [
    gather, gatherElements, gatherND, scatter("Scatter"), scatter("ScatterElements"), scatterND,
    nonZero, oneHot, topK, unique, tensorScatter,
  ]

  /// Slices along an axis at the positions that the second input holds.
  private static let gather = OperatorDefinition(
    "Gather", inputs: 2...2, attributes: [.int("axis")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 1...Int.max)
      let indices = try context.indices(1)
      let axis = try context.axis(default: 0, rank: input.shape.count)
      _ = try context.positions(1, in: input.shape[axis])
      return [
        ValueType(
          input.elementType, input.shape[..<axis] + indices.shape + input.shape[(axis + 1)...])
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let axis = try context.axis(default: 0, rank: input.rank)
      var positions = input.shape.map { Array(0..<$0) }
      positions[axis] = try context.positions(1, in: .fixed(input.shape[axis])) ?? []
      return [input.gathered(crossIndices(input.shape, positions), shape: types[0].sizes ?? [])]
    })

  /// For each place of the indices the element that lies there but for its position on one axis.
  private static let gatherElements = OperatorDefinition(
    "GatherElements", inputs: 2...2, attributes: [.int("axis")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 1...Int.max)
      let shape = try context.elementIndices(axis: "axis")
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      return [input.gathered(try context.elementPlaces(), shape: types[0].sizes ?? [])]
    })

  /// Slices at index vectors: the last axis of the indices is a position on the leading axes.
  private static let gatherND = OperatorDefinition(
    "GatherND", inputs: 2...2, attributes: [.int("batch_dims")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 1...Int.max)
      let indices = try context.indices(1).shape
      let batch = context.node.int("batch_dims", default: 0)
      guard let depth = indices.last?.size, batch >= 0,
        batch < min(indices.count, input.shape.count),
        batch + depth <= input.shape.count
      else {
        throw context.wrongShape(
          1, expected: "index vectors of at most \(input.shape.count) positions, less batch_dims")
      }
      _ = try context.vectorPlaces(batch)
      let tail = Array(input.shape[(batch + depth)...])
      return [ValueType(input.elementType, Array(indices.dropLast()) + tail)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let batch = context.node.int("batch_dims", default: 0)
      let depth = try context.sizes(1).last ?? 0
      let run = input.shape[(batch + depth)...].reduce(1, *)
      let places = try context.vectorPlaces(batch) ?? []
      return [
        input.gathered(
          places.flatMap { place in (0..<run).map { place + $0 } }, shape: types[0].sizes ?? [])
      ]
    })

  /// Writes updates at the places that GatherElements would read.
  private static func scatter(_ name: String) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 3...3, attributes: [.int("axis"), .string("reduction")],
      infer: { (context) throws(GraphError) in
        let input = try context.type(0, rank: 1...Int.max)
        let shape = try context.elementIndices(axis: "axis")
        _ = try context.scatterReduction()
        let updates = try context.sameElements(2).shape
        guard updates.count == shape.count, zip(updates, shape).allSatisfy({ !$0.contradicts($1) })
        else { throw context.incompatible(1, 2, expected: "the same shape") }
        return [input]
      },
      evaluate: { (context, types) throws(GraphError) in
        [
          try context.tensor(0).scattering(
            try context.tensor(2), at: try context.scatterPlaces(),
            try context.scatterReduction())
        ]
      })
  }

  /// Writes slices at index vectors.
  private static let scatterND = OperatorDefinition(
    "ScatterND", inputs: 3...3, attributes: [.string("reduction")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 1...Int.max)
      let indices = try context.indices(1).shape
      _ = try context.scatterReduction()
      let updates = try context.sameElements(2).shape
      guard let depth = indices.last?.size, depth <= input.shape.count else {
        throw context.wrongShape(
          1, expected: "index vectors of at most \(input.shape.count) positions")
      }
      let expected = Array(indices.dropLast()) + Array(input.shape[depth...])
      guard updates.count == expected.count,
        zip(updates, expected).allSatisfy({ !$0.contradicts($1) })
      else { throw context.wrongShape(2, expected: "\(expected)") }
      _ = try context.vectorPlaces(0)
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      [
        try context.tensor(0).scattering(
          try context.tensor(2), at: try context.scatterPlaces(), try context.scatterReduction())
      ]
    })

  /// Writes an update into each sequence of a cache, from its write index on, `linear` or `circular`.
  private static let tensorScatter = OperatorDefinition(
    "TensorScatter", inputs: 2...3, attributes: [.int("axis"), .string("mode")],
    infer: { (context) throws(GraphError) in
      let cache = try context.type(0, rank: 2...Int.max)
      let update = try context.sameElements(1)
      let axis = try context.axis(default: -2, rank: cache.shape.count)
      let fits =
        axis > 0 && update.shape.count == cache.shape.count
        && cache.shape.indices.allSatisfy {
          $0 == axis || !cache.shape[$0].contradicts(update.shape[$0])
        }
      guard fits else {
        throw context.incompatible(0, 1, expected: "one shape but on axis \(axis)")
      }
      if context.optionalType(2) != nil {
        _ = try context.indices(2)
        try context.vector(2, count: cache.shape[0])
      }
      let mode = context.node.string("mode", default: "linear")
      guard mode == "linear" || mode == "circular" else {
        throw context.wrongAttribute("mode", "\"\(mode)\"", expected: "linear or circular")
      }
      if let size = cache.shape[axis].size, let new = update.shape[axis].size,
        let starts = context.optionalTensor(2)?.integers() ?? (cache.sizes == nil ? nil : [0])
      {
        guard
          starts.allSatisfy({ $0 >= 0 && $0 <= size && (mode == "circular" || $0 + new <= size) })
        else { throw context.wrongShape(1, expected: "room for \(new) from \(starts) in \(size)") }
      }
      return [cache]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (cache, update) = (try context.tensor(0), try context.tensor(1))
      let axis = try context.axis(default: -2, rank: cache.rank)
      let starts =
        context.optionalTensor(2)?.integers() ?? Array(repeating: 0, count: cache.shape[0])
      let strides = rowMajorStrides(cache.shape)
      let own = rowMajorStrides(update.shape)
      let places = (0..<update.count).map { index in
        var place = 0
        for other in update.shape.indices {
          var position = index / own[other] % update.shape[other]
          if other == axis {
            position = (position + starts[index / own[0] % update.shape[0]]) % cache.shape[axis]
          }
          place += position * strides[other]
        }
        return place
      }
      return [cache.scattering(update, at: places, nil)]
    })
}

extension NodeContext {
  /// The elements of input `index` as positions in an axis, counted from the front; nil while they
  /// or the axis are not known.
  fileprivate func positions(_ index: Int, in size: Dimension) throws(GraphError) -> [Int]? {
    guard optionalTensor(index) != nil, let size = size.size else { return nil }
    var found = try integers(index)
    for place in found.indices {
      guard found[place] >= -size, found[place] < size else {
        throw outside(index, found[place], size)
      }
      if found[place] < 0 { found[place] += size }
    }
    return found
  }

  private func outside(_ index: Int, _ position: Int, _ size: Int) -> GraphError {
    wrongShape(index, expected: "indices in \(-size)..<\(size), found \(position)")
  }

  /// Checks the indices of GatherElements and ScatterElements; returns their shape.
  fileprivate func elementIndices(axis key: String) throws(GraphError) -> [Dimension] {
    let input = try type(0).shape
    let shape = try indices(1).shape
    let axis = try axis(default: 0, rank: input.count)
    guard shape.count == input.count else { throw incompatible(0, 1, expected: "equal ranks") }
    for other in shape.indices where other != axis {
      if let have = input[other].size, let want = shape[other].size, want > have {
        throw incompatible(0, 1, expected: "indices no larger than the data but on axis \(axis)")
      }
    }
    _ = try positions(1, in: input[axis])
    return shape
  }

  /// The flat index in input 0 of each element index.
  fileprivate func elementPlaces() throws(GraphError) -> [Int] {
    let shape = try sizes(0)
    let axis = try axis(default: 0, rank: shape.count)
    let found = try positions(1, in: .fixed(shape[axis])) ?? []
    let own = try sizes(1)
    let (strides, ownStrides) = (rowMajorStrides(shape), rowMajorStrides(own))
    return found.enumerated().map { index, position in
      own.indices.reduce(0) { place, other in
        let along = other == axis ? position : index / ownStrides[other] % own[other]
        return place + along * strides[other]
      }
    }
  }

  /// The flat index in input 0 at which each index vector's slice starts; nil while not all is known.
  fileprivate func vectorPlaces(_ batch: Int) throws(GraphError) -> [Int]? {
    guard optionalTensor(1) != nil, let shape = try type(0).sizes, let own = try type(1).sizes
    else {
      return nil
    }
    let strides = rowMajorStrides(shape)
    let found = try integers(1)
    let depth = own.last ?? 0
    let count = own.dropLast().reduce(1, *)
    let batches = own[..<batch].reduce(1, *)
    guard shape[..<batch].elementsEqual(own[..<batch]) else {
      throw incompatible(0, 1, expected: "equal sizes on the first \(batch) axes")
    }
    let batchStride = batch == 0 ? 0 : strides[batch - 1]
    var result: [Int] = []
    for vector in 0..<count {
      var place = batches == 0 ? 0 : vector / max(count / batches, 1) * batchStride
      for step in 0..<depth {
        let (position, size) = (found[vector * depth + step], shape[batch + step])
        guard position >= -size, position < size else { throw outside(1, position, size) }
        place += (position < 0 ? position + size : position) * strides[batch + step]
      }
      result.append(place)
    }
    return result
  }

  /// The flat index in input 0 at which each update of a Scatter operator is written.
  func scatterPlaces() throws(GraphError) -> [Int] {
    guard op == "ScatterND" else { return try elementPlaces() }
    let run = try sizes(0)[(try sizes(1).last ?? 0)...].reduce(1, *)
    return (try vectorPlaces(0) ?? []).flatMap { place in (0..<run).map { place + $0 } }
  }

  /// How updates meet what is there; nil when they replace it.
  fileprivate func scatterReduction() throws(GraphError) -> ReductionKind? {
    let name = node.string("reduction", default: "none")
    switch name {
    case "none": return nil
    case "add": return .sum
    case "mul": return .product
    case "max": return .maximum
    case "min": return .minimum
    default:
      throw wrongAttribute("reduction", "\"\(name)\"", expected: "none, add, mul, max or min")
    }
  }
}
