internal import BillhookTensor
internal import OrderedCollections

extension OperatorDefinition {
  /// Operators that cut out or surround.
  static let slicingFamily: [OperatorDefinition] = [
    slice, pad, centerCropPad, trilu, compress, shape, size,
  ]

  /// Every `step`-th position from `start` up to `end` along each named axis; attributes before
  /// operator set 10, inputs from then on.
  private static let slice = OperatorDefinition(
    "Slice", inputs: 1...5, attributes: [.ints("axes"), .ints("ends"), .ints("starts")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      var shape = input.shape
      if let axes = try context.computedCuts(rank: shape.count) {
        for axis in axes { shape[axis] = .symbolic("") }
        return [ValueType(input.elementType, shape)]
      }
      for cut in try context.cuts(rank: shape.count) {
        guard let size = shape[cut.axis].size else {
          if !cut.isWhole { shape[cut.axis] = .symbolic("") }
          continue
        }
        shape[cut.axis] = .fixed(cut.positions(size).count)
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      var positions = input.shape.map { Array(0..<$0) }
      for cut in try context.cuts(rank: input.rank) {
        positions[cut.axis] = cut.positions(input.shape[cut.axis])
      }
      return [input.gathered(crossIndices(input.shape, positions), shape: types[0].sizes ?? [])]
    })

  /// Elements added around, or taken away where a count is negative.
  private static let pad = OperatorDefinition(
    "Pad", inputs: 1...4,
    attributes: [.string("mode"), .ints("pads"), .ints("paddings"), .float("value")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let pads = try context.pads(rank: input.shape.count)
      let mode = try context.paddingMode()
      if context.optionalType(2) != nil { _ = try context.sameElements(2) }
      var shape = input.shape
      for (axis, pad) in pads.enumerated() where pad != (0, 0) {
        guard let size = shape[axis].size else {
          shape[axis] = .symbolic("")
          continue
        }
        let total = try context.sum(try context.sum(size, pad.before), pad.after)
        // Reflection takes what is on the other side of the edge, which must be there.
        let reach = max(pad.before, pad.after)
        let hasSource =
          switch mode {
          case .constant: true
          case .edge, .wrap: size > 0 || reach <= 0
          case .reflect: size > 1 || reach <= 0 || total == 0
          }
        guard total >= 0, hasSource else {
          throw context.wrongShape(
            0, expected: "an axis \(axis) that \(pad.before) before and \(pad.after) after fit")
        }
        shape[axis] = .fixed(total)
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let mode = try context.paddingMode()
      let shape = types[0].sizes ?? []
      let pads = try context.pads(rank: input.rank)
      let positions = shape.indices.map { axis in
        (0..<shape[axis]).map { mode.source($0 - pads[axis].before, input.shape[axis]) }
      }
      let filler =
        context.optionalTensor(2)
        ?? Tensor(scalar: context.node.float("value", default: 0)).converted(to: input.elementType)
      return [input.gathered(crossIndices(input.shape, positions), shape: shape, filler: filler)]
    })

  /// The middle of each named axis, cut or surrounded by zeros to a size.
  private static let centerCropPad = OperatorDefinition(
    "CenterCropPad", inputs: 2...2, attributes: [.ints("axes")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0)
      let axes = try context.axes(
        context.node.ints("axes") ?? Array(input.shape.indices), rank: input.shape.count)
      let sizes = try context.integers(1)
      guard sizes.count == axes.count, sizes.allSatisfy({ $0 >= 0 }) else {
        throw context.wrongShape(1, expected: "\(axes.count) sizes of 0 or more, found \(sizes)")
      }
      var type = input
      for (axis, size) in zip(axes, sizes) { type.shape[axis] = .fixed(size) }
      return [type]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (input, shape) = (try context.tensor(0), types[0].sizes ?? [])
      let positions = shape.indices.map { axis in
        let (new, old) = (shape[axis], input.shape[axis])
        let shift = new <= old ? (old - new) / 2 : -((new - old) / 2)
        return (0..<new).map { (0..<old).contains($0 + shift) ? $0 + shift : -1 }
      }
      return [input.gathered(crossIndices(input.shape, positions), shape: shape)]
    })

  /// The upper or lower triangle of matrices, zeros elsewhere.
  private static let trilu = OperatorDefinition(
    "Trilu", inputs: 1...2, attributes: [.int("upper")],
    infer: { (context) throws(GraphError) in [try context.type(0, rank: 2...Int.max)] },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let offset = try context.optionalInteger(1) ?? 0
      let isUpper = context.node.int("upper", default: 1) != 0
      let (rows, columns) = (input.shape[input.rank - 2], input.shape[input.rank - 1])
      let source = (0..<input.count).map { place in
        let (row, column) = (place / columns % rows, place % columns)
        let distance = (column - row).subtractingReportingOverflow(offset).partialValue
        return (isUpper ? distance >= 0 : distance <= 0) ? place : -1
      }
      return [input.gathered(source, shape: input.shape)]
    })

