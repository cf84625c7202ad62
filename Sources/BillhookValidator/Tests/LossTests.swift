internal import BillhookPlugins
internal import BillhookSDK

/// Tests of losses and their gradients.
extension ConformanceTest {
  static let lossTests: [ConformanceTest] = [
    ConformanceTest(
      "gradient-check", .core, .loss, "BH-50",
      "the gradient is that of the loss, along 64 random directions"
    ) { subject in
      let plugin = try subject.plugin()
      let item = LossCase(12, 10)
      try check(subject, plugin, item) { batch, step, direction in
        batch.student = zip(batch.student, direction).map { $0 + Float(step) * $1 }
      } gradient: {
        $0["grad_student_out"]?.floats ?? []
      } count: {
        $0.student.count
      }
    },
    ConformanceTest(
      "feature-gradients", .core, .loss, "BH-53",
      "the gradients of features are those of the loss, along 64 random directions"
    ) { subject in
      let plugin = try subject.plugin()
      guard plugin.raw.needs & BH_NEED_FEATURES != 0 else {
        throw NotApplicable("the plugin uses no features")
      }
      let item = LossCase(12, 10)
      for index in item.features.indices {
        try check(subject, plugin, item) { batch, step, direction in
          batch.studentFeatures[index] = zip(batch.studentFeatures[index], direction)
            .map { $0 + Float(step) * $1 }
        } gradient: {
          $0["grad of feature \(index)"]?.floats ?? []
        } count: {
          $0.studentFeatures[index].count
        }
      }
    },
    ConformanceTest(
      "sum-additivity", .core, .loss, "BH-50",
      "the loss of a batch is the sum of the losses of its halves"
    ) { subject in
      let plugin = try subject.plugin()
      let item = LossCase(12, 10)
      let batch = item.batch(Numbers(seed: plugin.seed), plugin)
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      let whole = try item.compute(instance, batch, Surroundings())
      try applicable(whole)
      let halves = try [Array(0..<5), Array(5..<12)].map {
        try item.compute(instance, batch.rows($0), Surroundings())
      }
      for (name, total, parts) in [
        ("loss_sum_out", whole.lossSum, halves.map(\.lossSum)),
        ("weight_sum_out", whole.weightSum, halves.map(\.weightSum)),
      ] {
        let sum = parts.reduce(0, +)
        try subject.require(
          abs(total - sum) <= 1e-5 * max(abs(total), abs(sum), 1e-3),
          "\"\(name)\" is \(total) for 12 samples and \(parts[0]) + \(parts[1]) for the first 5 "
            + "and the other 7")
      }
    },
    ConformanceTest(
      "grad-scale-linear", .strict, .loss, "BH-50",
      "the gradient is proportional to grad_scale, the loss does not depend on it"
    ) { subject in
      let plugin = try subject.plugin()
      var item = LossCase(12, 10)
      let batch = item.batch(Numbers(seed: plugin.seed), plugin)
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      let one = try item.compute(instance, batch, Surroundings())
      try applicable(one)
      item.gradientScale *= 4
      let four = try item.compute(instance, batch, Surroundings())
      try subject.require(
        one.lossSum == four.lossSum,
        "the loss is \(one.lossSum), and \(four.lossSum) for a grad_scale of four times as much")
      let gradients = [one, four].map { $0["grad_student_out"]?.floats ?? [] }
      for (index, (small, large)) in zip(gradients[0], gradients[1]).enumerated() {
        try subject.require(
          abs(large - 4 * small) <= 1e-4 * max(abs(large), 1e-4),
          "gradient \(index) is \(small), and \(large) for a grad_scale of four times as much")
      }
    },
    ConformanceTest(
      "no-grad-mode", .core, .loss, "BH-52",
      "without BH_LOSS_WANT_GRAD the loss is the same and no gradient is written"
    ) { subject in
      let plugin = try subject.plugin()
      var item = LossCase(12, 10)
      let batch = item.batch(Numbers(seed: plugin.seed), plugin)
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      let with = try item.compute(instance, batch, Surroundings())
      try applicable(with)
      item.wantsGradient = false
      let without = try item.compute(instance, batch, Surroundings())
      try subject.require(
        !without.isFailure, "without a gradient it returned \(without.described)")
      try subject.require(
        abs(with.lossSum - without.lossSum) <= 1e-6 * max(abs(with.lossSum), 1),
        "the loss is \(with.lossSum) with a gradient and \(without.lossSum) without")
    },
    ConformanceTest(
      "null-labels", .core, .loss, "BH-53",
      "without labels, or without a teacher, there is a result or BH_E_INVALID_ARG"
    ) { subject in
      let plugin = try subject.plugin()
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      try applicable(try plugin.answer(instance))
      for (labels, teacher) in [(false, true), (true, false), (false, false)] {
        var item = LossCase(12, 10)
        item.hasLabels = labels
        item.hasTeacher = teacher
        let observation = try item.compute(
          instance, item.batch(Numbers(seed: plugin.seed), plugin), Surroundings())
        try subject.require(
          !observation.isFailure || observation.status == BH_E_INVALID_ARG,
          "with labels \(labels) and teacher \(teacher) it returned \(observation.described)")
        // Weights may be null too.
        item.hasWeights = false
        _ = try item.compute(
          instance, item.batch(Numbers(seed: plugin.seed), plugin), Surroundings())
      }
    },
    ConformanceTest(
      "ignored-labels", .core, .loss, "BH-51",
      "the label -100 reads no class; a batch of nothing else has a finite loss"
    ) { subject in
      let plugin = try subject.plugin()
      let item = LossCase(9, 10)
      var batch = item.batch(Numbers(seed: plugin.seed), plugin)
      batch.labels = [Int32](repeating: Int32(BH_LABEL_IGNORED), count: 9)
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      try applicable(try plugin.answer(instance))
      let observation = try item.compute(instance, batch, Surroundings())
      try subject.require(
        !observation.isFailure, "with ignored labels it returned \(observation.described)")
      let gradient = observation["grad_student_out"]?.floats ?? []
      try subject.require(
        observation.lossSum.isFinite && gradient.allSatisfy(\.isFinite),
        "with ignored labels the loss is \(observation.lossSum), or a gradient is not finite")
    },
    ConformanceTest(
      "large-logits", .core, .loss, "BH-50", "logits of ±10,000 give a finite loss and gradient"
    ) { subject in
      let plugin = try subject.plugin()
      var item = LossCase(12, 10)
      item.logitScale = 10_000
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      try applicable(try plugin.answer(instance))
      let observation = try item.compute(
        instance, item.batch(Numbers(seed: plugin.seed), plugin), Surroundings())
      try subject.require(
        !observation.isFailure, "with large logits it returned \(observation.described)")
      let gradient = observation["grad_student_out"]?.floats ?? []
      try subject.require(
        observation.lossSum.isFinite && gradient.allSatisfy(\.isFinite),
        "the loss is \(observation.lossSum), or a gradient is not finite")
    },
    ConformanceTest(
      "teacher-equals-student", .strict, .loss, "BH-50",
      "a student that answers as its teacher has a lower loss than one that does not"
    ) { subject in
      let plugin = try subject.plugin()
      var item = LossCase(12, 10)
      item.hasLabels = plugin.raw.needs & BH_NEED_LABELS != 0
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      var batch = item.batch(Numbers(seed: plugin.seed), plugin)
      let apart = try item.compute(instance, batch, Surroundings())
      guard apart.status == BH_OK else {
        throw NotApplicable("without labels it returned \(apart.described)")
      }
      batch.student = batch.teacher ?? batch.student
      batch.studentFeatures = batch.teacherFeatures
      let together = try item.compute(instance, batch, Surroundings())
      try subject.require(
        together.lossSum <= apart.lossSum,
        "the loss is \(together.lossSum) when both answer the same and \(apart.lossSum) when not")
    },
    ConformanceTest(
      "batch-permutation", .strict, .loss, "BH-50",
      "samples in another order have the same loss, and each its own gradient"
    ) { subject in
      let plugin = try subject.plugin()
      let item = LossCase(12, 10)
      let batch = item.batch(Numbers(seed: plugin.seed), plugin)
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      let order = (0..<12).map { $0 * 5 % 12 }
      let straight = try item.compute(instance, batch, Surroundings())
      try applicable(straight)
      let mixed = try item.compute(instance, batch.rows(order), Surroundings())
      try subject.require(
        abs(straight.lossSum - mixed.lossSum) <= 1e-5 * max(abs(straight.lossSum), 1e-3),
        "the loss is \(straight.lossSum), and \(mixed.lossSum) in another order")
      let one = straight["grad_student_out"]?.floats ?? []
      let other = mixed["grad_student_out"]?.floats ?? []
      for (place, sample) in order.enumerated() {
        for column in 0..<10 {
          let left = one[sample * 10 + column]
          let right = other[place * 10 + column]
          try subject.require(
            abs(left - right) <= 1e-4 * max(abs(left), 1e-3),
            "the gradient of sample \(sample), class \(column) is \(left), and \(right) in "
              + "another order")
        }
      }
    },
  ]

