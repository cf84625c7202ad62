import BillhookPlugins
import BillhookTensor
import Foundation
import Testing

@Suite struct KLDivergenceTests {
  struct Answer {
    var lossSum: Double
    var weightSum: Double
    var gradient: [Float]
  }

  static func compute(
    _ student: Tensor, teacher: Tensor? = nil, labels: [Int32]? = nil, weights: [Float]? = nil,
    temperature: Double = 4, alpha: Double = 0
  ) throws -> Answer {
    let loss = try builtIns.plugin("kl-divergence", hook: .loss)
      .makeLoss(["temperature": .double(temperature), "alpha": .double(alpha)])
    var gradient = Tensor(zeros: student.shape)
    let result = try loss.compute(
      student: student, teacher: teacher, labels: labels.map { Tensor($0) },
      sampleWeights: weights.map { Tensor($0) }, gradient: &gradient, step: 0, totalSteps: 1)
    return Answer(
      lossSum: result.lossSum, weightSum: result.weightSum,
      gradient: gradient.elements(of: Float.self))
  }

  static func isClose(_ left: Double, _ right: Double, _ tolerance: Double = 1e-5) -> Bool {
    abs(left - right) <= tolerance * max(1, abs(right))
  }

  @Test func `the loss of two classes is the formula's`() throws {
    // T = 2: student (ln 4, 0) / 2 gives 2/3, 1/3; teacher (0, 0) gives 1/2, 1/2.
    // KL = 1/2 ln(3/4) + 1/2 ln(3/2) = 1/2 ln(9/8), times T² = 2 ln(9/8).
    let student = Tensor([Float(log(4.0)), 0], shape: [1, 2])
    let teacher = Tensor(zeros: [1, 2])
    let soft = try Self.compute(student, teacher: teacher, temperature: 2)
    #expect(Self.isClose(soft.lossSum, 2 * log(9.0 / 8)))
    #expect(soft.weightSum == 1)
    // d = T (softmax(student/T) - softmax(teacher/T)) = 2 (1/6, -1/6).
    #expect(Self.isClose(Double(soft.gradient[0]), 1.0 / 3))
    #expect(Self.isClose(Double(soft.gradient[1]), -1.0 / 3))

    // CE of label 1: softmax(student) = 4/5, 1/5, so ln 5, with gradient (4/5, -4/5).
    let hard = try Self.compute(student, labels: [1], alpha: 1)
    #expect(Self.isClose(hard.lossSum, log(5)))
    #expect(Self.isClose(Double(hard.gradient[0]), 0.8))

    let mixed = try Self.compute(
      student, teacher: teacher, labels: [1], temperature: 2, alpha: 0.25)
    #expect(Self.isClose(mixed.lossSum, 0.75 * 2 * log(9.0 / 8) + 0.25 * log(5)))
    #expect(Self.isClose(Double(mixed.gradient[0]), 0.75 / 3 + 0.25 * 0.8))
  }

  @Test func `equal logits have no loss and no gradient`() throws {
    let logits = randomTensor([5, 7], seed: 1, scale: 10)
    let answer = try Self.compute(logits, teacher: logits)
    #expect(abs(answer.lossSum) < 1e-5)
    #expect(answer.gradient.allSatisfy { abs($0) < 1e-6 })
  }

  @Test func `samples weigh as much as their weights`() throws {
    let student = randomTensor([3, 4], seed: 2, scale: 3)
    let teacher = randomTensor([3, 4], seed: 3, scale: 3)
    let labels: [Int32] = [0, 3, -100]
    let parts = try (0..<3).map { row in
      try Self.compute(
        student.rows(row..<row + 1).copied(), teacher: teacher.rows(row..<row + 1).copied(),
        labels: [labels[row]], alpha: 0.5)
    }
    let weights: [Float] = [2, 0.5, 1]
    let whole = try Self.compute(
      student, teacher: teacher, labels: labels, weights: weights, alpha: 0.5)
    let expected = zip(parts, weights).reduce(0) { $0 + $1.0.lossSum * Double($1.1) }
    #expect(Self.isClose(whole.lossSum, expected))
    #expect(whole.weightSum == 3.5)
    for row in 0..<3 {
      for column in 0..<4 {
        let expected = parts[row].gradient[column] * weights[row] / 3.5
        #expect(abs(whole.gradient[row * 4 + column] - expected) < 1e-6)
      }
    }
  }

