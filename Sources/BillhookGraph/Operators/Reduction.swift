internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Operators that make one number of many.
  static let reductionFamily: [OperatorDefinition] = [
    reduction("ReduceSum", .sum), reduction("ReduceMean", .mean),
    reduction("ReduceProd", .product), reduction("ReduceMax", .maximum),
    reduction("ReduceMin", .minimum), reduction("ReduceL1", .absoluteSum),
    reduction("ReduceL2", .norm), reduction("ReduceSumSquare", .squareSum),
    reduction("ReduceLogSum", .logSum), reduction("ReduceLogSumExp", .logSumExp),
    extremeIndex("ArgMax", Maximum.self), extremeIndex("ArgMin", Minimum.self), cumSum,
  ]

  /// A reduction over `axes`, which became an input with operator set 18 (ReduceSum: 13).
  private static func reduction(_ name: String, _ kind: ReductionKind) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...2,
      attributes: [.ints("axes"), .int("keepdims"), .int("noop_with_empty_axes")],
      infer: { (context) throws(GraphError) in
        let input = try context.type(0)
        guard input.elementType != .bool || kind == .maximum || kind == .minimum else {
          throw .wrongElementType(
            op: context.op, node: context.name, value: context.valueName(0), found: .bool,
            expected: "numbers")
        }
        guard let axes = try context.reducedAxes() else { return [input] }
        let keeps = context.node.int("keepdims", default: 1) != 0
        return [ValueType(input.elementType, reducedShape(input.shape, axes, keeps, one: 1))]
      },
      evaluate: { (context, types) throws(GraphError) in
        let input = try context.tensor(0)
        // Nothing falls together, but each element is still squared, and so on.
        guard let axes = try context.reducedAxes() else {
          return [kind.reduce(input, to: input.shape)]
        }
        let kept = reducedShape(input.shape, axes, true, one: 1)
        return [kind.reduce(input, to: kept).reshaped(types[0].sizes ?? [])]
      })
  }

  /// The position of the largest or smallest element along an axis.
  private static func extremeIndex<F: BinaryFunction>(
    _ name: String, _ extreme: F.Type
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...1,
      attributes: [.int("axis"), .int("keepdims"), .int("select_last_index")],
      infer: { (context) throws(GraphError) in
        let input = try context.numeric(0)
        let axis = try context.axis(default: 0, rank: input.shape.count)
        guard !input.shape[axis].contradicts(1) || input.shape[axis] != 0 else {
          throw context.wrongShape(0, expected: "at least one element along axis \(axis)")
        }
        let keeps = context.node.int("keepdims", default: 1) != 0
        return [ValueType(.int64, reducedShape(input.shape, [axis], keeps, one: 1))]
      },
      evaluate: { (context, types) throws(GraphError) in
        let input = try context.tensor(0)
        let takesLast = context.node.int("select_last_index", default: 0) != 0
        let lines = Lines(input.shape, axis: try context.axis(default: 0, rank: input.rank))
        func search<T: Equatable>(_ x: [T], _ better: (T, T) -> T) -> [Int64] {
          lines.starts.map { start in
            var best = 0
            for index in 1..<max(lines.count, 1) {
              let (held, found) = (x[start + best * lines.stride], x[start + index * lines.stride])
              if found == held ? takesLast : better(held, found) == found { best = index }
            }
            return Int64(best)
          }
        }
        func integral<T: IntegerElement>(_ type: T.Type) -> [Int64] {
          search(input.elements(of: type)) { extreme.apply($0, $1) }
        }
        let indices =
          input.elementType.integerType.map { integral($0) }
          ?? search(input.numbers()) { extreme.apply($0, $1) }
        return [Tensor(indices, shape: types[0].sizes ?? [])]
      })
  }

  /// Running sums along an axis.
  private static let cumSum = OperatorDefinition(
    "CumSum", inputs: 2...2, attributes: [.int("exclusive"), .int("reverse")],
    infer: { (context) throws(GraphError) in
      let input = try context.numeric(0)
      _ = try context.indices(1)
      if context.optionalTensor(1) != nil { _ = try cumulatedAxis(context, input.shape.count) }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      let input = try context.tensor(0)
      let lines = Lines(input.shape, axis: try cumulatedAxis(context, input.rank))
      let isExclusive = try context.flag("exclusive")
      let isReversed = try context.flag("reverse")
      func cumulate<T>(_ x: [T], zero: T, _ add: (T, T) -> T) -> [T] {
        var result = x
        for start in lines.starts {
          var sum = zero
          for step in 0..<lines.count {
            let place = start + (isReversed ? lines.count - 1 - step : step) * lines.stride
            if isExclusive { result[place] = sum }
            sum = add(sum, x[place])
            if !isExclusive { result[place] = sum }
          }
        }
        return result
      }
      if let integers = input.integers() {
        let sums = cumulate(integers, zero: 0) { $0 &+ $1 }
        return [Tensor(truncating: sums, shape: input.shape, input.elementType)]
      }
      let sums = cumulate(input.numbers(), zero: 0) { $0 + $1 }
      return [Tensor(rounding: sums, shape: input.shape, input.elementType)]
    })
}