  private static func applicable(_ observation: Observation) throws {
    guard observation.status == BH_OK else {
      throw NotApplicable("an ordinary batch returned \(observation.described)")
    }
  }

  /// Central differences in double: the plugin's sum is a double, its inputs are float32, so the
  /// step is the cube root of float32's precision times the size of a logit.
  private static func check(
    _ subject: Subject, _ plugin: ProbePlugin, _ item: LossCase,
    move: (inout LossCase.Batch, Double, [Float]) -> Void,
    gradient: (Observation) -> [Float], count: (LossCase.Batch) -> Int
  ) throws {
    let instance = try ProbeInstance(plugin)
    defer { instance.end() }
    var item = item
    item.logitScale = 1
    let batch = item.batch(Numbers(seed: plugin.seed), plugin)
    let here = try item.compute(instance, batch, Surroundings())
    try applicable(here)
    let analytic = gradient(here).map(Double.init)
    let size = (analytic.reduce(0) { $0 + $1 * $1 }).squareRoot()
    let step = 1.0 / 64
    for number in 0..<64 {
      let direction = Numbers(seed: plugin.seed).signed(count(batch), stream: 900 + UInt64(number))
      var ahead = batch
      move(&ahead, step, direction)
      var behind = batch
      move(&behind, -step, direction)
      let difference =
        try item.compute(instance, ahead, Surroundings()).lossSum
        - item.compute(instance, behind, Surroundings()).lossSum
      let measured = difference / (2 * step) * item.gradientScale
      let claimed = zip(analytic, direction).reduce(0) { $0 + $1.0 * Double($1.1) }
      let length = (direction.reduce(0) { $0 + Double($1 * $1) }).squareRoot()
      // Relative to what a direction of this length can show at most.
      let bound = 2e-3 * max(size * length, 1e-4)
      try subject.require(
        abs(measured - claimed) <= bound,
        "along direction \(number) the loss changes by \(measured) and the gradient says "
          + "\(claimed)")
    }
  }
}
