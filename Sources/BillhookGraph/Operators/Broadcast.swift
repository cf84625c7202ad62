/// The shape that two shapes spread to by NumPy's rules, or nil when they contradict each other.
///
/// A symbolic size meets 1 or an equal; meeting another fixed size, it is taken to be that size.
func broadcast(_ left: [Dimension], _ right: [Dimension]) -> [Dimension]? {
  let rank = max(left.count, right.count)
  let ones = { (count: Int) in [Dimension](repeating: 1, count: count) }
  var result: [Dimension] = []
  for (a, b) in zip(ones(rank - left.count) + left, ones(rank - right.count) + right) {
    switch (a, b) {
    case (.fixed(1), _): result.append(b)
    case (_, .fixed(1)): result.append(a)
    case (.fixed(let x), .fixed(let y)):
      guard x == y else { return nil }
      result.append(a)
    case (.symbolic, .symbolic): result.append(a.isSame(as: b) ? a : .symbolic(""))
    default: result.append(a.merged(with: b))
    }
  }
  return result
}

/// Where each element of a spread tensor comes from.
struct Broadcast {
  /// For each element of the target in row-major order, its flat index in the source.
  let source: [Int]

  /// - Parameters:
  ///   - shape: A shape that spreads to `target`.
  init(_ shape: [Int], to target: [Int]) {
    var result = [0]
    var stride = 1
    let padded = [Int](repeating: 1, count: target.count - shape.count) + shape
    // From the last axis outwards: each axis repeats what lies inside it.
    for axis in target.indices.reversed() {
      let step = padded[axis] == 1 ? 0 : stride
      let inner = result
      result = []
      result.reserveCapacity(inner.count * target[axis])
      for index in 0..<target[axis] {
        for offset in inner { result.append(offset + index * step) }
      }
      stride *= padded[axis]
    }
    source = result
  }
}

/// Values that spread to one shape, row after row of its last axis, for loops over typed elements.
struct BroadcastRows {
  /// Elements of a row.
  let length: Int
  let count: Int
  /// For each value the step from one element of a row to the next: 1, or 0 where it is spread.
  let steps: [Int]
  /// For each value where each of the rows starts.
  let starts: [[Int]]

  /// - Parameter shapes: Shapes that spread to `target`.
  init(_ shapes: [[Int]], to target: [Int]) {
    let outer = Array(target.dropLast())
    length = target.last ?? 1
    count = outer.reduce(1, *)
    steps = shapes.map { ($0.last ?? 1) == 1 ? 0 : 1 }
    starts = shapes.map { shape in
      let size = shape.last ?? 1
      return Broadcast(Array(shape.dropLast()), to: outer).source.map { $0 * size }
    }
  }
}
