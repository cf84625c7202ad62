internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Normalisations without parameters of their own: over neighbouring channels, lines or axes.
  static let localNormalizationFamily: [OperatorDefinition] = [
    lrn, lpNormalization, meanVarianceNormalization,
  ]

  /// Divided by a power of the squares of `size` neighbouring channels.
  private static let lrn = OperatorDefinition(
    "LRN", inputs: 1...1,
    attributes: [.float("alpha"), .float("beta"), .float("bias"), .int("size", required: true)],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      guard input.shape.count >= 2 else { throw context.wrongShape(0, expected: "[N, C, D…]") }
      let size = context.node.int("size", default: 0)
      guard (1...1 << 40).contains(size) else {
        throw context.wrongAttribute("size", size, expected: "a number of channels of 1 or more")
      }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, shape) = (try context.numbers(0), try context.sizes(0))
      let size = context.node.int("size", default: 1)
      let alpha = Double(context.node.float("alpha", default: 0.0001)) / Double(size)
      let beta = Double(context.node.float("beta", default: 0.75))
      let bias = Double(context.node.float("bias", default: 1))
      let area = shape[2...].reduce(1, *)
      let y = x.indices.map { place in
        let channel = place / area % shape[1]
        let first = max(0, channel - (size - 1) / 2)
        let last = min(shape[1] - 1, channel + size / 2)
        let squares = (first...last).reduce(0.0) { sum, other in
          let value = x[place + (other - channel) * area]
          return sum + value * value
        }
        return x[place] / pow(bias + alpha * squares, beta)
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })

  /// Lines along an axis divided by their length in the L1 or L2 norm.
  private static let lpNormalization = OperatorDefinition(
    "LpNormalization", inputs: 1...1, attributes: [.int("axis"), .int("p")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      _ = try context.axis(default: -1, rank: input.shape.count)
      let p = context.node.int("p", default: 2)
      guard p == 1 || p == 2 else { throw context.wrongAttribute("p", p, expected: "1 or 2") }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      var (x, shape) = (try context.numbers(0), try context.sizes(0))
      let lines = Lines(shape, axis: try context.axis(default: -1, rank: shape.count))
      let isAbsolute = context.node.int("p", default: 2) == 1
      for start in lines.starts {
        let places = (0..<lines.count).map { start + $0 * lines.stride }
        let length =
          isAbsolute
          ? places.reduce(0) { $0 + abs(x[$1]) }
          : places.reduce(0) { $0 + x[$1] * x[$1] }.squareRoot()
        // A line of zeros stays one.
        for place in places where length > 0 { x[place] /= length }
      }
      return [Tensor(rounding: x, shape: shape, types[0].elementType)]
    })

  /// Mean 0 and variance 1 over the named axes.
  private static let meanVarianceNormalization = OperatorDefinition(
    "MeanVarianceNormalization", inputs: 1...1, attributes: [.ints("axes")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      _ = try context.axes(context.node.ints("axes") ?? [0, 2, 3], rank: input.shape.count)
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, shape) = (try context.numbers(0), try context.sizes(0))
      let axes = try context.axes(context.node.ints("axes") ?? [0, 2, 3], rank: shape.count)
      let kept = shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
      let group = Broadcast(kept, to: shape).source
      let count = Double(x.count) / Double(max(kept.reduce(1, *), 1))
      var (means, squares) = ([Double](repeating: 0, count: kept.reduce(1, *)), [Double]())
      squares = means
      for (value, index) in zip(x, group) { means[index] += value / count }
      for (value, index) in zip(x, group) {
        squares[index] += (value - means[index]) * (value - means[index]) / count
      }
      let y = zip(x, group).map { ($0 - means[$1]) / (squares[$1].squareRoot() + 1e-9) }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })
}
