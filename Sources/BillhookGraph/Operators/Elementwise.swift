public import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  static let relu = pointwise("Relu") { max($0, 0) }
  static let sigmoid = pointwise("Sigmoid") { 1 / (1 + exp(-$0)) }

  /// The value itself.
  static let identity = OperatorDefinition(
    "Identity", inputs: 1...1,
    infer: { (context) throws(GraphError) in [try context.type(0)] },
    evaluate: { (context, _) throws(GraphError) in [try context.tensor(0)] })

  static let add = arithmetic("Add", { $0 + $1 }, { $0 &+ $1 })
  static let mul = arithmetic("Mul", { $0 * $1 }, { $0 &* $1 })

  /// Limits to `min...max`: attributes before operator set 11, optional scalar inputs from then on.
  static let clip = OperatorDefinition(
    "Clip", inputs: 1...3,
    attributes: [AttributeDefinition("max", .float), AttributeDefinition("min", .float)],
    infer: { (context) throws(GraphError) in
      let type = try context.floatingPoint(0)
      for index in 1...2 {
        guard let bound = context.optionalType(index) else { continue }
        _ = try context.sameElements(index)
        guard bound.shape.isEmpty || bound.shape == [1] else {
          throw context.wrongShape(index, expected: "a scalar")
        }
      }
      return [type]
    },
    evaluate: { (context, types) throws(GraphError) in
      let bounds = context.node.clipBounds { index in context.optionalTensor(index) }
      // The lower bound first: with min > max every element becomes max, as ONNX says.
      let clipped = try context.numbers(0).map {
        min(max($0, Double(bounds.lower)), Double(bounds.upper))
      }
      return [Tensor(rounding: clipped, shape: types[0].sizes ?? [], types[0].elementType)]
    })

  private static func pointwise(
    _ name: String, _ function: @escaping @Sendable (Double) -> Double
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...1,
      infer: { (context) throws(GraphError) in [try context.floatingPoint(0)] },
      evaluate: { (context, types) throws(GraphError) in
        let result = try context.numbers(0).map(function)
        return [Tensor(rounding: result, shape: types[0].sizes ?? [], types[0].elementType)]
      })
  }

  private static func arithmetic(
    _ name: String, _ floating: @escaping @Sendable (Double, Double) -> Double,
    _ integral: @escaping @Sendable (Int, Int) -> Int
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 2...2,
      infer: { (context) throws(GraphError) in
        let left = try context.type(
          0, in: ElementType.allCases.filter { $0 != .bool }, expected: "numbers")
        let right = try context.sameElements(1)
        guard let shape = broadcast(left.shape, right.shape) else {
          throw context.incompatible(0, 1, expected: "axes, counted from the last, equal or 1")
        }
        return [ValueType(left.elementType, shape)]
      },
      evaluate: { (context, types) throws(GraphError) in
        let (left, right) = (try context.tensor(0), try context.tensor(1))
        let shape = types[0].sizes ?? []
        let pairs = zip(
          Broadcast(left.shape, to: shape).source, Broadcast(right.shape, to: shape).source)
        if let a = left.integers(), let b = right.integers() {
          let result = pairs.map { integral(a[$0], b[$1]) }
          return [Tensor(truncating: result, shape: shape, types[0].elementType)]
        }
        let (a, b) = (left.numbers(), right.numbers())
        let result = pairs.map { floating(a[$0], b[$1]) }
        return [Tensor(rounding: result, shape: shape, types[0].elementType)]
      })
  }
}

extension Node {
  /// The bounds of a Clip node in either form; infinite where none is stated.
  ///
  /// - Parameter tensor: The constant that input `index` holds, or nil.
  public func clipBounds(_ tensor: (_ index: Int) -> Tensor?) -> (lower: Float, upper: Float) {
    (
      tensor(1)?.floats().first ?? float("min", default: -.infinity),
      tensor(2)?.floats().first ?? float("max", default: .infinity)
    )
  }
}
