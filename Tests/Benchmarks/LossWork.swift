internal import BillhookKernels
internal import BillhookPlugins
internal import BillhookTensor

/// The distillation loss at temperature 4 and its gradient, through the plugin.
func timeLoss(_ bench: Bench) throws {
  for (batch, classes) in [(256, 10), (512, 32000)] {
    let work = "kl-loss-and-gradient-\(batch)x\(classes)"
    guard bench.wants(work) else { continue }
    let loss = try PluginCatalog().plugin("kl-divergence", hook: .loss)
      .makeLoss(["temperature": .double(4), "alpha": .double(0)])
    let student = normalTensor([batch, classes], seed: 0)
    let teacher = normalTensor([batch, classes], seed: 1)
    var gradient = Tensor(zeros: student.shape)
    var sum = 0.0
    try bench.time(work) {
      sum = try loss.compute(
        student: student, teacher: teacher, labels: nil, gradient: &gradient, step: 0,
        totalSteps: 1
      ).lossSum
    } check: {
      let (expected, expectedGradient) = reference(student, teacher)
      guard abs(sum - expected) <= 1e-5 * expected else {
        throw WrongResult("the loss is \(sum), by the scalar reference \(expected)")
      }
      let distance = relativeDistance(gradient, expectedGradient)
      guard distance <= 1e-4 else {
        throw WrongResult("the gradient is \(distance) away from the scalar reference")
      }
    }
  }
}

/// Sum of the losses and gradient of their mean, in double.
private func reference(_ student: Tensor, _ teacher: Tensor) -> (loss: Double, gradient: Tensor) {
  var gradient = Tensor(zeros: student.shape)
  var result = bh_distillation_result()
  let rows = student.shape[0]
  gradient.withUnsafeMutableElements(of: Float.self) { gradient in
    student.withUnsafeElements(of: Float.self) { student in
      teacher.withUnsafeElements(of: Float.self) { teacher in
        var task = bh_distillation()
        task.student = student.baseAddress
        task.teacher = teacher.baseAddress
        task.rows = Int64(rows)
        task.classes = Int64(student.count / rows)
        task.temperature = 4
        task.scale = 1 / Float(rows)
        task.gradient = gradient.baseAddress
        _ = bh_distillation_loss_f32_scalar(&task, &result)
      }
    }
  }
  return (result.loss * Double(rows), gradient)
}
