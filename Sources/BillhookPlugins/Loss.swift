internal import BillhookKernels
internal import BillhookSDK
public import BillhookTensor

/// An instance of a loss plugin. Use it on one thread at a time.
public final class Loss {
  typealias Compute =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_loss_io>?
    ) -> bh_status

  public let descriptor: PluginDescriptor
  private let instance: PluginInstance
  private let function: Compute
  private var isChecked = false

  init(instance: PluginInstance, compute: @escaping Compute) {
    descriptor = instance.plugin.descriptor
    self.instance = instance
    function = compute
  }

  /// Loss and gradient of one batch.
  ///
  /// - Parameters:
  ///   - student: Logits `[N, C]`, float32.
  ///   - teacher: Logits of the same shape; nil when there is no teacher.
  ///   - labels: `[N]`, int32, -100 = ignore; nil for unlabelled data.
  ///   - sampleWeights: `[N]`, float32, at least 0; nil for 1 each.
  ///   - gradient: Shape of `student`; overwritten with d(mean loss)/d student, where the mean is
  ///     the sum of the losses over the sum of the weights.
  /// - Returns: The sum of the samples' losses and of their weights.
  /// - Throws: ``PluginError``.
  public func compute(
    student: Tensor, teacher: Tensor?, labels: Tensor?, sampleWeights: Tensor? = nil,
    gradient: inout Tensor, step: Int, totalSteps: Int
  ) throws(PluginError) -> (lossSum: Double, weightSum: Double) {
    guard student.rank == 2, student.elementType == .float32 else {
      throw wrong("student", student, "float32 [samples, classes]")
    }
    let count = student.shape[0]
    try expect(gradient, .float32, student.shape, "gradient")
    if let teacher { try expect(teacher, .float32, student.shape, "teacher") }
    if let labels {
      try expect(labels, .int32, [count], "labels")
      try checkLabels(labels, classes: student.shape[1])
    }
    var givenWeight = Double(count)
    if let sampleWeights {
      try expect(sampleWeights, .float32, [count], "sampleWeights")
      givenWeight = sampleWeights.elements(of: Float.self).reduce(0) { $0 + Double($1) }
    }

    let tensors = BorrowedTensors()
    var io = bh_loss_io()
    io.struct_size = UInt32(MemoryLayout<bh_loss_io>.size)
    io.student = tensors.input(student)
    io.teacher = tensors.input(teacher)
    io.labels = tensors.input(labels)
    io.sample_weight = tensors.input(sampleWeights)
    io.grad_scale = givenWeight > 0 ? 1 / givenWeight : 0
    io.step = UInt64(max(step, 0))
    io.total_steps = UInt64(max(totalSteps, 0))
    return try gradient.withUnsafeMutableElements(of: Float.self) {
      (values) throws(PluginError) in
      try compute(io, values, shape: student.shape, tensors, givenWeight: givenWeight)
    }
  }

  private func compute(
    _ given: bh_loss_io, _ gradient: UnsafeMutableBufferPointer<Float>, shape: [Int],
    _ tensors: BorrowedTensors, givenWeight: Double
  ) throws(PluginError) -> (lossSum: Double, weightSum: Double) {
    var io = given
    var lossSum = Double.nan
    var weightSum = Double.nan
    io.grad_student_out = tensors.view(gradient.baseAddress, .float32, shape: shape)
    // A plugin that leaves part of the gradient unwritten does so in its first step already; to
    // look at each step would cost as much memory traffic as the loss itself.
    if !isChecked { gradient.update(repeating: .nan) }
    try instance.context(nil).run("compute") { call in
      withUnsafeMutablePointer(to: &lossSum) { loss in
        withUnsafeMutablePointer(to: &weightSum) { weight in
          io.loss_sum_out = loss
          io.weight_sum_out = weight
          return function(instance.pointer, call, &io)
        }
      }
    }
    guard lossSum.isFinite else {
      throw wrongResult("the loss", "\(lossSum)", "written and finite")
    }
    guard weightSum.isFinite, weightSum >= 0, weightSum <= givenWeight * (1 + 1e-6) else {
      throw wrongResult("the sum of the weights", plain(weightSum), "0 to \(plain(givenWeight))")
    }
    if !isChecked {
      if bh_count_nonfinite_f32(gradient.baseAddress, Int64(gradient.count)) != 0,
        let index = firstNotFinite(UnsafeBufferPointer(gradient))
      {
        throw wrongResult("gradient \(index)", "\(gradient[index])", "written and finite")
      }
      isChecked = true
    }
    // Samples that do not count were not known when the factor was given.
    if weightSum != givenWeight, weightSum > 0 {
      let factor = Float(givenWeight / weightSum)
      for index in gradient.indices { gradient[index] *= factor }
    }
    return (lossSum, weightSum)
  }

  private func checkLabels(_ labels: Tensor, classes: Int) throws(PluginError) {
    try labels.withUnsafeElements(of: Int32.self) { (values) throws(PluginError) in
      for (index, label) in values.enumerated() {
        let isLabel = label >= 0 && Int(label) < classes
        guard isLabel || label == BillhookSDK.BH_LABEL_IGNORED else {
          throw .wrongTensor(
            plugin: descriptor.id, function: "compute", argument: "label \(index)",
            found: "\(label)",
            expected: "0 to \(classes - 1), or \(BillhookSDK.BH_LABEL_IGNORED) to leave it out")
        }
      }
    }
  }

  private func expect(
    _ tensor: Tensor, _ type: ElementType, _ shape: [Int], _ name: String
  ) throws(PluginError) {
    guard tensor.elementType == type, tensor.shape == shape else {
      throw wrong(name, tensor, "\(type) \(shape)")
    }
  }

  private func wrong(_ argument: String, _ tensor: Tensor, _ expected: String) -> PluginError {
    .wrongTensor(
      plugin: descriptor.id, function: "compute", argument: argument,
      found: "\(tensor.elementType) \(tensor.shape)", expected: expected)
  }

  private func wrongResult(_ result: String, _ found: String, _ expected: String) -> PluginError {
    .wrongResult(
      plugin: descriptor.id, function: "compute", layer: nil, result: result, found: found,
      expected: expected)
  }
}
