import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import Testing

/// Samples of a symbolic first axis in ``expectCentralDifferences(_:_:_:)``.
let centralDifferenceBatch = 3

/// The loss, the sum of the outputs times a direction, and the gradients.
private func loss(
  _ graph: Graph, _ feeds: [String: Tensor]
) throws -> (value: Double, gradients: [String: Tensor]) {
  let plan = try TrainingPlan(graph, batchSize: centralDifferenceBatch, optimizer: .sgd())
  var sum = 0.0
  try plan.step(feeds, learningRate: 0) { output, gradient in
    gradient = .seeded(output.shape, seed: 6)
    sum = zip(output.floats(), gradient.floats()).reduce(0) { $0 + Double($1.0 * $1.1) }
  }
  return (sum, try plan.gradients())
}

/// Expects training to change just these weights, by gradients that agree with central differences.
func expectCentralDifferences(
  _ graph: Graph, _ weights: [String: Tensor], _ feeds: [String: Tensor]
) throws {
  let gradients = try loss(graph, feeds).gradients
  #expect(Set(gradients.keys) == Set(weights.keys))
  for (name, weight) in weights {
    let gradient = try #require(gradients[name]).floats()
    for element in 0..<min(weight.count, 6) {
      func shifted(_ step: Float) throws -> Double {
        var numbers = weight.floats()
        numbers[element] += step
        var changed = graph
        let isSet = changed.setConstant(name, Tensor(numbers, shape: weight.shape))
        #expect(isSet)
        return try loss(changed, feeds).value
      }
      let h: Float = 1.0 / 512
      let numeric = (try shifted(h) - shifted(-h)) / (2 * Double(h))
      #expect(
        abs(Double(gradient[element]) - numeric) <= 0.02 * max(0.1, abs(numeric)),
        "\(name)[\(element)]: \(gradient[element]) against \(numeric)")
    }
  }
}
