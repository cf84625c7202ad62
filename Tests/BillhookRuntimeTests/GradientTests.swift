import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct GradientTests {
  /// Each graph behind a trained shift `p` of its input, so that the gradient must pass through the
  /// operator, beside the operator's own parameters.
  static let subjects =
    (OperatorGraph.layers + OperatorGraph.others + OperatorGraph.fused + OperatorGraph.functions
    + OperatorGraph.rows)
    .filter { !$0.description.hasPrefix("Dropout") }
    .map { subject in
      var graph = subject.graph
      for (index, input) in graph.inputs.enumerated() {
        let name = "p\(index)"
        let axes = input.shape!.dropFirst().map { $0.size! }
        graph.initializers[name] = Initializer(.seeded([1] + axes, seed: 20, name))
        for node in graph.nodes.indices {
          graph.nodes[node].inputs = graph.nodes[node].inputs.map {
            $0 == input.name ? "\($0).shifted" : $0
          }
        }
        // A shift needs a trained value beside it to be trained itself.
        graph.nodes.insert(
          Node(
            "BatchNormalization", name: "norm\(index)",
            inputs: [input.name, "one\(index)", "zero\(index)", "zero\(index)", "one\(index)"],
            outputs: ["\(input.name).normal"]), at: 0)
        graph.nodes.insert(
          Node(
            "Add", name: "shift\(index)", inputs: ["\(input.name).normal", name],
            outputs: ["\(input.name).shifted"]),
          at: 1)
        let channels = axes.first ?? 1
        graph.initializers["one\(index)"] = Initializer(
          Tensor([Float](repeating: 1, count: channels)))
        graph.initializers["zero\(index)"] = Initializer(Tensor(zeros: [channels]))
      }
      return OperatorGraph(subject.description, graph)
    }

  @Test(arguments: subjects)
  func `the gradient agrees with central differences`(subject: OperatorGraph) throws {
    let feeds = try subject.feeds(seed: 5)
    /// Σ y·r for fixed random r, summed in double.
    func loss(_ graph: Graph) throws -> (
      value: Double, gradients: [String: Tensor], names: [String]
    ) {
      let plan = try TrainingPlan(graph, batchSize: OperatorGraph.batch, optimizer: .sgd())
      var sum = 0.0
      try plan.step(feeds, learningRate: 0) { output, gradient in
        let direction = Tensor.seeded(output.shape, seed: 6)
        sum = zip(output.floats(), direction.floats()).reduce(0) {
          $0 + Double($1.0) * Double($1.1)
        }
        gradient = direction
      }
      return (sum, try plan.gradients(), plan.parameterNames)
    }
    let (_, gradients, names) = try loss(subject.graph)
    #expect(!names.isEmpty)
    for name in names {
      let gradient = gradients[name]!.floats()
      var random = CounterRandom(seed: 7, stream: name)
      for _ in 0..<4 {
        let element = random.integer(below: gradient.count)
        func shifted(_ step: Float) throws -> Double {
          var graph = subject.graph
          var values = graph.constant(name)!.floats()
          let shape = graph.constant(name)!.shape
          values[element] += step
          graph.setConstant(name, Tensor(values, shape: shape))
          return try loss(graph).value
        }
        let h: Float = 1.0 / 2048
        let numeric = (try shifted(h) - shifted(-h)) / (2 * Double(h))
        // Rounding of a float32 forward pass over h; small, so that few steps cross the kink of a maximum.
        let tolerance = 0.03 * max(1, abs(numeric))
        #expect(
          abs(Double(gradient[element]) - numeric) <= tolerance,
          "\(name)[\(element)]: \(gradient[element]) against \(numeric)")
      }
    }
  }
}