  @Test func `an ignored label does not count when there is nothing but labels`() throws {
    let student = randomTensor([3, 4], seed: 4)
    let some = try Self.compute(student, labels: [1, -100, 2], alpha: 1)
    let two = Tensor(
      student.rows(0..<1).elements(of: Float.self) + student.rows(2..<3).elements(of: Float.self),
      shape: [2, 4])
    let only = try Self.compute(two, labels: [1, 2], alpha: 1)
    #expect(Self.isClose(some.lossSum, only.lossSum))
    #expect(some.weightSum == 2)
    // The gradient is that of the mean over the two that count.
    let expected = only.gradient[..<4] + [0, 0, 0, 0] + only.gradient[4...]
    for (got, wanted) in zip(some.gradient, expected) { #expect(abs(got - wanted) < 1e-6) }
  }

  @Test(arguments: [(0.0, 1.0), (0.0, 4.0), (0.3, 2.0), (1.0, 4.0)], 0..<3)
  func `the gradient is that of central differences`(
    mix: (alpha: Double, temperature: Double), seed: UInt64
  ) throws {
    let shape = [4, 6]
    let student = randomTensor(shape, seed: seed, scale: 3)
    let teacher = randomTensor(shape, seed: seed + 100, scale: 3)
    let labels: [Int32] = [0, 5, -100, 2]
    let counted = mix.alpha == 1 ? 3.0 : 4.0
    func mean(_ logits: [Float]) throws -> Double {
      try Self.compute(
        Tensor(logits, shape: shape), teacher: teacher, labels: labels,
        temperature: mix.temperature, alpha: mix.alpha
      ).lossSum / counted
    }
    let answer = try Self.compute(
      student, teacher: teacher, labels: labels, temperature: mix.temperature, alpha: mix.alpha)
    #expect(answer.weightSum == counted)
    let logits = student.elements(of: Float.self)
    for index in logits.indices {
      var up = logits
      var down = logits
      up[index] += 1 / 64
      down[index] -= 1 / 64
      let slope = try (mean(up) - mean(down)) * 32
      // Error of the difference: step²/6 times the third derivative (at most 0.1 T⁻¹, and 1 for
      // the labels), and 1e-6 / (2 step) from float32 losses.
      #expect(abs(slope - Double(answer.gradient[index])) < 2e-4)
    }
  }

  @Test func `large logits stay finite`() throws {
    let student = Tensor([1e4, -1e4, 0, -1e4, 1e4, 0] as [Float], shape: [2, 3])
    let teacher = Tensor([-1e4, 1e4, 0, 1e4, -1e4, 0] as [Float], shape: [2, 3])
    let answer = try Self.compute(student, teacher: teacher, labels: [1, 0], alpha: 0.5)
    #expect(answer.lossSum.isFinite && answer.lossSum > 0)
    #expect(answer.gradient.allSatisfy { $0.isFinite })
  }

  @Test func `an empty batch has no loss`() throws {
    let answer = try Self.compute(Tensor(zeros: [0, 3]), teacher: Tensor(zeros: [0, 3]))
    #expect(answer.lossSum == 0 && answer.weightSum == 0)
  }

  @Test func `a missing teacher or label is answered with what to set`() {
    let student = Tensor(zeros: [2, 3])
    #expect(
      sentence { _ = try Self.compute(student, labels: [0, 1], alpha: 0.5) } == """
        Plugin "org.billhook.kl-divergence" failed in "compute": there is no teacher, but alpha is \
        0.5; give one, or set alpha to 1 for plain training (status -1).
        """)
    #expect(
      sentence { _ = try Self.compute(student, teacher: student, alpha: 0.5) } == """
        Plugin "org.billhook.kl-divergence" failed in "compute": the data has no labels, but alpha \
        is 0.5; give labels, or set alpha to 0 (status -1).
        """)
    #expect(
      sentence { _ = try Self.compute(student, labels: [0, 3], alpha: 1) } == """
        "label 1" for "compute" of plugin "org.billhook.kl-divergence" is 3 but must be 0 to 2, or \
        -100 to leave it out.
        """)
    #expect(
      sentence { _ = try Self.compute(student, teacher: Tensor(zeros: [2, 4])) } == """
        "teacher" for "compute" of plugin "org.billhook.kl-divergence" is float32 [2, 4] but must \
        be float32 [2, 3].
        """)
  }
}
