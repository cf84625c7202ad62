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
      // One tensor of both, so that a choice is an index.
      let both = Tensor(
        bytes: x.withUnsafeBytes { Array($0) } + y.withUnsafeBytes { Array($0) },
        shape: [x.count + y.count], x.elementType)
      let holds = condition.elements(of: Bool.self)
      let xs = Broadcast(x.shape, to: shape).source
      let ys = Broadcast(y.shape, to: shape).source
      let source = Broadcast(condition.shape, to: shape).source.enumerated().map { place, index in
        holds[index] ? xs[place] : x.count + ys[place]
      }
      return [both.gathered(source, shape: shape)]
    })

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
