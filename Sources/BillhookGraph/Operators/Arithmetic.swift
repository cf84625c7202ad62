internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension OperatorDefinition {
  /// Operators on pairs of numbers that broadcast, and on any number of tensors.
  static let arithmeticFamily: [OperatorDefinition] = [
    binary("Add", Sum.self), binary("Sub", Difference.self), binary("Mul", Product.self),
    binary("Div", Quotient.self), pow, mod, bitShift,
    bitwise("BitwiseAnd", BitAnd.self), bitwise("BitwiseOr", BitOr.self),
    bitwise("BitwiseXor", BitXor.self), bitwiseNot,
    variadic("Max", Maximum.self), variadic("Min", Minimum.self), variadic("Sum", Sum.self), mean,
  ]

  private static func binary<F: BinaryFunction>(
    _ name: String, _ function: F.Type
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 2...2, attributes: broadcastAttributes,
      infer: { (context) throws(GraphError) in
        let left = try context.numeric(0)
        _ = try context.sameElements(1)
        return [ValueType(left.elementType, try context.broadcastShape())]
      },
      evaluate: { (context, types) throws(GraphError) in
        let (left, right) = try context.operands()
        return [left.combined(right, function, shape: types[0].sizes ?? [])]
      })
  }

  /// `x` to the power `y`, which may have another type; the result has that of `x`.
  private static let pow = OperatorDefinition(
    "Pow", inputs: 2...2, attributes: broadcastAttributes,
    infer: { (context) throws(GraphError) in
      let base = try context.numeric(0)
      _ = try context.numeric(1)
      return [ValueType(base.elementType, try context.broadcastShape())]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (base, exponent) = try context.operands()
      let shape = types[0].sizes ?? []
      if base.elementType == exponent.elementType || !exponent.elementType.isFloatingPoint,
        base.elementType.integerType != nil
      {
        return [base.combined(exponent.converted(to: base.elementType), Power.self, shape: shape)]
      }
      let powers = Pairs(base.shape, exponent.shape, to: shape)
        .map(base.numbers(), exponent.numbers()) { Foundation.pow($0, $1) }
      return [Tensor(rounding: powers, shape: shape, types[0].elementType)]
    })

  /// The remainder: with the divisor's sign, or with `fmod` 1 with the dividend's.
  private static let mod = OperatorDefinition(
    "Mod", inputs: 2...2, attributes: [.int("fmod")],
    infer: { (context) throws(GraphError) in
      let left = try context.numeric(0)
      _ = try context.sameElements(1)
      _ = try context.flag("fmod")
      return [ValueType(left.elementType, try context.broadcastShape())]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (left, right) = try context.operands()
      let shape = types[0].sizes ?? []
      return [
        try context.flag("fmod")
          ? left.combined(right, TruncatedRemainder.self, shape: shape)
          : left.combined(right, FlooredRemainder.self, shape: shape)
      ]
    })

  /// Bits moved by the number of places that the second input says.
  private static let bitShift = OperatorDefinition(
    "BitShift", inputs: 2...2, attributes: [.string("direction", required: true)],
    infer: { (context) throws(GraphError) in
      let left = try context.integral(0)
      _ = try context.sameElements(1)
      let direction = context.node.string("direction", default: "")
      guard direction == "LEFT" || direction == "RIGHT" else {
        throw context.wrongAttribute("direction", "\"\(direction)\"", expected: "LEFT or RIGHT")
      }
      return [ValueType(left.elementType, try context.broadcastShape())]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (left, right) = try context.operands()
      let shape = types[0].sizes ?? []
      return [
        context.node.string("direction", default: "") == "LEFT"
          ? left.combined(right, LeftShift.self, shape: shape)
          : left.combined(right, RightShift.self, shape: shape)
      ]
    })

  private static func bitwise<F: BinaryFunction>(
    _ name: String, _ function: F.Type
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 2...2,
      infer: { (context) throws(GraphError) in
        let left = try context.integral(0)
        _ = try context.sameElements(1)
        return [ValueType(left.elementType, try context.broadcastShape())]
      },
      evaluate: { (context, types) throws(GraphError) in
        let (left, right) = try context.operands()
        return [left.combined(right, function, shape: types[0].sizes ?? [])]
      })
  }

  private static let bitwiseNot = OperatorDefinition(
    "BitwiseNot", inputs: 1...1,
    infer: { (context) throws(GraphError) in [try context.integral(0)] },
    evaluate: { (context, _) throws(GraphError) in [try context.tensor(0).mapped(BitNot.self)] })

  /// One tensor from any number of them, two at a time.
  private static func variadic<F: BinaryFunction>(
    _ name: String, _ function: F.Type
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...Int.max, infer: inferVariadic,
      evaluate: { (context, types) throws(GraphError) in
        [try context.folded(function, shape: types[0].sizes ?? [])]
      })
  }

  private static let mean = OperatorDefinition(
    "Mean", inputs: 1...Int.max, infer: inferVariadic,
    evaluate: { (context, types) throws(GraphError) in
      let shape = types[0].sizes ?? []
      var sums = [Double](repeating: 0, count: shape.reduce(1, *))
      for index in context.inputs.indices {
        let tensor = try context.tensor(index)
        let numbers = tensor.numbers()
        for (place, source) in Broadcast(tensor.shape, to: shape).source.enumerated() {
          sums[place] += numbers[source]
        }
      }
      let count = Double(context.inputs.count)
      return [Tensor(rounding: sums.map { $0 / count }, shape: shape, types[0].elementType)]
    })
}

