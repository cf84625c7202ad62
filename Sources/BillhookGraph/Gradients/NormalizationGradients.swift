internal import BillhookTensor

extension GradientRule {
  /// Operators that bring groups of elements to a common mean, variance or length.
  static let normalizationFamily: [String: GradientRule] = [
    "BatchNormalization": batch, "InstanceNormalization": instance,
    "LayerNormalization": layer, "GroupNormalization": group, "RMSNormalization": rootMeanSquare,
  ]

  private static let layer = GradientRule { (context) throws(GraphError) in
    let shape = try context.shape(0)
    let axis = try context.forward.axis(default: -1, rank: shape.count)
    let run = shape[axis...].reduce(1, *)
    let norm = Standardized(
      try context.x(0), run: run, epsilon: try context.forward.epsilon())
    let (dy, scaleShape) = (context.dy(), try context.shape(1))
    let scale = spread(try context.x(1), scaleShape, to: shape)
    var dx = norm.gradient(zip(dy, scale).map { $0 * $1 }, run: run)
    // The mean, and one divided by the standard deviation, are outputs too.
    let (means, factors) = (context.dy(1), context.dy(2))
    if context.has(1) || context.has(2) {
      for place in dx.indices {
        let row = place / max(run, 1)
        if context.has(1) { dx[place] += means[row] / Double(run) }
        if context.has(2) {
          let factor = norm.factors[row]
          dx[place] -= factors[row] * factor * factor * norm.values[place] / Double(run)
        }
      }
    }
    let bias = context.forward.optionalTensor(2)?.shape
    return [
      dx, summed(zip(dy, norm.values).map { $0 * $1 }, shape, to: scaleShape),
      bias.map { summed(dy, shape, to: $0) },
    ]
  }

  private static let rootMeanSquare = GradientRule { (context) throws(GraphError) in
    let (x, shape) = (try context.x(0), try context.shape(0))
    let run = shape[try context.forward.axis(default: -1, rank: shape.count)...].reduce(1, *)
    let epsilon = try context.forward.epsilon()
    let (dy, scaleShape) = (context.dy(), try context.shape(1))
    let scale = spread(try context.x(1), scaleShape, to: shape)
    var (dx, standard) = (x, x)
    for start in stride(from: 0, to: x.count, by: max(run, 1)) {
      let places = start..<start + run
      let square = places.reduce(0) { $0 + x[$1] * x[$1] } / Double(run)
      let factor = 1 / (square + epsilon).squareRoot()
      for place in places { standard[place] = x[place] * factor }
      let along =
        places.reduce(0) { $0 + dy[$1] * scale[$1] * standard[$1] } / Double(run)
      for place in places {
        dx[place] = factor * (dy[place] * scale[place] - standard[place] * along)
      }
    }
    return [dx, summed(zip(dy, standard).map { $0 * $1 }, shape, to: scaleShape)]
  }

  private static let instance = GradientRule { (context) throws(GraphError) in
    let shape = try context.shape(0)
    let area = shape[2...].reduce(1, *)
    return try channels(context, run: area, inner: area, count: shape[1])
  }

  private static let group = GradientRule { (context) throws(GraphError) in
    let shape = try context.shape(0)
    let groups = context.node.int("num_groups", default: 1)
    let area = shape[2...].reduce(1, *)
    let run = shape[1] / groups * area
    return context.forward.opset < 21
      ? try channels(context, run: run, inner: run, count: groups)
      : try channels(context, run: run, inner: area, count: shape[1])
  }

  /// Runs of neighbouring elements standardized, then scaled and moved by `count` numbers that change
  /// every `inner` elements.
  @Sendable private static func channels(
    _ context: GradientContext, run: Int, inner: Int, count: Int
  ) throws(GraphError) -> [[Double]?] {
    let norm = Standardized(
      try context.x(0), run: run, epsilon: try context.forward.epsilon())
    let (scale, dy) = (try context.x(1), context.dy())
    var ds = [Double](repeating: 0, count: count)
    var (db, scaled) = (ds, dy)
    for place in dy.indices {
      let channel = place / inner % count
      scaled[place] = dy[place] * scale[channel]
      ds[channel] += dy[place] * norm.values[place]
      db[channel] += dy[place]
    }
    return [norm.gradient(scaled, run: run), ds, db]
  }

  private static let batch = GradientRule { (context) throws(GraphError) in
    let (x, shape) = (try context.x(0), try context.shape(0))
    let (scale, dy) = (try context.x(1), context.dy())
    let epsilon = try context.forward.epsilon()
    let (channels, area) = (shape[1], shape[2...].reduce(1, *))
    let isTraining = context.node.isTrainingBatchNorm(opset: context.forward.opset)
    guard !isTraining || !context.outputGradients.indices.dropFirst().contains(where: context.has)
    else { throw context.noGradient("its statistics are recorded, not differentiated") }
    let count = Double(shape[0] * area)
    var (mean, variance) = (try context.x(3), try context.x(4))
    if isTraining {
      mean = [Double](repeating: 0, count: channels)
      variance = mean
      for place in x.indices { mean[place / area % channels] += x[place] / count }
      for place in x.indices {
        let distance = x[place] - mean[place / area % channels]
        variance[place / area % channels] += distance * distance / count
      }
    }
    let factors = variance.map { 1 / ($0 + epsilon).squareRoot() }
    var ds = [Double](repeating: 0, count: channels)
    var (db, dx) = (ds, dy)
    for place in x.indices {
      let c = place / area % channels
      ds[c] += dy[place] * (x[place] - mean[c]) * factors[c]
      db[c] += dy[place]
    }
    for place in x.indices {
      let c = place / area % channels
      let standard = (x[place] - mean[c]) * factors[c]
      let shared = isTraining ? (db[c] + standard * ds[c]) / count : 0
      dx[place] = scale[c] * factors[c] * (dy[place] - shared)
    }
    if isTraining { return [dx, ds, db] }
    // The recorded statistics are inputs like others.
    return [
      dx, ds, db, (0..<channels).map { -scale[$0] * factors[$0] * db[$0] },
      (0..<channels).map { -scale[$0] * ds[$0] * factors[$0] * factors[$0] / 2 },
    ]
  }
}

extension Standardized {
  /// The gradient of the elements from that of ``values``.
  func gradient(_ dy: [Double], run: Int) -> [Double] {
    var dx = dy
    for (row, start) in stride(from: 0, to: dy.count, by: max(run, 1)).enumerated() {
      let places = start..<start + run
      let mean = places.reduce(0) { $0 + dy[$1] } / Double(run)
      let along = places.reduce(0) { $0 + dy[$1] * values[$1] } / Double(run)
      for place in places {
        dx[place] = factors[row] * (dy[place] - mean - values[place] * along)
      }
    }
    return dx
  }
}
