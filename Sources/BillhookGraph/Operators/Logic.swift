internal import BillhookTensor

extension OperatorDefinition {
  /// Comparisons, bool operators and the choice by a condition.
  static let logicFamily: [OperatorDefinition] = [
    comparison("Equal", IsEqual.self), comparison("Greater", IsGreater.self),
    comparison("GreaterOrEqual", IsGreaterOrEqual.self), comparison("Less", IsLess.self),
    comparison("LessOrEqual", IsLessOrEqual.self),
    connective("And") { $0 && $1 }, connective("Or") { $0 || $1 }, connective("Xor") { $0 != $1 },
    not, whereOperator, isNaN, isInf,
  ]

  private static func comparison<C: Comparison>(
    _ name: String, _ comparison: C.Type
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 2...2, attributes: broadcastAttributes,
      infer: { (context) throws(GraphError) in
        _ = try context.sameElements(1)
        return [ValueType(.bool, try context.broadcastShape())]
      },
      evaluate: { (context, types) throws(GraphError) in
        let (left, right) = try context.operands()
        return [left.compared(right, comparison, shape: types[0].sizes ?? [])]
      })
  }

  private static func connective(
    _ name: String, _ function: @escaping @Sendable (Bool, Bool) -> Bool
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 2...2, attributes: broadcastAttributes,
      infer: { (context) throws(GraphError) in
        for index in 0..<2 { _ = try context.type(index, in: [.bool], expected: "bool") }
        return [ValueType(.bool, try context.broadcastShape())]
      },
      evaluate: { (context, types) throws(GraphError) in
        let (left, right) = try context.operands()
        let shape = types[0].sizes ?? []
        let result = Pairs(left.shape, right.shape, to: shape)
          .map(left.elements(of: Bool.self), right.elements(of: Bool.self), function)
        return [Tensor(result, shape: shape)]
      })
  }

  private static let not = OperatorDefinition(
    "Not", inputs: 1...1,
    infer: { (context) throws(GraphError) in
      [try context.type(0, in: [.bool], expected: "bool")]
    },
    evaluate: { (context, _) throws(GraphError) in
      let input = try context.tensor(0)
      return [Tensor(input.elements(of: Bool.self).map { !$0 }, shape: input.shape)]
    })

  /// Of each place the second input's element where the condition holds, else the third's.
  private static let whereOperator = OperatorDefinition(
    "Where", inputs: 3...3,
    infer: { (context) throws(GraphError) in
      let condition = try context.type(0, in: [.bool], expected: "bool")
      let chosen = try context.type(1)
      let other = try context.type(
        2, in: [chosen.elementType], expected: "\(chosen.elementType) as input 1 does")
      guard let both = broadcast(chosen.shape, other.shape) else {
        throw context.incompatible(1, 2, expected: "axes, counted from the last, equal or 1")
      }
      guard let shape = broadcast(condition.shape, both) else {
        throw context.incompatible(0, 1, expected: "axes, counted from the last, equal or 1")
      }
      return [ValueType(chosen.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let condition = try context.tensor(0)
      let (x, y) = (try context.tensor(1), try context.tensor(2))
      let shape = types[0].sizes ?? []
      // Elements are moved, whatever they mean.
      let result =
        switch x.elementType.byteCount {
        case 1: chosen(condition, x, y, shape, as: UInt8.self)
        case 2: chosen(condition, x, y, shape, as: UInt16.self)
        case 4: chosen(condition, x, y, shape, as: UInt32.self)
        default: chosen(condition, x, y, shape, as: UInt64.self)
        }
      return [result]
    })

  private static func chosen<Element: BitwiseCopyable>(
    _ condition: Tensor, _ x: Tensor, _ y: Tensor, _ shape: [Int], as type: Element.Type
  ) -> Tensor {
    let rows = BroadcastRows([condition.shape, x.shape, y.shape], to: shape)
    let steps = (rows.steps[0], rows.steps[1], rows.steps[2])
    var result = Tensor(zeros: shape, x.elementType)
    condition.withUnsafeBytes { holds in
      x.withUnsafeBytes { x in
        y.withUnsafeBytes { y in
          result.withUnsafeMutableBytes { result in
            let (x, y) = (x.assumingMemoryBound(to: type), y.assumingMemoryBound(to: type))
            let result = result.assumingMemoryBound(to: type)
            for row in 0..<(rows.length > 0 ? rows.count : 0) {
              let first = (rows.starts[0][row], rows.starts[1][row], rows.starts[2][row])
              for i in 0..<rows.length {
                result[row * rows.length + i] =
                  holds[first.0 + i * steps.0] != 0
                  ? x[first.1 + i * steps.1] : y[first.2 + i * steps.2]
              }
            }
          }
        }
      }
    }
    return result
  }

  private static let isNaN = OperatorDefinition(
    "IsNaN", inputs: 1...1,
    infer: { (context) throws(GraphError) in
      [ValueType(.bool, try context.floatingPoint(0).shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      [Tensor(try context.numbers(0).map(\.isNaN), shape: types[0].sizes ?? [])]
    })

  /// True at infinities of the signs that the attributes ask for.
  private static let isInf = OperatorDefinition(
    "IsInf", inputs: 1...1, attributes: [.int("detect_negative"), .int("detect_positive")],
    infer: { (context) throws(GraphError) in
      [ValueType(.bool, try context.floatingPoint(0).shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let positive = context.node.int("detect_positive", default: 1) != 0
      let negative = context.node.int("detect_negative", default: 1) != 0
      let result = try context.numbers(0).map { $0.isInfinite && ($0 > 0 ? positive : negative) }
      return [Tensor(result, shape: types[0].sizes ?? [])]
    })
}

private enum IsEqual: Comparison {
  static func holds<T: Comparable>(_ x: T, _ y: T) -> Bool { x == y }
}
private enum IsGreater: Comparison {
  static func holds<T: Comparable>(_ x: T, _ y: T) -> Bool { x > y }
}
private enum IsGreaterOrEqual: Comparison {
  static func holds<T: Comparable>(_ x: T, _ y: T) -> Bool { x >= y }
}
private enum IsLess: Comparison {
  static func holds<T: Comparable>(_ x: T, _ y: T) -> Bool { x < y }
}
private enum IsLessOrEqual: Comparison {
  static func holds<T: Comparable>(_ x: T, _ y: T) -> Bool { x <= y }
}