  /// The positions along an axis where the condition holds.
  private static let compress = OperatorDefinition(
    "Compress", inputs: 2...2, attributes: [.int("axis")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 1...Int.max)
      let condition = try context.type(1, in: [.bool], expected: "bool")
      guard condition.shape.count == 1 else { throw context.wrongShape(1, expected: "a vector") }
      let count = context.optionalTensor(1)
        .map { Dimension.fixed($0.elements(of: Bool.self).count { $0 }) }
      guard context.node.attributes["axis"] != nil else {
        if let limit = DimensionProduct(input.shape).dimension.size,
          let length = condition.shape[0].size, length > limit
        {
          throw context.wrongShape(1, expected: "at most \(limit) elements")
        }
        return [ValueType(input.elementType, [count ?? .symbolic("")])]
      }
      let axis = try context.axis(default: 0, rank: input.shape.count)
      if let limit = input.shape[axis].size, let length = condition.shape[0].size, length > limit {
        throw context.wrongShape(1, expected: "at most \(limit) elements")
      }
      var type = input
      type.shape[axis] = count ?? .symbolic("")
      return [type]
    },
    evaluate: { (context, types) throws(GraphError) in
      var input = try context.tensor(0)
      var axis = 0
      if context.node.attributes["axis"] != nil {
        axis = try context.axis(default: 0, rank: input.rank)
      } else {
        input = input.reshaped([input.count])
      }
      let holds = try context.tensor(1).elements(of: Bool.self)
      var positions = input.shape.map { Array(0..<$0) }
      positions[axis] = holds.indices.filter { holds[$0] }
      return [input.gathered(crossIndices(input.shape, positions), shape: types[0].sizes ?? [])]
    })

  /// The sizes of the axes, or of those from `start` to `end`.
  private static let shape = OperatorDefinition(
    "Shape", inputs: 1...1, attributes: [.int("end"), .int("start")], dependence: .types,
    infer: { (context) throws(GraphError) in
      [ValueType(.int64, [.fixed(context.shapeRange(try context.type(0).shape.count).count)])]
    },
    evaluate: { (context, _) throws(GraphError) in
      let sizes = try context.type(0).sizes ?? []
      return [Tensor(sizes[context.shapeRange(sizes.count)].map { Int64($0) })]
    })

  /// The number of elements.
  private static let size = OperatorDefinition(
    "Size", inputs: 1...1, dependence: .types,
    infer: { (context) throws(GraphError) in
      _ = try context.type(0)
      return [ValueType(.int64, [])]
    },
    evaluate: { (context, _) throws(GraphError) in
      let type = try context.type(0)
      let count = Tensor.elementCount(of: type.sizes ?? [], elementType: type.elementType) ?? 0
      return [Tensor(scalar: Int64(count))]
    })
}

/// The positions that a Slice takes along one axis.
private struct Cut {
  var axis: Int
  var start: Int
  var end: Int
  var step: Int

  /// True when every size keeps all of its positions.
  var isWhole: Bool { start == 0 && step == 1 && end >= Int(Int32.max) }

  func positions(_ size: Int) -> [Int] {
    // Counted from the end where negative, then brought into the axis; sizes are far from overflow.
    func resolved(_ place: Int, _ range: ClosedRange<Int>) -> Int {
      min(max(place < 0 ? max(place, -size - 1) + size : place, range.lowerBound), range.upperBound)
    }
    guard size > 0 else { return [] }
    if step > 0 {
      let (first, last) = (resolved(start, 0...size), resolved(end, 0...size))
      return first < last ? Array(stride(from: first, to: last, by: step)) : []
    }
    let (first, last) = (resolved(start, 0...size - 1), resolved(end, -1...size - 1))
    return first > last ? Array(stride(from: first, to: last, by: step)) : []
  }
}