/// Until operator set 6 broadcasting had to be asked for.
let broadcastAttributes: [AttributeDefinition] = [.int("axis"), .int("broadcast")]

@Sendable private func inferVariadic(_ context: NodeContext) throws(GraphError) -> [ValueType] {
  var type = try context.numeric(0)
  for index in context.inputs.indices.dropFirst() {
    let other = try context.sameElements(index)
    guard let shape = broadcast(type.shape, other.shape) else {
      throw context.incompatible(0, index, expected: "axes, counted from the last, equal or 1")
    }
    type.shape = shape
  }
  return [type]
}

extension NodeContext {
  /// Input `index`, which must hold integers.
  func integral(_ index: Int) throws(GraphError) -> ValueType {
    try type(
      index, in: ElementType.allCases.filter { $0.integerType != nil }, expected: "integers")
  }

  /// The shape that inputs 0 and 1 spread to.
  func broadcastShape() throws(GraphError) -> [Dimension] {
    let left = try type(0).shape
    guard let shape = broadcast(left, try alignedRight(left.count, try type(1).shape, filler: 1))
    else {
      throw incompatible(0, 1, expected: "axes, counted from the last, equal or 1")
    }
    return shape
  }

  /// Inputs 0 and 1, ready to be spread.
  func operands() throws(GraphError) -> (Tensor, Tensor) {
    let (left, right) = (try tensor(0), try tensor(1))
    return (left, right.reshaped(try alignedRight(left.rank, right.shape, filler: 1)))
  }

  /// The shape of input 1 when the attribute `axis` of operator sets before 7 says which axis of
  /// input 0 its first axis meets.
  private func alignedRight<Size>(
    _ rank: Int, _ right: [Size], filler: Size
  ) throws(GraphError) -> [Size] {
    guard opset < 7, try flag("broadcast"), node.attributes["axis"] != nil else { return right }
    let axis = try axis(default: 0, rank: rank)
    let behind = rank - axis - right.count
    guard behind >= 0 else {
      throw wrongAttribute("axis", axis, expected: "an axis behind which \(right.count) axes fit")
    }
    return right + [Size](repeating: filler, count: behind)
  }

  /// All inputs combined, two at a time from the first on.
  fileprivate func folded<F: BinaryFunction>(
    _ function: F.Type, shape: [Int]
  ) throws(GraphError) -> Tensor {
    let first = try tensor(0)
    var result = first.gathered(Broadcast(first.shape, to: shape).source, shape: shape)
    for index in inputs.indices.dropFirst() {
      result = result.combined(try tensor(index), function, shape: shape)
    }
    return result
  }
}
