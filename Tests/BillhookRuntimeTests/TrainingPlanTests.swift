import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct TrainingPlanTests {
  /// Pulls every output towards 1: gradient `y − 1`.
  private func train(
    _ graph: Graph, steps: Int, optimizer: Optimizer = .sgd(), batch: Int = 16,
    keepingZeros: Set<String> = [], rate: Float = 0.01, seed: UInt64 = 0
  ) throws -> (graph: Graph, losses: [Double]) {
    let plan = try TrainingPlan(
      graph, batchSize: batch, optimizer: optimizer, keepingZeros: keepingZeros, seed: seed)
    var losses: [Double] = []
    for step in 0..<steps {
      var feeds: [String: Tensor] = [:]
      for input in graph.inputs {
        feeds[input.name] = .seeded(
          input.shape!.map { $0.size ?? batch }, seed: UInt64(step), input.name)
      }
      try plan.step(feeds, learningRate: rate) { output, gradient in
        let errors = output.floats().map { $0 - 1 }
        losses.append(errors.reduce(0.0) { $0 + Double($1 * $1) } / Double(errors.count))
        gradient = Tensor(errors.map { $0 / Float(batch) }, shape: output.shape)
      }
    }
    var result = graph
    try plan.store(into: &result)
    return (result, losses)
  }

  @Test(arguments: [
    Optimizer.sgd(), .sgd(momentum: 0, weightDecay: 0.001), .adam(),
    .adam(weightDecay: 0.01, decoupledDecay: true),
  ])
  func `each optimizer brings the loss down`(optimizer: Optimizer) throws {
    let losses = try train(
      OperatorGraph.fused[0].graph, steps: 40, optimizer: optimizer
    ).losses
    #expect(losses.last! < losses.first! / 2)
  }

  @Test func `one step of plain gradient descent is the gradient times the rate`() throws {
    // y = x · w with x = [1, 2], w = [3]; pulling y to 1: dw = Σ x (y − 1) / 2 = (1·2 + 2·5) / 2.
    let graph = Graph.testing("MatMul", ["N", 1], ["w": Tensor([Float(3)], shape: [1, 1])])
    let plan = try TrainingPlan(graph, batchSize: 2, optimizer: .sgd(momentum: 0))
    try plan.step(["x": Tensor([Float(1), 2], shape: [2, 1])], learningRate: 0.5) {
      output, gradient in
      gradient = Tensor(output.floats().map { ($0 - 1) / 2 }, shape: output.shape)
    }
    var trained = graph
    try plan.store(into: &trained)
    #expect(trained.constant("w")!.floats() == [0])
  }

  @Test(arguments: [1, 2, 3, 4, 8])
  func `trained weights have the same bytes for any number of threads`(threads: Int) throws {
    let graph = try NetworkTemplate.cnn.make(width: 8, channels: 1, classes: 10, image: 28, seed: 3)
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let expected = try train(graph, steps: 3, batch: 32).graph
    Threads.count = threads
    let found = try train(graph, steps: 3, batch: 32).graph
    for name in graph.initializers.keys {
      #expect(found.constant(name)! == expected.constant(name)!, "\(name)")
    }
  }

  @Test func `zeros that are to be kept stay exactly zero`() throws {
    var graph = OperatorGraph.fused[1].graph
    var weight = graph.constant("w")!.floats()
    for index in stride(from: 0, to: weight.count, by: 3) { weight[index] = 0 }
    graph.setConstant("w", Tensor(weight, shape: [8, 8, 3, 3]))
    let trained = try train(graph, steps: 5, keepingZeros: ["w"]).graph.constant("w")!.floats()
    for index in weight.indices { #expect((trained[index] == 0) == (weight[index] == 0)) }
  }

  @Test func `statistics follow the plain mean when asked to`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 1]],
      [
        Node(
          "BatchNormalization", name: "n", inputs: ["x", "one", "zero", "mean", "variance"],
          outputs: ["y"])
      ],
      [
        "one": Tensor([Float(1)]), "zero": Tensor([Float(0)]), "mean": Tensor([Float(9)]),
        "variance": Tensor([Float(9)]),
      ])
    let plan = try TrainingPlan(graph, batchSize: 2, optimizer: .sgd())
    // Batches {1, 3} and {2, 8}: means 2 and 5, variances of the population 1 and 9.
    try plan.updateStatistics(["x": Tensor([Float(1), 3], shape: [2, 1])], momentum: 0)
    try plan.updateStatistics(["x": Tensor([Float(2), 8], shape: [2, 1])], momentum: 0.5)
    var result = graph
    try plan.store(into: &result)
    #expect(result.constant("mean")!.floats() == [3.5])
    #expect(result.constant("variance")!.floats() == [5])
    #expect(result.constant("one")!.floats() == [1])
  }

  @Test func `dropout draws new masks, the same ones for the same seed`() throws {
    // The node behind the output may not take its memory before the loss has seen it.
    let graph = Graph.testing(
      inputs: ["x": ["N", 400]],
      [
        Node(
          "Gemm", name: "g", inputs: ["x", "g"], outputs: ["v"], attributes: ["transB": .int(1)]),
        Node("Dropout", name: "drop", inputs: ["v", "ratio"], outputs: ["y"]),
        Node("Mul", name: "m", inputs: ["w", "v"], outputs: ["t"]),
      ],
      [
        "w": Tensor([Float(1)]), "ratio": Tensor(scalar: Float(0.25)),
        "g": .seeded([100, 400], seed: 1),
      ])
    func masks(seed: UInt64) throws -> [[Bool]] {
      let plan = try TrainingPlan(graph, batchSize: 2, optimizer: .sgd(), seed: seed)
      var masks: [[Bool]] = []
      for _ in 0..<2 {
        try plan.step(["x": .seeded([2, 400], seed: 4)], learningRate: 0) { output, _ in
          masks.append(output.floats().map { $0 == 0 })
        }
      }
      return masks
    }
    let first = try masks(seed: 1)
    #expect(first[0] != first[1])
    #expect(try masks(seed: 1) == first)
    #expect(try masks(seed: 2) != first)
    let dropped = first[0].filter { $0 }.count
    // 200 draws at 1/4: 50 expected, 6.1 the standard deviation; five of them either way.
    #expect((20...80).contains(dropped))
  }
}
