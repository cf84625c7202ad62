internal import BillhookTensor
internal import OrderedCollections

extension OperatorDefinition {
  /// The index vectors of the elements that are not zero, one column each.
  static let nonZero = OperatorDefinition(
    "NonZero", inputs: 1...1,
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let count = context.optionalTensor(0).map { Dimension.fixed($0.numbers().count { $0 != 0 }) }
      return [ValueType(.int64, [.fixed(input.shape.count), count ?? .symbolic("")])]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let numbers = input.numbers()
      let places = numbers.indices.filter { numbers[$0] != 0 }
      let rows = zip(rowMajorStrides(input.shape), input.shape).flatMap { stride, size in
        places.map { Int64($0 / stride % size) }
      }
      return [Tensor(rows, shape: types[0].sizes ?? [])]
    })

  /// A new axis of `depth` positions, "on" at the index and "off" elsewhere.
  static let oneHot = OperatorDefinition(
    "OneHot", inputs: 3...3, attributes: [.int("axis")],
    infer: { (context) throws(GraphError) in
      let indices = try context.numeric(0)
      _ = try context.numeric(1)
      let values = try context.type(2)
      try context.vector(2, count: 2)
      guard let depth = try context.tensor(1).numbers().first, depth >= 0, depth < 0x1p40 else {
        throw context.wrongShape(1, expected: "one number in 0..<2^40")
      }
      var shape = indices.shape
      shape.insert(
        .fixed(Int(depth)), at: try context.axis(default: -1, rank: indices.shape.count + 1))
      return [ValueType(values.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let indices = try context.tensor(0).converted(to: .int64).integers() ?? []
      let shape = types[0].sizes ?? []
      let axis = try context.axis(default: -1, rank: shape.count)
      let depth = shape[axis]
      let inner = shape[(axis + 1)...].reduce(1, *)
      let source = (0..<shape.reduce(1, *)).map { place in
        let (outer, rest) = (place / (depth * inner), place % inner)
        let wanted = indices[outer * inner + rest]
        return (wanted < 0 ? wanted &+ depth : wanted) == place / inner % depth ? 1 : 0
      }
      return [try context.tensor(2).gathered(source, shape: shape)]
    })

  /// The `k` largest or smallest elements along an axis and where they were; among equals the first.
  static let topK = OperatorDefinition(
    "TopK", inputs: 1...2, outputs: 2...2,
    attributes: [.int("axis"), .int("k"), .int("largest"), .int("sorted")],
    infer: { (context) throws(GraphError) in
      let input = try context.numeric(0)
      let axis = try context.axis(default: -1, rank: input.shape.count)
      let k =
        context.optionalType(1) == nil
        ? context.node.int("k", default: -1) : try context.optionalInteger(1) ?? -1
      guard k >= 0, k <= input.shape[axis].size ?? .max else {
        throw context.wrongShape(0, expected: "at least \(k) elements along axis \(axis)")
      }
      var shape = input.shape
      shape[axis] = .fixed(k)
      return [ValueType(input.elementType, shape), ValueType(.int64, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let shape = types[0].sizes ?? []
      let axis = try context.axis(default: -1, rank: input.rank)
      let largest = context.node.int("largest", default: 1) != 0
      let (lines, targets) = (Lines(input.shape, axis: axis), Lines(shape, axis: axis))
      func order<T>(_ x: [T], _ isBefore: (T, T) -> Bool) -> [Int] {
        // Where each element of the result comes from.
        var source = [Int](repeating: 0, count: shape.reduce(1, *))
        guard shape[axis] > 0 else { return source }
        for (start, target) in zip(lines.starts, targets.starts) {
          let places = (0..<lines.count).map { start + $0 * lines.stride }
          let best = places.sorted { left, right in
            if isBefore(x[left], x[right]) { return true }
            return isBefore(x[right], x[left]) ? false : left < right
          }
          for k in 0..<shape[axis] { source[target + k * targets.stride] = best[k] }
        }
        return source
      }
      func integral<T: IntegerElement>(_ type: T.Type) -> [Int] {
        order(input.elements(of: type)) { largest ? $0 > $1 : $0 < $1 }
      }
      // NaN counts as the largest of all, so that there is an order.
      let source =
        input.elementType.integerType.map { integral($0) }
        ?? order(input.numbers()) { left, right in
          if left.isNaN || right.isNaN { return largest == left.isNaN && left.isNaN != right.isNaN }
          return largest ? left > right : left < right
        }
      let stride = lines.stride
      let positions = source.map { Int64(lines.count == 0 ? 0 : $0 / stride % lines.count) }
      return [input.gathered(source, shape: shape), Tensor(positions, shape: shape)]
    })

  /// The different elements, or slices along an axis, in order or as first met; with their first
  /// positions, where each one went, and how often each occurs.
  static let unique = OperatorDefinition(
    "Unique", inputs: 1...1, outputs: 1...4, attributes: [.int("axis"), .int("sorted")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let found = try context.optionalTensor(0).map { tensor throws(GraphError) in
        try UniqueSlices(tensor, context)
      }
      let count = found.map { Dimension.fixed($0.first.count) } ?? .symbolic("")
      var type = ValueType(input.elementType, [count])
      var total = DimensionProduct(input.shape).dimension
      if context.node.attributes["axis"] != nil {
        let axis = try context.axis(default: 0, rank: input.shape.count)
        type.shape = input.shape
        total = type.shape[axis]
        type.shape[axis] = count
      }
      return [
        type, ValueType(.int64, [count]), ValueType(.int64, [total]), ValueType(.int64, [count]),
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let found = try UniqueSlices(try context.tensor(0), context)
      var positions = found.input.shape.map { Array(0..<$0) }
      positions[found.axis] = found.first
      let source = crossIndices(found.input.shape, positions)
      return [
        found.input.gathered(source, shape: types[0].sizes ?? []),
        Tensor(found.first.map { Int64($0) }), Tensor(found.inverse.map { Int64($0) }),
        Tensor(found.counts.map { Int64($0) }),
      ]
    })
}

/// Which slices of a tensor along an axis are different.
private struct UniqueSlices {
  /// A vector when the node has no axis.
  var input: Tensor
  var axis = 0
  /// The position of each different slice where it occurs first.
  var first: [Int] = []
  /// For each slice, which of the different ones it is.
  var inverse: [Int] = []
  var counts: [Int] = []

  init(_ tensor: Tensor, _ context: NodeContext) throws(GraphError) {
    input = tensor.reshaped([tensor.count])
    if context.node.attributes["axis"] != nil {
      axis = try context.axis(default: 0, rank: tensor.rank)
      input = tensor
    }
    let size = input.shape[axis]
    let inner = input.shape[(axis + 1)...].reduce(1, *)
    let outer = input.shape[..<axis].reduce(1, *)
    // 64-bit integers beyond 2⁵³ must not fall together.
    let slices: [[SortKey]]
    if let integers = input.integers() {
      slices = (0..<size).map { position in
        (0..<outer * inner).map {
          SortKey(number: 0, integer: integers[($0 / inner * size + position) * inner + $0 % inner])
        }
      }
    } else {
      let numbers = input.numbers()
      slices = (0..<size).map { position in
        (0..<outer * inner).map {
          SortKey(number: numbers[($0 / inner * size + position) * inner + $0 % inner], integer: 0)
        }
      }
    }
    var known: [[SortKey]: Int] = [:]
    for (position, slice) in slices.enumerated() {
      if let index = known[slice] {
        counts[index] += 1
        inverse.append(index)
      } else {
        known[slice] = first.count
        inverse.append(first.count)
        first.append(position)
        counts.append(1)
      }
    }
    guard context.node.int("sorted", default: 1) != 0 else { return }
    let order = first.indices.sorted {
      slices[first[$0]].lexicographicallyPrecedes(slices[first[$1]])
    }
    var rank = order
    for (new, old) in order.enumerated() { rank[old] = new }
    first = order.map { first[$0] }
    counts = order.map { counts[$0] }
    inverse = inverse.map { rank[$0] }
  }
}

private struct SortKey: Hashable, Comparable {
  var number: Double
  var integer: Int

  static func < (left: SortKey, right: SortKey) -> Bool {
    left.number == right.number ? left.integer < right.integer : left.number < right.number
  }
}