func cumulatedAxis(_ context: NodeContext, _ rank: Int) throws(GraphError) -> Int {
  try context.axis(try context.optionalInteger(1) ?? 0, rank: rank, of: "axis")
}

/// A shape with the reduced axes as ones, or without them.
func reducedShape<Size>(
  _ shape: [Size], _ axes: [Int], _ keeps: Bool, one: Size
) -> [Size] {
  keeps
    ? shape.indices.map { axes.contains($0) ? one : shape[$0] }
    : shape.indices.filter { !axes.contains($0) }.map { shape[$0] }
}

extension NodeContext {
  /// The axes of a reduction, all of them when none is named; nil for no reduction at all.
  func reducedAxes() throws(GraphError) -> [Int]? {
    let rank = try type(0).shape.count
    let stated = try integers(1, or: "axes") ?? []
    if stated.isEmpty {
      return try flag("noop_with_empty_axes") ? nil : Array(0..<rank)
    }
    return try axes(stated, rank: rank)
  }
}

/// What a reduction makes of the elements that fall together.
enum ReductionKind {
  case sum, mean, product, maximum, minimum, absoluteSum, norm, squareSum, logSum, logSumExp

  /// - Parameter kept: The input's shape with the reduced axes as ones.
  func reduce(_ input: Tensor, to kept: [Int]) -> Tensor {
    let target = Broadcast(kept, to: input.shape).source
    let count = kept.reduce(1, *)
    func fold<T>(_ x: [T], from start: T, _ step: (T, T) -> T) -> [T] {
      var result = [T](repeating: start, count: count)
      for (place, index) in target.enumerated() { result[index] = step(result[index], x[place]) }
      return result
    }
    func extreme<T: IntegerElement>(_ type: T.Type) -> Tensor {
      let x = input.elements(of: type)
      return Tensor(
        self == .maximum ? fold(x, from: .min, max) : fold(x, from: .max, min), shape: kept)
    }
    if self == .maximum || self == .minimum {
      if let type = input.elementType.integerType { return extreme(type) }
      // Bool reduces as the integers 0 and 1; of nothing the largest is false, the smallest true.
      if input.elementType == .bool {
        return reduce(input.converted(to: .uint8), to: kept).converted(to: .bool)
      }
    }
    if let x = input.integers(), let sums = integralSums(x, fold) {
      return Tensor(truncating: sums, shape: kept, input.elementType)
    }
    let x = input.numbers()
    let numbers: [Double]
    switch self {
    case .sum: numbers = fold(x, from: 0, +)
    case .mean:
      let size = Double(input.count) / Double(max(count, 1))
      numbers = fold(x, from: 0, +).map { $0 / size }
    case .product: numbers = fold(x, from: 1, *)
    case .maximum: numbers = fold(x, from: -.infinity) { Maximum.apply($0, $1) }
    case .minimum: numbers = fold(x, from: .infinity) { Minimum.apply($0, $1) }
    case .absoluteSum: numbers = fold(x, from: 0) { $0 + abs($1) }
    case .norm: numbers = fold(x, from: 0) { $0 + $1 * $1 }.map { $0.squareRoot() }
    case .squareSum: numbers = fold(x, from: 0) { $0 + $1 * $1 }
    case .logSum: numbers = fold(x, from: 0, +).map { log($0) }
    case .logSumExp:
      // The largest is taken off first, so that no exponential overflows.
      let largest = fold(x, from: -.infinity, max).map { $0.isFinite ? $0 : 0 }
      let shifted = x.indices.map { exp(x[$0] - largest[target[$0]]) }
      numbers = zip(fold(shifted, from: 0, +), largest).map { log($0) + $1 }
    }
    return Tensor(rounding: numbers, shape: kept, input.elementType)
  }

  /// The sums that are exact on integers; nil for what needs fractions on the way.
  private func integralSums(
    _ x: [Int], _ fold: ([Int], Int, (Int, Int) -> Int) -> [Int]
  ) -> [Int]? {
    switch self {
    case .sum: fold(x, 0) { $0 &+ $1 }
    case .product: fold(x, 1) { $0 &* $1 }
    case .absoluteSum: fold(x, 0) { $0 &+ ($1 < 0 ? 0 &- $1 : $1) }
    case .squareSum: fold(x, 0) { $0 &+ $1 &* $1 }
    default: nil
    }
  }
}
