internal import BillhookPlugins
internal import BillhookSDK

/// Tests of losses and their gradients.
extension ConformanceTest {
  static let lossTests: [ConformanceTest] = [
    ConformanceTest(
      "gradient-check", .core, .loss, "BH-50",
      "the gradient is that of the loss, along 64 random directions"
    ) { subject in
      try check(subject) { batch, step, direction in
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
      for index in LossCase(12, 10).features.indices {
        try check(subject) { batch, step, direction in
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
      let loss = try LossProbe(subject)
      defer { loss.end() }
      let whole = try loss.ordinaryAnswer()
      let halves = try [Array(0..<5), Array(5..<12)].map {
        try loss.answer(loss.batch.rows($0))
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
      var loss = try LossProbe(subject)
      defer { loss.end() }
      let one = try loss.ordinaryAnswer()
      loss.item.gradientScale *= 4
      let four = try loss.answer()
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
      var loss = try LossProbe(subject)
      defer { loss.end() }
      let with = try loss.ordinaryAnswer()
      loss.item.wantsGradient = false
      let without = try loss.answer()
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
      var loss = try LossProbe(subject)
      defer { loss.end() }
      _ = try loss.ordinaryAnswer()
      for (labels, teacher) in [(false, true), (true, false), (false, false)] {
        loss.item.hasLabels = labels
        loss.item.hasTeacher = teacher
        loss.item.hasWeights = true
        let observation = try loss.answer(loss.newBatch())
        try subject.require(
          !observation.isFailure || observation.status == BH_E_INVALID_ARG,
          "with labels \(labels) and teacher \(teacher) it returned \(observation.described)")
        // Weights may be null too.
        loss.item.hasWeights = false
        _ = try loss.answer(loss.newBatch())
      }
    },
    ConformanceTest(
      "ignored-labels", .core, .loss, "BH-51",
      "the label -100 reads no class; a batch of nothing else has a finite loss"
    ) { subject in
      var loss = try LossProbe(subject)
      defer { loss.end() }
      _ = try loss.ordinaryAnswer()
      loss.batch.labels = loss.batch.labels?.map { _ in Int32(BH_LABEL_IGNORED) }
      let observation = try loss.answer()
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
      var loss = try LossProbe(subject)
      defer { loss.end() }
      _ = try loss.ordinaryAnswer()
      loss.item.logitScale = 10_000
      let observation = try loss.answer(loss.newBatch())
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
      var loss = try LossProbe(subject)
      defer { loss.end() }
      if loss.plugin.raw.needs & BH_NEED_LABELS == 0 { loss.batch.labels = nil }
      let apart = try loss.answer()
      guard apart.status == BH_OK else {
        throw NotApplicable("without labels it returned \(apart.described)")
      }
      loss.batch.student = loss.batch.teacher ?? loss.batch.student
      loss.batch.studentFeatures = loss.batch.teacherFeatures
      let together = try loss.answer()
      try subject.require(
        together.lossSum <= apart.lossSum,
        "the loss is \(together.lossSum) when both answer the same and \(apart.lossSum) when not")
    },
    ConformanceTest(
      "batch-permutation", .strict, .loss, "BH-50",
      "samples in another order have the same loss, and each its own gradient"
    ) { subject in
      let loss = try LossProbe(subject)
      defer { loss.end() }
      let order = (0..<12).map { $0 * 5 % 12 }
      let straight = try loss.ordinaryAnswer()
      let mixed = try loss.answer(loss.batch.rows(order))
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

  /// Central differences in double: the plugin's sum is a double, its inputs are float32, so the
  /// step is the cube root of float32's precision times the size of a logit.
  private static func check(
    _ subject: Subject,
    move: (inout LossCase.Batch, Double, [Float]) -> Void,
    gradient: (Observation) -> [Float], count: (LossCase.Batch) -> Int
  ) throws {
    var loss = try LossProbe(subject)
    defer { loss.end() }
    loss.item.logitScale = 1
    loss.batch = loss.newBatch()
    let analytic = gradient(try loss.ordinaryAnswer()).map(Double.init)
    let size = (analytic.reduce(0) { $0 + $1 * $1 }).squareRoot()
    let step = 1.0 / 64
    for number in 0..<64 {
      let direction = Numbers(seed: loss.plugin.seed)
        .signed(count(loss.batch), stream: 900 + UInt64(number))
      var ahead = loss.batch
      move(&ahead, step, direction)
      var behind = loss.batch
      move(&behind, -step, direction)
      let difference =
        try loss.answer(ahead).lossSum - loss.answer(behind).lossSum
      let measured = difference / (2 * step) * loss.item.gradientScale
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
