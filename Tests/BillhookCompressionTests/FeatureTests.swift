import BillhookGraph
import BillhookPlugins
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import Testing

@testable import BillhookCompression

@Suite struct FeatureTests {
  private let pairs = [FeatureTeacher.Pair(student: "relu1.out", teacher: "relu1.out")]

  private func settings(epochs: Int) -> TrainSettings {
    TrainSettings(
      epochs: epochs, batchSize: 16, optimizer: .sgd(momentum: 0.9, weightDecay: 0),
      schedule: LearningRateSchedule(base: 0.02, shape: .constant))
  }

  private func features(_ graph: Graph, _ data: Dataset) throws -> [Float] {
    var result: [Float] = []
    try BatchRunner(graph, batchSize: 16, observed: ["relu1.out"]).run(
      data, Array(0..<data.count), observe: { _, value in result += value.floats() },
      body: { _, _ in })
    return result
  }

  @Test func `a loss on features pulls the student's towards the teacher's`() throws {
    let teacher = Graph.smallResidual(seed: 1)
    let student = Graph.smallResidual(seed: 2)
    let data = try smallImages(64)
    func distance(_ graph: Graph) throws -> Float {
      zip(try features(graph, data), try features(teacher, data)).reduce(0) {
        $0 + ($1.0 - $1.1) * ($1.0 - $1.1)
      }
    }
    let outcome = try train(
      student, loss: contract("features", .loss).makeLoss(), settings: settings(epochs: 12),
      data: data, features: FeatureTeacher(teacher, pairs: pairs))
    #expect(try distance(outcome.graph) < 0.3 * distance(student))
    #expect(outcome.record.features == ["relu1.out=relu1.out"])
    // Behind the feature nothing has a gradient.
    for name in ["conv2.weight", "fc.weight"] {
      #expect(outcome.graph.constant(name)!.floats() == student.constant(name)!.floats())
    }
  }

  @Test func `a teacher that is the student has no gradient`() throws {
    let graph = Graph.smallResidual()
    let outcome = try train(
      graph, loss: contract("features", .loss).makeLoss(), settings: settings(epochs: 1),
      data: try smallImages(32), features: FeatureTeacher(graph, pairs: pairs))
    let before = graph.constant("conv1.weight")!.floats()
    let after = outcome.graph.constant("conv1.weight")!.floats()
    #expect(zip(before, after).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(outcome.record.epochs[0].meanLoss < 1e-8)
  }

  @Test func `a feature that does not exist is named`() throws {
    let graph = Graph.smallResidual()
    var found: String?
    do {
      _ = try train(
        graph, loss: contract("features", .loss).makeLoss(), settings: settings(epochs: 1),
        data: try smallImages(32),
        features: FeatureTeacher(graph, pairs: [.init(student: "nowhere", teacher: "relu1.out")]))
    } catch { found = "\(error)" }
    #expect(found == "The network has no value \"nowhere\" that could be observed.")
  }

  @Test func `a loss is the same when no gradient is wanted`() throws {
    let student = Tensor.seeded([5, 3], seed: 1, "s")
    let teacher = Tensor.seeded([5, 3], seed: 2, "t")
    var gradient = Tensor(zeros: [5, 3])
    for loss in [try loss(["temperature": .double(2)]), try contract("features", .loss).makeLoss()]
    {
      let with = try loss.compute(
        student: student, teacher: teacher, labels: nil, gradient: &gradient, step: 0,
        totalSteps: 1)
      let without = try loss.evaluate(
        student: student, teacher: teacher, labels: nil, step: 0, totalSteps: 1)
      #expect(with.lossSum == without.lossSum && with.weightSum == without.weightSum)
    }
  }
}
