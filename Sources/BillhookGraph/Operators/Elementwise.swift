public import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension OperatorDefinition {
  /// Functions of each element on its own.
  static let elementwiseFamily: [OperatorDefinition] = [
    signed("Abs", Magnitude.self), signed("Neg", Negation.self), signed("Sign", Signum.self),
    pointwise("Acos") { acos($0) }, pointwise("Acosh") { acosh($0) },
    pointwise("Asin") { asin($0) }, pointwise("Asinh") { asinh($0) },
    pointwise("Atan") { atan($0) }, pointwise("Atanh") { atanh($0) },
    pointwise("Ceil") { $0.rounded(.up) }, pointwise("Cos") { cos($0) },
    pointwise("Cosh") { cosh($0) }, pointwise("Erf") { erf($0) }, pointwise("Exp") { exp($0) },
    pointwise("Floor") { $0.rounded(.down) }, pointwise("Log") { log($0) },
    pointwise("Reciprocal") { 1 / $0 }, pointwise("Round") { $0.rounded(.toNearestOrEven) },
    pointwise("Sin") { sin($0) }, pointwise("Sinh") { sinh($0) },
    pointwise("Sqrt") { $0.squareRoot() }, pointwise("Tan") { tan($0) },
    pointwise("Tanh") { tanh($0) },
    identity, cast, castLike, clip,
  ]

  /// The value itself.
  private static let identity = OperatorDefinition(
    "Identity", inputs: 1...1,
    infer: { (context) throws(GraphError) in [try context.type(0)] },
    evaluate: { (context, _) throws(GraphError) in [try context.tensor(0)] })

  /// The same numbers in another type; fractions are cut off towards zero.
  private static let cast = OperatorDefinition(
    "Cast", inputs: 1...1,
    attributes: [.int("to", required: true), .int("saturate"), .string("round_mode")],
    infer: { (context) throws(GraphError) in
      let code = context.node.int("to", default: 0)
      guard let type = ElementType(rawValue: Int32(truncatingIfNeeded: code)),
        Int(type.rawValue) == code
      else {
        throw context.wrongAttribute(
          "to", code, expected: "the code of a number type, such as 1 (float32)")
      }
      return [ValueType(type, try context.type(0).shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      [try context.tensor(0).converted(to: types[0].elementType)]
    })

  /// The same numbers in the type of the second input.
  private static let castLike = OperatorDefinition(
    "CastLike", inputs: 2...2, attributes: [.int("saturate"), .string("round_mode")],
    infer: { (context) throws(GraphError) in
      [ValueType(try context.type(1).elementType, try context.type(0).shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      [try context.tensor(0).converted(to: types[0].elementType)]
    })

  /// Limits to `min...max`: attributes before operator set 11, optional scalar inputs from then on.
  private static let clip = OperatorDefinition(
    "Clip", inputs: 1...3, attributes: [.float("max"), .float("min")],
    infer: { (context) throws(GraphError) in
      let type = try context.numeric(0)
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
      let shape = types[0].sizes ?? []
      var result = try context.tensor(0)
      func bound(_ index: Int, _ key: String) -> Tensor? {
        if let tensor = context.optionalTensor(index) { return tensor.reshaped([]) }
        guard case .float(let value)? = context.node.attributes[key] else { return nil }
        return Tensor(scalar: value).converted(to: types[0].elementType)
      }
      // The lower bound first: with min > max every element becomes max, as ONNX says.
      if let lower = bound(1, "min") {
        result = result.combined(lower, Maximum.self, shape: shape)
      }
      if let upper = bound(2, "max") {
        result = result.combined(upper, Minimum.self, shape: shape)
      }
      return [result]
    })

  /// A function of fractions.
  ///
  /// - Parameter function: Made from the node's attributes.
  static func pointwise(
    _ name: String, attributes: [AttributeDefinition] = [],
    with function: @escaping @Sendable (Node) -> @Sendable (Double) -> Double
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...1, attributes: attributes,
      infer: { (context) throws(GraphError) in [try context.floatingPoint(0)] },
      evaluate: { (context, types) throws(GraphError) in
        let result = try context.numbers(0).map(function(context.node))
        return [Tensor(rounding: result, shape: types[0].sizes ?? [], types[0].elementType)]
      })
  }

  private static func pointwise(
    _ name: String, _ function: @escaping @Sendable (Double) -> Double
  ) -> OperatorDefinition {
    pointwise(name, with: { _ in function })
  }

  /// A function of any numbers.
  static func signed<F: UnaryFunction>(
    _ name: String, _ function: F.Type
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...1,
      infer: { (context) throws(GraphError) in [try context.numeric(0)] },
      evaluate: { (context, _) throws(GraphError) in [try context.tensor(0).mapped(function)] })
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
