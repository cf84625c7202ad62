import BillhookPlugins
import BillhookTensor
import Testing

@Suite struct RandomScorerTests {
  private func scores(_ count: Int, seed: UInt64, index: Int = 0) throws -> [Float] {
    let weight = Tensor(zeros: [count, 1])
    let scores = try builtIns.plugin("random", hook: .scorer).makeScorer(seed: seed)
      .score(layer(index: index), granularity: .element, weight: weight)
    return try #require(scores).elements(of: Float.self)
  }

  @Test func `random scores depend on seed and layer alone and fill 0 to 1`() throws {
    // More than one piece of the loop.
    let first = try scores(10_000, seed: 1)
    #expect(try scores(10_000, seed: 1) == first)
    #expect(try scores(10_000, seed: 2) != first)
    #expect(try scores(10_000, seed: 1, index: 1) != first)
    #expect(Set(first).count > 9_900)
    #expect(first.allSatisfy { $0 >= 0 && $0 < 1 })
    let mean = first.reduce(0, +) / 10_000
    // Five standard deviations of the mean of 10,000 uniform numbers: 5 / sqrt(12 * 10,000).
    #expect(abs(mean - 0.5) < 0.0145)
  }
}
