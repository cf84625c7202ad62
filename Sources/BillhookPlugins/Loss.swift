internal import BillhookKernels
internal import BillhookSDK
public import BillhookTensor

/// A tensor inside of both networks, `[N, ...]`, float32.
public struct Feature: Sendable {
  /// Of the student's tensor.
  public var name: String
  public var student: Tensor
  public var teacher: Tensor

  public init(name: String, student: Tensor, teacher: Tensor) {
    self.name = name
    self.student = student
    self.teacher = teacher
  }
}

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
  ///   - features: Pairs of inner tensors, for a loss that needs them.
  ///   - gradient: Shape of `student`; overwritten with d(mean loss)/d student, where the mean is
  ///     the sum of the losses over the sum of the weights.
  ///   - featureGradients: One a feature, each of the shape of its student's tensor; overwritten in
  ///     the same way.
  /// - Returns: The sum of the samples' losses and of their weights.
  /// - Throws: ``PluginError``.
  public func compute(
    student: Tensor, teacher: Tensor?, labels: Tensor?, sampleWeights: Tensor? = nil,
    features: [Feature] = [], gradient: inout Tensor, featureGradients: inout [Tensor], step: Int,
    totalSteps: Int
  ) throws(PluginError) -> (lossSum: Double, weightSum: Double) {
    try expect(gradient, .float32, student.shape, "gradient")
    let given = try checked(student, teacher, labels, sampleWeights, features)
    guard featureGradients.map(\.shape) == features.map(\.student.shape) else {
      throw .wrongTensor(
        plugin: descriptor.id, function: "compute", argument: "featureGradients",
        found: "\(featureGradients.map(\.shape))", expected: "\(features.map(\.student.shape))")
    }
    var pointers: [UnsafeMutableBufferPointer<Float>] = []
    // The arrays of the gradients stay where they are: each has one owner, this call.
    for index in featureGradients.indices {
      featureGradients[index].withUnsafeMutableElements(of: Float.self) { pointers.append($0) }
    }
    let tensors = BorrowedTensors(for: instance)
    let shape = student.shape
    return try gradient.withUnsafeMutableElements(of: Float.self) {
      (values) throws(PluginError) in
      try compute(
        student, teacher, labels, sampleWeights, features, tensors, step: step,
        totalSteps: totalSteps, givenWeight: given,
        gradients: [(values, shape)] + zip(pointers, features).map { ($0, $1.student.shape) })
    }
  }

  /// Loss and gradient of one batch without features.
  public func compute(
    student: Tensor, teacher: Tensor?, labels: Tensor?, sampleWeights: Tensor? = nil,
    gradient: inout Tensor, step: Int, totalSteps: Int
  ) throws(PluginError) -> (lossSum: Double, weightSum: Double) {
    var none: [Tensor] = []
    return try compute(
      student: student, teacher: teacher, labels: labels, sampleWeights: sampleWeights,
      gradient: &gradient, featureGradients: &none, step: step, totalSteps: totalSteps)
  }

  /// The loss of one batch alone: the plugin is told that nobody wants gradients.
  public func evaluate(
    student: Tensor, teacher: Tensor?, labels: Tensor?, sampleWeights: Tensor? = nil,
    features: [Feature] = [], step: Int, totalSteps: Int
  ) throws(PluginError) -> (lossSum: Double, weightSum: Double) {
    let given = try checked(student, teacher, labels, sampleWeights, features)
    return try compute(
      student, teacher, labels, sampleWeights, features, BorrowedTensors(for: instance), step: step,
      totalSteps: totalSteps, givenWeight: given, gradients: [])
  }

  /// Checks a batch; returns the sum of its weights.
  private func checked(
    _ student: Tensor, _ teacher: Tensor?, _ labels: Tensor?, _ sampleWeights: Tensor?,
    _ features: [Feature]
  ) throws(PluginError) -> Double {
    guard student.rank == 2, student.elementType == .float32 else {
      throw wrong("student", student, "float32 [samples, classes]")
    }
    let count = student.shape[0]
    if let teacher { try expect(teacher, .float32, student.shape, "teacher") }
    if let labels {
      try expect(labels, .int32, [count], "labels")
      try checkLabels(labels, classes: student.shape[1])
    }
    for feature in features {
      for (side, tensor) in [("student", feature.student), ("teacher", feature.teacher)] {
        guard tensor.elementType == .float32, tensor.rank > 0, tensor.shape[0] == count else {
          throw wrong(
            "feature \"\(feature.name)\" of the \(side)", tensor, "float32 [\(count), ...]")
        }
      }
    }
    guard let sampleWeights else { return Double(count) }
    try expect(sampleWeights, .float32, [count], "sampleWeights")
    return sampleWeights.elements(of: Float.self).reduce(0) { $0 + Double($1) }
  }

  /// - Parameter gradients: The logits' and the features', to be written; none when only the loss
  ///   is wanted.
  private func compute(
    _ student: Tensor, _ teacher: Tensor?, _ labels: Tensor?, _ sampleWeights: Tensor?,
    _ features: [Feature], _ tensors: BorrowedTensors, step: Int, totalSteps: Int,
    givenWeight: Double, gradients: [(values: UnsafeMutableBufferPointer<Float>, shape: [Int])]
  ) throws(PluginError) -> (lossSum: Double, weightSum: Double) {
    var io = bh_loss_io()
    io.struct_size = UInt32(MemoryLayout<bh_loss_io>.size)
    io.flags = gradients.isEmpty ? 0 : BH_LOSS_WANT_GRAD
    io.student = tensors.input(student)
    io.teacher = tensors.input(teacher)
    io.labels = tensors.input(labels)
    io.sample_weight = tensors.input(sampleWeights)
    io.grad_scale = givenWeight > 0 ? 1 / givenWeight : 0
    io.step = UInt64(max(step, 0))
    io.total_steps = UInt64(max(totalSteps, 0))
    let views = gradients.map { tensors.view($0.values.baseAddress, .float32, shape: $0.shape) }
    io.grad_student_out = views.first
    io.features = tensors.features(features, gradients: views.dropFirst())
    io.n_features = UInt64(features.count)
    // A plugin that leaves part of a gradient unwritten does so in its first step already; to
    // look at each step would cost as much memory traffic as the loss itself.
    let isFirst = !isChecked && !gradients.isEmpty
    if isFirst { for gradient in gradients { gradient.values.update(repeating: .nan) } }
    var lossSum = Double.nan
    var weightSum = Double.nan
    try withExtendedLifetime(tensors) { () throws(PluginError) in
      _ = try instance.context().run("compute") { call in
        withUnsafeMutablePointer(to: &lossSum) { loss in
          withUnsafeMutablePointer(to: &weightSum) { weight in
            io.loss_sum_out = loss
            io.weight_sum_out = weight
            return function(instance.pointer, call, &io)
          }
        }
      }
    }
    guard lossSum.isFinite else {
      throw wrongResult("the loss", "\(lossSum)", "written and finite")
    }
    guard weightSum.isFinite, weightSum >= 0, weightSum <= givenWeight * (1 + 1e-6) else {
      throw wrongResult("the sum of the weights", plain(weightSum), "0 to \(plain(givenWeight))")
    }
    if isFirst {
      for (index, gradient) in gradients.enumerated() {
        try checkFinite(index, gradient.values, features)
      }
      isChecked = true
    }
    // Samples that do not count were not known when the factor was given.
    if weightSum != givenWeight, weightSum > 0 {
      let factor = Float(givenWeight / weightSum)
      for gradient in gradients {
        for index in gradient.values.indices { gradient.values[index] *= factor }
      }
    }
    return (lossSum, weightSum)
  }

  private func checkFinite(
    _ number: Int, _ values: UnsafeMutableBufferPointer<Float>, _ features: [Feature]
  ) throws(PluginError) {
    guard bh_count_nonfinite_f32(values.baseAddress, Int64(values.count)) != 0,
      let index = firstNotFinite(UnsafeBufferPointer(values))
    else { return }
    let name =
      number == 0 ? "gradient" : "gradient of feature \"\(features[number - 1].name)\", value"
    throw wrongResult("\(name) \(index)", "\(values[index])", "written and finite")
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

extension BorrowedTensors {
  /// Features in C's form; nil for none.
  ///
  /// - Parameter gradients: One a feature, or none.
  fileprivate func features(
    _ features: [Feature], gradients: ArraySlice<UnsafePointer<bh_tensor>>
  ) -> UnsafePointer<UnsafePointer<bh_feature>?>? {
    guard !features.isEmpty else { return nil }
    let list = memory.allocate(MemoryLayout<UInt>.size * features.count)
      .bindMemory(to: UnsafePointer<bh_feature>?.self, capacity: features.count)
    for (index, feature) in features.enumerated() {
      let gradient = gradients.dropFirst(index).first
      let entry = memory.place(
        bh_feature(
          name: memory.text(feature.name), student: input(feature.student),
          teacher: input(feature.teacher), grad_student_out: gradient))
      (list + index).initialize(to: UnsafePointer(entry))
    }
    return UnsafePointer(list)
  }
}
