internal import BillhookPlugins
internal import BillhookSDK

/// One batch for a loss.
struct LossCase: Sendable {
  var samples: Int
  var classes: Int
  var hasTeacher = true
  var hasLabels = true
  var hasWeights = true
  /// Every third label does not count.
  var ignoresSome = true
  var wantsGradient = true
  var gradientScale = 0.25
  /// Pairs of tensors inside of the networks, when the plugin asks for some.
  var features = [[3, 4], [10]]
  /// Multiplies logits.
  var logitScale: Float = 3

  init(_ samples: Int, _ classes: Int) {
    self.samples = samples
    self.classes = classes
  }

  var label: String { "the loss of [\(samples), \(classes)]" }

  static let ordinary = [LossCase(12, 10)]
  static let odd = [
    LossCase(0, 5), LossCase(1, 1), LossCase(1, 7), LossCase(7, 1), LossCase(13, 11),
    LossCase(3, 1009),
  ]

  func exercise(_ numbers: Numbers) -> Exercise {
    Exercise(label: label, kind: 0) { instance, surroundings in
      try compute(instance, batch(numbers, instance.plugin), surroundings)
    }
  }

  /// The numbers of a batch, for tests that change some of them.
  struct Batch: Sendable {
    var samples: Int
    var student: [Float]
    var teacher: [Float]?
    var labels: [Int32]?
    var weights: [Float]?
    var featureShapes: [[Int]]
    var studentFeatures: [[Float]]
    var teacherFeatures: [[Float]]

    /// Some of the samples, in the given order.
    func rows(_ chosen: [Int]) -> Batch {
      func pick<T>(_ values: [T]) -> [T] {
        guard samples > 0 else { return values }
        let one = values.count / samples
        return chosen.flatMap { values[$0 * one..<($0 + 1) * one] }
      }
      var copy = self
      copy.samples = chosen.count
      copy.student = pick(student)
      copy.teacher = teacher.map(pick)
      copy.labels = labels.map(pick)
      copy.weights = weights.map(pick)
      copy.studentFeatures = studentFeatures.map(pick)
      copy.teacherFeatures = teacherFeatures.map(pick)
      return copy
    }
  }

  func batch(_ numbers: Numbers, _ plugin: ProbePlugin) -> Batch {
    let count = samples * classes
    let wantsFeatures = plugin.raw.needs & BH_NEED_FEATURES != 0
    let shapes = wantsFeatures ? features : []
    func feature(_ stream: UInt64) -> [[Float]] {
      shapes.enumerated().map { index, shape in
        numbers.signed(samples * shape.reduce(1, *), stream: stream + UInt64(index))
      }
    }
    return Batch(
      samples: samples,
      student: numbers.signed(count, stream: 21).map { $0 * logitScale },
      teacher: hasTeacher ? numbers.signed(count, stream: 22).map { $0 * logitScale } : nil,
      labels: hasLabels
        ? numbers.indices(samples, below: classes, stream: 23).enumerated().map {
          ignoresSome && $0 % 3 == 2 ? Int32(BH_LABEL_IGNORED) : $1
        } : nil,
      weights: hasWeights ? numbers.positive(samples, stream: 24) : nil, featureShapes: shapes,
      studentFeatures: feature(30), teacherFeatures: feature(40))
  }

  /// Outputs: "loss_sum_out", "weight_sum_out", "grad_student_out" and, for each feature, "grad of
  /// feature i".
  func compute(
    _ instance: ProbeInstance, _ batch: Batch, _ surroundings: Surroundings
  ) throws -> Observation {
    let arena = ProbeArena(surroundings)
    let shape = [batch.samples, classes]
    var io = bh_loss_io()
    io.flags = wantsGradient ? BH_LOSS_WANT_GRAD : 0
    io.student = try arena.input(batch.student, shape: shape)
    io.teacher = try arena.input(batch.teacher, shape: shape)
    if let labels = batch.labels {
      io.labels = try arena.input(labels, shape: [batch.samples], code: BH_CODE_INT)
    }
    io.sample_weight = try arena.input(batch.weights, shape: [batch.samples])
    io.grad_scale = gradientScale
    io.step = 3
    io.total_steps = 10
    io.loss_sum_out = try arena.output("loss_sum_out", Double.self)
    io.weight_sum_out = try arena.output("weight_sum_out", Double.self)
    if wantsGradient { io.grad_student_out = try arena.output("grad_student_out", shape: shape) }
    var features: [UnsafePointer<bh_feature>?] = []
    for (index, one) in batch.featureShapes.enumerated() {
      let shape = [batch.samples] + one
      var feature = bh_feature()
      feature.name = try arena.text("feature \(index)")
      feature.student = try arena.input(batch.studentFeatures[index], shape: shape)
      feature.teacher = try arena.input(batch.teacherFeatures[index], shape: shape)
      if wantsGradient {
        feature.grad_student_out = try arena.output("grad of feature \(index)", shape: shape)
      }
      features.append(try arena.constant(feature))
    }
    if !features.isEmpty {
      io.features = try features.withUnsafeBytes {
        try arena.array($0.bindMemory(to: UInt.self).map { $0 })
      }.withMemoryRebound(to: UnsafePointer<bh_feature>?.self, capacity: features.count) { $0 }
      io.n_features = UInt64(features.count)
    }
    if surroundings.isNewer { io.next = arena.unknownNext() }
    let structure = try arena.structure(io)
    arena.seal()
    guard let function = instance.plugin.table(bh_loss()).compute else {
      throw NotApplicable("there is no \"compute\"")
    }
    var observation = instance.call(surroundings) { call in
      function(instance.pointer, call, structure)
    }
    observation.outputs = arena.results()
    return observation
  }
}

extension Observation {
  var lossSum: Double { self["loss_sum_out"]?.values(Double.self).first ?? .nan }
  var weightSum: Double { self["weight_sum_out"]?.values(Double.self).first ?? .nan }
}
