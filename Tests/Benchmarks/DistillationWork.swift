internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor

/// One step of distillation at batch 128: the teacher's outputs (or their record), the student
/// forward and backward, SGD with momentum.
func timeDistillation(_ bench: Bench) throws {
  let pairs: [(name: String, teacher: NetworkTemplate, student: NetworkTemplate, widths: [Int])] = [
    ("simplenet64-to-16", .simplenet, .simplenet, [64, 16]),
    ("resnet20-to-8", .resnet20, .resnet8, [16, 16]),
  ]
  for pair in pairs {
    let (whole, recorded) = ("distill-step-\(pair.name)", "distill-step-recorded-\(pair.name)")
    guard bench.wants(whole, recorded) else { continue }
    let step = try DistillationStep(
      teacher: pair.teacher.make(width: pair.widths[0]),
      student: pair.student.make(width: pair.widths[1], seed: 1))
    try bench.time(whole) {
      _ = try step.run(teacher: step.teacherLogits())
    } check: {
      try step.check()
    }
    let logits = try step.teacherLogits()
    try bench.time(recorded) {
      _ = try step.run(teacher: logits)
    } check: {
      try step.check()
    }
  }
}

/// A teacher, a student, and one batch for them.
private struct DistillationStep {
  static let batchSize = 128

  let student: Graph
  let teacherPlan: InferencePlan
  let plan: TrainingPlan
  let loss: Loss
  let inputs: [String: Tensor]
  let labels: Tensor
  let output: String

  init(teacher: Graph, student: Graph) throws {
    self.student = student
    teacherPlan = try InferencePlan(teacher, batchSize: Self.batchSize)
    plan = try Self.trainingPlan(student)
    loss = try PluginCatalog().plugin("kl-divergence", hook: .loss)
      .makeLoss(["temperature": .double(4), "alpha": .double(0.3)])
    inputs = try randomBatch(for: teacher, batchSize: Self.batchSize)
    labels = randomLabels(Self.batchSize, seed: 0)
    output = teacher.outputs[0].name
  }

  private static func trainingPlan(_ student: Graph) throws -> TrainingPlan {
    try TrainingPlan(
      student, batchSize: batchSize, optimizer: .sgd(momentum: 0.9, weightDecay: 0))
  }

  func teacherLogits() throws -> Tensor {
    guard let logits = try teacherPlan.run(inputs)[output] else {
      throw WrongResult("the teacher has no output \"\(output)\"")
    }
    return logits
  }

  /// One step; returns the mean loss before the update.
  func run(
    teacher: Tensor, on other: TrainingPlan? = nil, learningRate: Float = 0.01
  ) throws -> Double {
    var mean = 0.0
    try (other ?? plan).step(inputs, learningRate: learningRate) { logits, gradient in
      let (sum, weight) = try loss.compute(
        student: logits, teacher: teacher, labels: labels, gradient: &gradient, step: 0,
        totalSteps: 1)
      mean = sum / weight
    }
    return mean
  }

  /// A small step along the gradient must lower the loss by what the gradient foretells: forward,
  /// backward and update then agree with each other.
  func check() throws {
    let teacher = try teacherLogits()
    let fresh = try Self.trainingPlan(student)
    let before = try run(teacher: teacher, on: fresh, learningRate: 0)
    var squaredNorm = 0.0
    for gradient in try fresh.gradients().values {
      for value in gradient.floats() { squaredNorm += Double(value) * Double(value) }
    }
    let expected = before * 0.001
    _ = try run(teacher: teacher, on: fresh, learningRate: Float(expected / squaredNorm))
    let drop = before - (try run(teacher: teacher, on: fresh, learningRate: 0))
    guard drop > 0.9 * expected, drop < 1.1 * expected else {
      throw WrongResult(
        "a step lowers the loss of \(before) by \(drop), by its gradient \(expected)")
    }
    guard try run(teacher: teacher, learningRate: 0).isFinite else {
      throw WrongResult("the loss is not finite after the timed steps")
    }
  }
}
