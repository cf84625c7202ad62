internal import BillhookTensor
internal import Foundation

extension GradientRule {
  /// Losses of classifiers, what is left out at random, and scales of integers.
  static let lossFamily: [String: GradientRule] = [
    "NegativeLogLikelihoodLoss": negativeLogLikelihood, "SoftmaxCrossEntropyLoss": crossEntropy,
    "Dropout": dropout, "DequantizeLinear": dequantize,
  ]

  private static let negativeLogLikelihood = GradientRule { (context) throws(GraphError) in
    let (gradient, weights) = try lossGradients(context, try context.x(0))
    return [gradient, nil, weights]
  }

  private static let crossEntropy = GradientRule { (context) throws(GraphError) in
    var logarithms = try context.x(0)
    let lines = Lines(try context.shape(0), axis: 1)
    for start in lines.starts {
      let places = (0..<lines.count).map { start + $0 * lines.stride }
      let largest = places.reduce(-.infinity) { max($0, logarithms[$1]) }
      let logarithm = log(places.reduce(0) { $0 + exp(logarithms[$1] - largest) })
      for place in places { logarithms[place] -= largest + logarithm }
    }
    var (gradient, weights) = try lossGradients(context, logarithms)
    if context.has(1) { for (place, own) in context.dy(1).enumerated() { gradient[place] += own } }
    for start in lines.starts {
      let places = (0..<lines.count).map { start + $0 * lines.stride }
      let sum = places.reduce(0) { $0 + gradient[$1] }
      for place in places { gradient[place] -= exp(logarithms[place]) * sum }
    }
    return [gradient, nil, weights]
  }

  /// The gradients of the logarithms of the probabilities and of the classes' weights.
  @Sendable private static func lossGradients(
    _ context: GradientContext, _ logarithms: [Double]
  ) throws(GraphError) -> (logarithms: [Double], weights: [Double]?) {
    let (shape, labels) = (try context.shape(0), try context.forward.integers(1))
    let weights = context.forward.optionalTensor(2)?.numbers()
    let ignored = context.forward.ignoredLabel
    let area = shape[2...].reduce(1, *)
    let dy = context.dy()
    let reduction = context.node.string("reduction", default: "mean")
    let total =
      reduction == "mean"
      ? labels.reduce(0.0) { $0 + ($1 == ignored ? 0 : weights?[$1] ?? 1) } : 1
    let mean = reduction == "mean" ? context.y.first ?? 0 : 0
    var gradient = [Double](repeating: 0, count: logarithms.count)
    var dWeights = [Double](repeating: 0, count: shape[1])
    for (index, label) in labels.enumerated() where label != ignored {
      let incoming = dy[reduction == "none" ? index : 0] / total
      let place = (index / area * shape[1] + label) * area + index % area
      gradient[place] -= incoming * (weights?[label] ?? 1)
      dWeights[label] -= incoming * (logarithms[place] + mean)
    }
    return (gradient, weights == nil ? nil : dWeights)
  }

  /// The same elements are left out: the node's random stream starts anew each time.
  private static let dropout = GradientRule { (context) throws(GraphError) in
    let definition = try OperatorTable.definition(of: context.node)
    let both = try definition.evaluate(
      context.forward, try definition.checkedTypes(context.forward))
    let isTraining = context.forward.optionalTensor(2)?.integers()?.first == 1
    guard isTraining else { return [context.dy()] }
    let ratio =
      context.forward.optionalTensor(1)?.numbers().first
      ?? Double(context.node.float("ratio", default: 0.5))
    return [zip(context.dy(), both[1].numbers()).map { $1 != 0 ? $0 / (1 - ratio) : 0 }]
  }

  /// By the scales; the integers have no gradient.
  private static let dequantize = GradientRule { (context) throws(GraphError) in
    let x = try context.forward.tensor(0).integers() ?? []
    let zeroPoint = context.forward.optionalTensor(2)?.integers()
    let channel = try quantizationChannels(context.forward, shape: try context.shape(0))
    var gradient = [Double](repeating: 0, count: try context.shape(1).reduce(1, *))
    for (place, incoming) in context.dy().enumerated() {
      let own = channel(place)
      gradient[own] += incoming * Double(x[place] - (zeroPoint?[own] ?? 0))
    }
    return [nil, gradient]
  }
}
