internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor
internal import OrderedCollections

/// Puts the sum of x xᵀ over the calibration data into each layer's statistics, x being the inputs
/// that one output channel multiplies with its weights: a window of a convolution, in the order of
/// its weights.
///
/// The windows and the products are made by a small network of standard operators: a convolution
/// whose filters each pick one input of the window, and a matrix product.
func addGramMatrices(
  to statistics: inout [LayerStatistics], _ graph: Graph, layers: [WeightedLayer], data: Dataset,
  settings: PruneSettings, progress: (any ProgressReporting)?
) throws {
  let data = try data.fitted(to: graph)
  let indices = data.sampleIndices(settings.samples, seed: settings.seed)
  let values = Array(Set(layers.map(\.input))).sorted()
  let runner = try CalibrationRunner(
    graph, values: values, data: data, batchSize: settings.batchSize, samples: indices.count,
    seed: settings.seed)
  var sums = layers.map { GramSum($0, node: graph.nodes[$0.nodeIndex]) }
  progress?.begin("collect Gram matrices", total: indices.count, unit: "samples")
  for start in stride(from: 0, to: indices.count, by: runner.batchSize) {
    let end = min(start + runner.batchSize, indices.count)
    let batch = try runner.run(data, Array(indices[start..<end]))
    for (index, layer) in layers.enumerated() {
      guard let value = batch.values[layer.input] else { continue }
      try sums[index].add(value.asFloat32())
    }
    progress?.advance(end, detail: "")
  }
  progress?.end("")
  for (index, layer) in layers.enumerated() {
    let gram = sums[index].tensor
    guard gram.hasOnlyFiniteFloats else {
      throw CompressionError.statisticsNotFinite(layer: layer.name)
    }
    statistics[index].inputGram = gram
    statistics[index].sampleCount = UInt64(indices.count)
  }
}

/// One layer's matrix while it is summed up.
private struct GramSum {
  private let layer: WeightedLayer
  private let node: Node
  private let width: Int
  private var sums: [Double]
  private var plans: [[Int]: InferencePlan] = [:]

  init(_ layer: WeightedLayer, node: Node) {
    self.layer = layer
    self.node = node
    width = layer.shape.reduce(1, *) / max(layer.outputChannels, 1)
    sums = [Double](repeating: 0, count: layer.groups * width * width)
  }

  var tensor: Tensor { Tensor(sums.map { Float($0) }, shape: [layer.groups, width, width]) }

  mutating func add(_ value: Tensor) throws {
    guard value.count > 0 else { return }
    // Of a matrix product every row is an x of its own.
    let x = layer.op == "Conv" ? value : value.reshaped([value.count / width, width])
    if plans[x.shape] == nil { plans[x.shape] = try plan(x.shape) }
    let product = try plans[x.shape]!.run(["x": x])["gram"]!
    product.withUnsafeElements(of: Float.self) { values in
      for index in values.indices { sums[index] += Double(values[index]) }
    }
  }

  private func plan(_ shape: [Int]) throws -> InferencePlan {
    var graph = Graph(
      name: "gram",
      inputs: [ValueInfo("x", .float32, shape: shape.map { .fixed($0) })],
      outputs: [
        ValueInfo(
          "gram", .float32,
          shape: [layer.groups, width, width].map { .fixed($0) })
      ], opset: 13)
    if layer.op == "Conv" {
      graph.initializers["pick"] = Initializer(filters)
      graph.nodes.append(
        Node(
          "Conv", name: "windows", inputs: ["x", "pick"], outputs: ["windows"],
          attributes: node.attributes))
      let rank = shape.count
      graph.nodes.append(
        Node(
          "Transpose", name: "turn", inputs: ["windows"], outputs: ["turned"],
          attributes: ["perm": .ints([1, 0] + Array(2..<rank))]))
    } else {
      graph.nodes.append(
        Node(
          "Transpose", name: "turn", inputs: ["x"], outputs: ["turned"],
          attributes: ["perm": .ints([1, 0])]))
    }
    graph.initializers["sizes"] = Initializer(
      Tensor([Int64(layer.groups), Int64(width), -1], shape: [3]))
    graph.nodes += [
      Node("Reshape", name: "shape", inputs: ["turned", "sizes"], outputs: ["columns"]),
      Node(
        "Transpose", name: "across", inputs: ["columns"], outputs: ["rows"],
        attributes: ["perm": .ints([0, 2, 1])]),
      Node("MatMul", name: "product", inputs: ["columns", "rows"], outputs: ["gram"]),
    ]
    return try InferencePlan(graph, batchSize: max(shape[0], 1))
  }

  /// One filter an input of the window, `[groups · width, I / groups, ...]`: 1 there, else 0.
  private var filters: Tensor {
    var values = [Float](repeating: 0, count: layer.groups * width * width)
    for row in 0..<layer.groups * width { values[row * width + row % width] = 1 }
    return Tensor(values, shape: [layer.groups * width] + Array(layer.shape.dropFirst()))
  }
}
