internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension OperatorDefinition {
  /// Losses of classifiers.
  static let lossFamily: [OperatorDefinition] = [
    negativeLogLikelihoodLoss, softmaxCrossEntropyLoss,
  ]

  /// The weighted negative of the element that each label names.
  private static let negativeLogLikelihoodLoss = OperatorDefinition(
    "NegativeLogLikelihoodLoss", inputs: 2...3, attributes: lossAttributes,
    infer: { (context) throws(GraphError) in [try context.lossType()] },
    evaluate: { (context, types) throws(GraphError) in
      [try context.loss(try context.numbers(0), types[0])]
    })

  /// The same of the logarithm of a softmax over axis 1, which is the second output.
  private static let softmaxCrossEntropyLoss = OperatorDefinition(
    "SoftmaxCrossEntropyLoss", inputs: 2...3, outputs: 1...2, attributes: lossAttributes,
    infer: { (context) throws(GraphError) in [try context.lossType(), try context.type(0)] },
    evaluate: { (context, types) throws(GraphError) in
      var scores = try context.numbers(0)
      let lines = Lines(try context.sizes(0), axis: 1)
      for start in lines.starts {
        let places = (0..<lines.count).map { start + $0 * lines.stride }
        let largest = places.reduce(-.infinity) { max($0, scores[$1]) }
        let logarithm = log(places.reduce(0) { $0 + exp(scores[$1] - largest) })
        for place in places { scores[place] -= largest + logarithm }
      }
      let logarithms = Tensor(
        rounding: scores, shape: try context.sizes(0), types[1].elementType)
      return [try context.loss(scores, types[0]), logarithms]
    })
}

private let lossAttributes: [AttributeDefinition] = [.int("ignore_index"), .string("reduction")]

extension NodeContext {
  fileprivate func lossType() throws(GraphError) -> ValueType {
    let scores = try floatingPoint(0)
    let labels = try indices(1).shape
    guard scores.shape.count >= 2, labels.count == scores.shape.count - 1,
      zip(labels, [scores.shape[0]] + scores.shape[2...]).allSatisfy({ !$0.contradicts($1) })
    else { throw incompatible(0, 1, expected: "[N, C, D…] and labels [N, D…]") }
    if optionalType(2) != nil {
      _ = try sameElements(2)
      try vector(2, count: scores.shape[1])
    }
    let reduction = node.string("reduction", default: "mean")
    guard ["none", "sum", "mean"].contains(reduction) else {
      throw wrongAttribute("reduction", "\"\(reduction)\"", expected: "none, sum or mean")
    }
    if let classes = scores.shape[1].size, let found = optionalTensor(1)?.integers() {
      let ignored = ignoredLabel
      guard found.allSatisfy({ $0 == ignored || (0..<classes).contains($0) }) else {
        throw wrongShape(1, expected: "labels in 0..<\(classes)")
      }
    }
    return ValueType(scores.elementType, reduction == "none" ? labels : [])
  }

  var ignoredLabel: Int? {
    node.attributes["ignore_index"] == nil ? nil : node.int("ignore_index", default: 0)
  }

  /// - Parameter logarithms: Of the probabilities, in the shape of input 0.
  fileprivate func loss(
    _ logarithms: [Double], _ type: ValueType
  ) throws(GraphError) -> Tensor {
    let (shape, labels) = (try sizes(0), try integers(1))
    let weights = optionalTensor(2)?.numbers()
    let area = shape[2...].reduce(1, *)
    let ignored = ignoredLabel
    var (losses, total): ([Double], Double) = ([], 0)
    for (index, label) in labels.enumerated() {
      guard label != ignored else {
        losses.append(0)
        continue
      }
      let weight = weights?[label] ?? 1
      total += weight
      let place = (index / area * shape[1] + label) * area + index % area
      losses.append(-weight * logarithms[place])
    }
    let sum = losses.reduce(0, +)
    switch node.string("reduction", default: "mean") {
    case "none": return Tensor(rounding: losses, shape: type.sizes ?? [], type.elementType)
    case "sum": return Tensor(rounding: [sum], shape: [], type.elementType)
    default: return Tensor(rounding: [sum / total], shape: [], type.elementType)
    }
  }
}
