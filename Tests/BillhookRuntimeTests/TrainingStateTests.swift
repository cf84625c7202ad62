import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct TrainingStateTests {
  private let graph = Graph.smallChain()

  private func plan(_ optimizer: Optimizer = .sgd()) throws -> TrainingPlan {
    try TrainingPlan(graph, batchSize: 8, optimizer: optimizer)
  }

  /// Steps number `steps` of a run that pulls every output towards 1.
  private func run(_ plan: TrainingPlan, _ steps: Range<Int>) throws {
    for step in steps {
      let images = Tensor.seeded([8, 1, 4, 4], seed: UInt64(step), "x")
      try plan.step(["x": images], learningRate: 0.05) { output, gradient in
        gradient = Tensor(output.floats().map { ($0 - 1) / 8 }, shape: output.shape)
      }
    }
  }

  @Test(arguments: [Optimizer.sgd(), .adam(), .adam(weightDecay: 0.01, decoupledDecay: true)])
  func `a restored plan goes on to the same bytes`(optimizer: Optimizer) throws {
    let whole = try plan(optimizer)
    try run(whole, 0..<6)
    let first = try plan(optimizer)
    try run(first, 0..<3)
    let second = try plan(optimizer)
    #expect(try second.restore(first.state()))
    try run(second, 3..<6)
    let (expected, found) = (try whole.state(), try second.state())
    #expect(found.steps == 6 && found.runs == expected.runs)
    #expect(Array(found.tensors.keys) == Array(expected.tensors.keys))
    for (name, tensor) in expected.tensors {
      #expect(found.tensors[name]!.floats() == tensor.floats(), "\(name)")
    }
  }

  @Test func `a state of another optimizer or network changes nothing`() throws {
    let adam = try plan(.adam())
    try run(adam, 0..<2)
    let sgd = try plan()
    let before = try sgd.state()
    #expect(try !sgd.restore(adam.state()))
    var wider = try plan().state()
    wider.tensors["parameter/fc.bias"] = Tensor([Float(1), 2])
    #expect(try !sgd.restore(wider))
    for (name, tensor) in before.tensors {
      #expect(try sgd.state().tensors[name]!.floats() == tensor.floats())
    }
  }
}
