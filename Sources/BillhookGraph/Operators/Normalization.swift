internal import BillhookTensor

extension OperatorDefinition {
  /// Operators that bring groups of elements to a common mean, variance or length.
  static let normalizationFamily: [OperatorDefinition] = [
    batchNormalization, instanceNormalization, layerNormalization, groupNormalization,
    rmsNormalization,
  ]

  /// `scale · (x − mean) / √(variance + epsilon) + bias` per channel of axis 1, with the recorded
  /// statistics; in training mode with those of the batch, which then move the recorded ones.
  private static let batchNormalization = OperatorDefinition(
    "BatchNormalization", inputs: 5...5, outputs: 1...5,
    attributes: [
      .float("epsilon"), .float("momentum"), .int("spatial"), .int("training_mode"),
      .int("is_test"),
    ],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      guard input.shape.count >= 2 else { throw context.wrongShape(0, expected: "[N, C, D…]") }
      var statistics = input
      for index in 1...4 {
        let type = try context.floatingPoint(index)
        try context.vector(index, count: input.shape[1])
        if index == 3 { statistics = ValueType(type.elementType, [input.shape[1]]) }
      }
      guard context.node.int("spatial", default: 1) == 1 else {
        throw context.wrongAttribute(
          "spatial", 0, expected: "1, statistics of each channel; others were withdrawn by ONNX")
      }
      return [input] + [ValueType](repeating: statistics, count: 4)
    },
    evaluate: { (context, types) throws(GraphError) in
      var x = try context.numbers(0)
      let (scale, bias) = (try context.numbers(1), try context.numbers(2))
      var (mean, variance) = (try context.numbers(3), try context.numbers(4))
      let epsilon = Double(context.node.float("epsilon", default: 1e-5))
      let shape = try context.sizes(0)
      let area = shape[2...].reduce(1, *)
      var outputs = [mean, variance, mean, variance]
      if context.node.isTrainingBatchNorm(opset: context.opset) {
        let momentum = Double(context.node.float("momentum", default: 0.9))
        let count = Double(shape[0] * area)
        mean = [Double](repeating: 0, count: shape[1])
        variance = mean
        for index in x.indices { mean[index / area % shape[1]] += x[index] / count }
        for index in x.indices {
          let distance = x[index] - mean[index / area % shape[1]]
          variance[index / area % shape[1]] += distance * distance / count
        }
        for (place, batch) in [mean, variance].enumerated() {
          outputs[place] = zip(outputs[place], batch).map { $0 * momentum + $1 * (1 - momentum) }
          outputs[place + 2] = batch
        }
      }
      for index in x.indices {
        let c = index / area % shape[1]
        x[index] = scale[c] * (x[index] - mean[c]) / (variance[c] + epsilon).squareRoot() + bias[c]
      }
      let statistics = outputs.map {
        Tensor(rounding: $0, shape: [shape[1]], types[1].elementType)
      }
      return [Tensor(rounding: x, shape: shape, types[0].elementType)] + statistics
    })

  /// Each channel of each sample on its own.
  private static let instanceNormalization = OperatorDefinition(
    "InstanceNormalization", inputs: 3...3,
    attributes: [.float("epsilon")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      guard input.shape.count >= 3 else { throw context.wrongShape(0, expected: "[N, C, D…]") }
      for index in 1...2 {
        _ = try context.sameElements(index)
        try context.vector(index, count: input.shape[1])
      }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = try context.sizes(0)
      let area = shape[2...].reduce(1, *)
      let norm = Standardized(try context.numbers(0), run: area, epsilon: try context.epsilon())
      let (scale, bias) = (try context.numbers(1), try context.numbers(2))
      let y = norm.values.enumerated().map { index, value in
        value * scale[index / area % shape[1]] + bias[index / area % shape[1]]
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })

  /// Everything from `axis` on together; also gives the mean and the inverse standard deviation.
  private static let layerNormalization = OperatorDefinition(
    "LayerNormalization", inputs: 2...3, outputs: 1...3,
    attributes: [.int("axis"), .float("epsilon"), .int("stash_type")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let axis = try context.axis(default: -1, rank: input.shape.count)
      for index in 1...2 where context.optionalType(index) != nil {
        try context.spreads(index, to: input.shape)
      }
      let ones = [Dimension](repeating: 1, count: input.shape.count - axis)
      let statistics = ValueType(
        try context.statedType("stash_type") ?? .float32, input.shape[..<axis] + ones)
      return [input, statistics, statistics]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = try context.sizes(0)
      let axis = try context.axis(default: -1, rank: shape.count)
      let norm = Standardized(
        try context.numbers(0), run: shape[axis...].reduce(1, *), epsilon: try context.epsilon())
      let y = try context.scaled(norm.values, shape)
      let rows = types[1].sizes ?? []
      return [
        Tensor(rounding: y, shape: shape, types[0].elementType),
        Tensor(rounding: norm.means, shape: rows, types[1].elementType),
        Tensor(rounding: norm.factors, shape: rows, types[2].elementType),
      ]
    })

  /// The channels of each group together; scale and bias a group before operator set 21, a channel
  /// from then on.
  private static let groupNormalization = OperatorDefinition(
    "GroupNormalization", inputs: 3...3,
    attributes: [.float("epsilon"), .int("num_groups", required: true), .int("stash_type")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let groups = context.node.int("num_groups", default: 1)
      guard input.shape.count >= 2, groups >= 1, (input.shape[1].size ?? groups) % groups == 0
      else {
        throw context.wrongShape(0, expected: "[N, C, D…] with \(groups) equal groups of channels")
      }
      for index in 1...2 {
        _ = try context.sameElements(index)
        try context.vector(index, count: context.opset < 21 ? .fixed(groups) : input.shape[1])
      }
      return [input]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = try context.sizes(0)
      let groups = context.node.int("num_groups", default: 1)
      let area = shape[2...].reduce(1, *)
      let run = shape[1] / groups * area
      let norm = Standardized(try context.numbers(0), run: run, epsilon: try context.epsilon())
      let (scale, bias) = (try context.numbers(1), try context.numbers(2))
      let (inner, count) = context.opset < 21 ? (run, groups) : (area, shape[1])
      let y = norm.values.enumerated().map { index, value in
        value * scale[index / inner % count] + bias[index / inner % count]
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })

  /// Divided by the root of the mean square of everything from `axis` on.
  private static let rmsNormalization = OperatorDefinition(
    "RMSNormalization", inputs: 2...2,
    attributes: [.int("axis"), .float("epsilon"), .int("stash_type")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      _ = try context.axis(default: -1, rank: input.shape.count)
      try context.spreads(1, to: input.shape)
      return [ValueType(try context.type(1).elementType, input.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = try context.sizes(0)
      let run = shape[try context.axis(default: -1, rank: shape.count)...].reduce(1, *)
      let epsilon = try context.epsilon()
      var x = try context.numbers(0)
      for start in stride(from: 0, to: x.count, by: max(run, 1)) {
        let square = x[start..<start + run].reduce(0) { $0 + $1 * $1 } / Double(run)
        for place in start..<start + run { x[place] /= (square + epsilon).squareRoot() }
      }
      return [
        Tensor(rounding: try context.scaled(x, shape), shape: shape, types[0].elementType)
      ]
    })

}

/// Runs of neighbouring elements brought to mean 0 and variance 1.
struct Standardized {
  var values: [Double]
  var means: [Double] = []
  /// One divided by the standard deviation of each run.
  var factors: [Double] = []

  init(_ x: [Double], run: Int, epsilon: Double) {
    values = x
    for start in stride(from: 0, to: x.count, by: max(run, 1)) {
      let part = x[start..<start + run]
      let mean = part.reduce(0, +) / Double(run)
      let variance = part.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(run)
      let factor = 1 / (variance + epsilon).squareRoot()
      for place in part.indices { values[place] = (x[place] - mean) * factor }
      means.append(mean)
      factors.append(factor)
    }
  }
}

extension Node {
  /// True when a BatchNormalization takes its statistics from the batch: said by `training_mode`
  /// from operator set 14 on, by outputs for statistics before, and by `is_test` before 7.
  public func isTrainingBatchNorm(opset: Int) -> Bool {
    if opset >= 14 { return int("training_mode", default: 0) == 1 }
    return opset < 7
      ? int("is_test", default: 0) == 0 : outputs.dropFirst().contains { !$0.isEmpty }
  }
}

extension NodeContext {
  func epsilon() throws(GraphError) -> Double {
    Double(node.float("epsilon", default: 1e-5))
  }

  /// Checks that input `index` spreads to a shape without changing it.
  fileprivate func spreads(_ index: Int, to shape: [Dimension]) throws(GraphError) {
    let own = try floatingPoint(index).shape
    let fits =
      own.count <= shape.count
      && zip(own.reversed(), shape.reversed()).allSatisfy { $0 == 1 || !$0.contradicts($1) }
    guard fits else { throw wrongShape(index, expected: "a shape that spreads to \(shape)") }
  }

  /// `x · input 1 + input 2`, where both spread.
  fileprivate func scaled(_ x: [Double], _ shape: [Int]) throws(GraphError) -> [Double] {
    var y = x
    let scale = try tensor(1)
    let factors = scale.numbers()
    for (place, source) in Broadcast(scale.shape, to: shape).source.enumerated() {
      y[place] *= factors[source]
    }
    guard let bias = optionalTensor(2) else { return y }
    let terms = bias.numbers()
    for (place, source) in Broadcast(bias.shape, to: shape).source.enumerated() {
      y[place] += terms[source]
    }
    return y
  }
}
