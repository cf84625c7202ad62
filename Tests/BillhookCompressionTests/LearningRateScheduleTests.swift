import BillhookCompression
import Testing

@Suite struct LearningRateScheduleTests {
  @Test func `a warm-up grows in equal steps to the base rate`() {
    let schedule = LearningRateSchedule(base: 0.5, warmupSteps: 4)
    let rates = (0..<6).map { schedule.rate(step: $0, totalSteps: 10, stepsPerEpoch: 5) }
    for (found, wanted) in zip(rates, [0.1, 0.2, 0.3, 0.4, 0.5, 0.5] as [Float]) {
      #expect(abs(found - wanted) < 1e-6)
    }
  }

  @Test func `the longest warm-up there can be does not overflow`() {
    let schedule = LearningRateSchedule(base: 0.5, warmupSteps: .max)
    #expect(schedule.rate(step: 0, totalSteps: 10, stepsPerEpoch: 5) < 1e-18)
  }

  @Test func `a step schedule drops after each so many epochs`() {
    let schedule = LearningRateSchedule(base: 1, shape: .step(everyEpochs: 2, factor: 0.1))
    let rates = [0, 5, 6, 11, 12].map { schedule.rate(step: $0, totalSteps: 18, stepsPerEpoch: 3) }
    for (found, wanted) in zip(rates, [1, 1, 0.1, 0.1, 0.01] as [Float]) {
      #expect(abs(found - wanted) < 1e-6)
    }
  }

  @Test func `a cosine starts at the base, halves in the middle and ends near the final rate`() {
    let schedule = LearningRateSchedule(base: 0.2, shape: .cosine(final: 0.02))
    #expect(schedule.rate(step: 0, totalSteps: 100, stepsPerEpoch: 10) == 0.2)
    #expect(abs(schedule.rate(step: 50, totalSteps: 100, stepsPerEpoch: 10) - 0.11) < 1e-6)
    #expect(abs(schedule.rate(step: 100, totalSteps: 100, stepsPerEpoch: 10) - 0.02) < 1e-6)
    // cos(π/4): the rate is 0.02 + 0.18 · (1 + 0.70710678) / 2.
    #expect(abs(schedule.rate(step: 25, totalSteps: 100, stepsPerEpoch: 10) - 0.1736396) < 1e-6)
  }
}
