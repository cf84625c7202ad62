internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// `scale · (x − mean) / √(variance + epsilon) + bias` per channel of axis 1, with the recorded
  /// statistics.
  static let batchNormalization = OperatorDefinition(
    "BatchNormalization", inputs: 5...5, outputs: 1...1,
    attributes: [
      AttributeDefinition("epsilon", .float), AttributeDefinition("momentum", .float),
      AttributeDefinition("spatial", .int), AttributeDefinition("training_mode", .int),
    ],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      guard input.shape.count >= 2 else { throw context.wrongShape(0, expected: "[N, C, D…]") }
      for index in 1...4 {
        _ = try context.floatingPoint(index)
        try context.vector(index, count: input.shape[1])
      }
      guard context.node.int("spatial", default: 1) == 1 else {
        throw context.wrongAttribute(
          "spatial", 0, expected: "1, statistics of each channel; others were withdrawn by ONNX")
      }
      guard context.node.int("training_mode", default: 0) == 0 else {
        throw context.wrongAttribute(
          "training_mode", 1, expected: "0; export the network in inference mode")
      }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      var x = try context.numbers(0)
      let (scale, bias) = (try context.numbers(1), try context.numbers(2))
      let (mean, variance) = (try context.numbers(3), try context.numbers(4))
      let epsilon = Double(context.node.float("epsilon", default: 1e-5))
      let shape = try context.tensor(0).shape
      let area = shape[2...].reduce(1, *)
      for index in x.indices {
        let c = index / area % shape[1]
        x[index] = scale[c] * (x[index] - mean[c]) / (variance[c] + epsilon).squareRoot() + bias[c]
      }
      return [Tensor(rounding: x, shape: shape, types[0].elementType)]
    })

  /// `exp(x) / Σ exp(x)` along an axis; before operator set 13 over all axes from `axis` on.
  static let softmax = OperatorDefinition(
    "Softmax", inputs: 1...1, attributes: [AttributeDefinition("axis", .int)],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      _ = try softmaxAxis(context, rank: input.shape.count)
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      var x = try context.numbers(0)
      let shape = try context.tensor(0).shape
      let axis = try softmaxAxis(context, rank: shape.count)
      let inner = context.opset < 13 ? 1 : shape[(axis + 1)...].reduce(1, *)
      let count = context.opset < 13 ? shape[axis...].reduce(1, *) : shape[axis]
      guard !x.isEmpty else { return [try context.tensor(0)] }
      for outer in 0..<x.count / (count * inner) {
        for offset in 0..<inner {
          let places = (0..<count).map { (outer * count + $0) * inner + offset }
          // The largest is taken off first, so that no exponential overflows.
          let largest = places.map { x[$0] }.reduce(-.infinity, max)
          for place in places { x[place] = exp(x[place] - largest) }
          let sum = places.reduce(0) { $0 + x[$1] }
          for place in places { x[place] /= sum }
        }
      }
      return [Tensor(rounding: x, shape: shape, types[0].elementType)]
    })

  /// Outside training the value itself. The ratio is an attribute before operator set 12 and an
  /// input from then on.
  static let dropout = OperatorDefinition(
    "Dropout", inputs: 1...3, outputs: 1...2,
    attributes: [AttributeDefinition("ratio", .float), AttributeDefinition("seed", .int)],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      for index in 1...2 {
        guard let scalar = context.optionalType(index) else { continue }
        guard scalar.shape.isEmpty || scalar.shape == [1] else {
          throw context.wrongShape(index, expected: "a scalar")
        }
      }
      let ratio =
        context.optionalTensor(1)?.floats().first
        ?? context.node.float("ratio", default: 0.5)
      guard ratio >= 0, ratio < 1 else {
        throw context.wrongAttribute("ratio", ratio, expected: "0..<1")
      }
      return [input, ValueType(.bool, input.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.tensor(0)
      return [x, Tensor([Bool](repeating: true, count: x.count), shape: x.shape)]
    })
}

private func softmaxAxis(_ context: NodeContext, rank: Int) throws(GraphError) -> Int {
  guard rank > 0 else { throw context.wrongShape(0, expected: "at least one axis") }
  let isOld = context.opset < 13
  // The old default is 1, which a vector does not have; it allows the end of the shape for that.
  return try context.axis(default: isOld ? 1 : -1, rank: rank, allowingEnd: isOld)
}