/// What surrounds a padded tensor.
enum PaddingMode: String {
  case constant, reflect, edge, wrap

  /// The position in an axis of `size` elements that `place` shows; -1 for the constant.
  func source(_ place: Int, _ size: Int) -> Int {
    if (0..<size).contains(place) { return place }
    switch self {
    case .constant: return -1
    case .edge: return place < 0 ? 0 : size - 1
    case .wrap: return (place % size + size) % size
    case .reflect:
      guard size > 1 else { return 0 }
      let period = 2 * (size - 1)
      let folded = (place % period + period) % period
      return folded < size ? folded : period - folded
    }
  }
}

extension NodeContext {
  /// The axes that may change when where to cut is computed while running; nil when it is known.
  fileprivate func computedCuts(rank: Int) throws(GraphError) -> [Int]? {
    let isComputed = (1...4).contains { optionalType($0) != nil && optionalTensor($0) == nil }
    guard isComputed else { return nil }
    if optionalType(3) != nil {
      guard optionalTensor(3) != nil else { return Array(0..<rank) }
      return try axes(try integers(3), rank: rank)
    }
    return Array(0..<min(optionalType(1)?.shape.first?.size ?? rank, rank))
  }

  fileprivate func cuts(rank: Int) throws(GraphError) -> [Cut] {
    guard let starts = try integers(1, or: "starts"), let ends = try integers(2, or: "ends") else {
      throw .missingInput(op: op, node: name, index: 1)
    }
    let axes = try axes(
      try integers(3, or: "axes") ?? Array(0..<min(starts.count, rank)), rank: rank)
    let steps =
      optionalType(4) == nil ? [Int](repeating: 1, count: starts.count) : try integers(4)
    guard starts.count == ends.count, axes.count == starts.count, steps.count == starts.count,
      !steps.contains(0)
    else {
      throw wrongAttribute(
        "starts", starts,
        expected: "as many as ends \(ends), axes \(axes) and steps \(steps), "
          + "and no step of 0")
    }
    return axes.indices.map { index in
      // A step beyond the axis takes one position; limiting it keeps sums from overflowing.
      let step = min(max(steps[index], -1 << 40), 1 << 40)
      return Cut(axis: axes[index], start: starts[index], end: ends[index], step: step)
    }
  }

  fileprivate func paddingMode() throws(GraphError) -> PaddingMode {
    let name = node.string("mode", default: "constant")
    guard let mode = PaddingMode(rawValue: name) else {
      throw wrongAttribute("mode", "\"\(name)\"", expected: "constant, reflect, edge or wrap")
    }
    return mode
  }

  /// The padding of each axis, from an attribute before operator set 11 and an input from then on.
  fileprivate func pads(rank: Int) throws(GraphError) -> [(before: Int, after: Int)] {
    guard let found = try integers(1, or: node.ints("paddings") == nil ? "pads" : "paddings") else {
      throw .missingInput(op: op, node: name, index: 1)
    }
    var axes = Array(0..<rank)
    if optionalType(3) != nil { axes = try self.axes(try integers(3), rank: rank) }
    guard found.count == 2 * axes.count, found.allSatisfy({ abs($0.clamped) < 1 << 40 }) else {
      throw wrongAttribute("pads", found, expected: "\(2 * axes.count) counts below 2^40")
    }
    var result = [(before: Int, after: Int)](repeating: (0, 0), count: rank)
    for (index, axis) in axes.enumerated() {
      result[axis] = (found[index], found[index + axes.count])
    }
    return result
  }

  /// The axes whose sizes a Shape node gives.
  func shapeRange(_ rank: Int) -> Range<Int> {
    func resolved(_ place: Int) -> Int {
      min(max(place < 0 ? max(place, -rank) + rank : place, 0), rank)
    }
    let start = resolved(node.int("start", default: 0))
    return start..<max(start, resolved(node.int("end", default: rank)))
  }
}

extension Int {
  /// The value, with a magnitude that `abs` can give.
  fileprivate var clamped: Int { Swift.max(self, -Int.max) }
}
