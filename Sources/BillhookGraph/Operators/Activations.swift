internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Activation functions, and those that normalise lines to probabilities.
  static let activationFamily: [OperatorDefinition] = [
    signed("Relu", Ramp.self),
    pointwise("Sigmoid", with: { _ in { 1 / (1 + exp(-$0)) } }),
    pointwise("Softplus", with: { _ in { $0 > 30 ? $0 : log1p(exp($0)) } }),
    pointwise("Softsign", with: { _ in { $0 / (1 + abs($0)) } }),
    pointwise("Mish", with: { _ in { $0 * tanh($0 > 30 ? $0 : log1p(exp($0))) } }),
    pointwise("HardSwish", with: { _ in { $0 * max(0, min(1, $0 / 6 + 0.5)) } }),
    pointwise(
      "LeakyRelu", attributes: [.float("alpha")],
      with: { node in
        let alpha = Double(node.float("alpha", default: 0.01))
        return { $0 < 0 ? alpha * $0 : $0 }
      }),
    pointwise(
      "Elu", attributes: [.float("alpha")],
      with: { node in
        let alpha = Double(node.float("alpha", default: 1))
        return { $0 < 0 ? alpha * expm1($0) : $0 }
      }),
    pointwise(
      "Celu", attributes: [.float("alpha")],
      with: { node in
        let alpha = Double(node.float("alpha", default: 1))
        return { max(0, $0) + min(0, alpha * expm1($0 / alpha)) }
      }),
    pointwise(
      "Selu", attributes: [.float("alpha"), .float("gamma")],
      with: { node in
        // The defaults are those of the 32-bit constants in ONNX; before operator set 6 they were
        // rounded more, to 1.6732 and 1.0507.
        let alpha = Double(node.float("alpha", default: 1.67326319217681884765625))
        let gamma = Double(node.float("gamma", default: 1.05070102214813232421875))
        return { gamma * ($0 > 0 ? $0 : alpha * expm1($0)) }
      }),
    pointwise(
      "HardSigmoid", attributes: [.float("alpha"), .float("beta")],
      with: { node in
        let alpha = Double(node.float("alpha", default: 0.2))
        let beta = Double(node.float("beta", default: 0.5))
        return { max(0, min(1, alpha * $0 + beta)) }
      }),
    pointwise(
      "ThresholdedRelu", attributes: [.float("alpha")],
      with: { node in
        let alpha = Double(node.float("alpha", default: 1))
        return { $0 > alpha ? $0 : 0 }
      }),
    pointwise(
      "Swish", attributes: [.float("alpha")],
      with: { node in
        let alpha = Double(node.float("alpha", default: 1))
        return { $0 / (1 + exp(-alpha * $0)) }
      }),
    pointwise(
      "Gelu", attributes: [.string("approximate")],
      with: { node in
        if node.string("approximate", default: "none") == "tanh" {
          let scale = (2 / Double.pi).squareRoot()
          return { 0.5 * $0 * (1 + tanh(scale * ($0 + 0.044715 * $0 * $0 * $0))) }
        }
        return { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
      }),
    shrink, prelu,
    normalization("Softmax") { line in
      // The largest is taken off first, so that no exponential overflows.
      let largest = line.reduce(-.infinity, max)
      let powers = line.map { exp($0 - largest) }
      let sum = powers.reduce(0, +)
      return powers.map { $0 / sum }
    },
    normalization("LogSoftmax") { line in
      let largest = line.reduce(-.infinity, max)
      let logarithm = log(line.reduce(0) { $0 + exp($1 - largest) })
      return line.map { $0 - largest - logarithm }
    },
    normalization("Hardmax") { line in
      let best = line.indices.reduce(0) { line[$1] > line[$0] ? $1 : $0 }
      return line.indices.map { $0 == best ? 1 : 0 }
    },
  ]

  /// 0 within `lambd` of 0, shifted towards 0 by `bias` outside.
  private static let shrink = OperatorDefinition(
    "Shrink", inputs: 1...1, attributes: [.float("bias"), .float("lambd")],
    infer: { (context) throws(GraphError) in [try context.numeric(0)] },
    evaluate: { (context, types) throws(GraphError) in
      let bias = Double(context.node.float("bias", default: 0))
      let limit = Double(context.node.float("lambd", default: 0.5))
      let result = try context.numbers(0).map { x in
        x < -limit ? x + bias : x > limit ? x - bias : 0
      }
      return [Tensor(rounding: result, shape: types[0].sizes ?? [], types[0].elementType)]
    })

  /// Negative elements times a slope that spreads to the input; before operator set 7 one slope a
  /// channel of axis 1.
  private static let prelu = OperatorDefinition(
    "PRelu", inputs: 2...2,
    infer: { (context) throws(GraphError) in
      let input = try context.numeric(0)
      let slope = try context.sameElements(1)
      let aligned = slopeShape(context, input.shape.count, slope.shape, filler: 1)
      guard let shape = broadcast(input.shape, aligned), shape.count == input.shape.count,
        zip(shape, input.shape).allSatisfy({ !$0.contradicts($1) })
      else { throw context.incompatible(0, 1, expected: "a slope that spreads to the input") }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, slope) = (try context.tensor(0), try context.tensor(1))
      let aligned = slope.reshaped(slopeShape(context, x.rank, slope.shape, filler: 1))
      let sloped = x.combined(aligned, Product.self, shape: x.shape)
      let source = x.numbers().enumerated().map { $1 < 0 ? x.count + $0 : $0 }
      let both = Tensor(
        bytes: x.withUnsafeBytes { Array($0) } + sloped.withUnsafeBytes { Array($0) },
        shape: [2 * x.count], x.elementType)
      return [both.gathered(source, shape: x.shape)]
    })

  /// A function of the lines along `axis`; before operator set 13 of everything from `axis` on.
  private static func normalization(
    _ name: String, _ function: @escaping @Sendable ([Double]) -> [Double]
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...1, attributes: [.int("axis")],
      infer: { (context) throws(GraphError) in
        let input = try context.floatingPoint(0)
        _ = try normalizedAxis(context, rank: input.shape.count)
        return [input]
      },
      evaluate: { (context, types) throws(GraphError) in
        let x = try context.numbers(0)
        let shape = try context.sizes(0)
        let axis = try normalizedAxis(context, rank: shape.count)
        let flat =
          context.opset < 13
          ? [shape[..<axis].reduce(1, *), shape[axis...].reduce(1, *)] : shape
        let lines = Lines(flat, axis: context.opset < 13 ? 1 : axis)
        var y = x
        guard lines.count > 0 else { return [try context.tensor(0)] }
        for start in lines.starts {
          let places = (0..<lines.count).map { start + $0 * lines.stride }
          for (place, value) in zip(places, function(places.map { x[$0] })) { y[place] = value }
        }
        return [Tensor(rounding: y, shape: shape, types[0].elementType)]
      })
  }
}

func slopeShape<Size>(
  _ context: NodeContext, _ rank: Int, _ slope: [Size], filler: Size
) -> [Size] {
  guard context.opset < 7, slope.count == 1, rank > 2 else { return slope }
  return slope + [Size](repeating: filler, count: rank - 2)
}

func normalizedAxis(_ context: NodeContext, rank: Int) throws(GraphError) -> Int {
  guard rank > 0 else { throw context.wrongShape(0, expected: "at least one axis") }
  let isOld = context.opset < 13
  // The old default is 1, which a vector does not have; it allows the end of the shape for that.
  return try context.axis(default: isOld ? 1 : -1, rank: rank, allowingEnd: isOld)
}
