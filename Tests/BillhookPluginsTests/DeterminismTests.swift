import BillhookKernels
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Testing

/// The number of threads belongs to the process, so these run one after the other.
@Suite(.serialized) struct DeterminismTests {
  static let threadCounts: [Int32] = [1, 2, 3, 8]

  /// Results of `body` for each number of threads.
  static func results<T>(_ body: () throws -> T) rethrows -> [T] {
    let usual = bh_thread_count()
    defer { bh_set_thread_count(usual) }
    return try threadCounts.map {
      bh_set_thread_count($0)
      return try body()
    }
  }

  static func allEqual<T: Equatable>(_ values: [T]) -> Bool {
    values.allSatisfy { $0 == values[0] }
  }

  @Test(arguments: [Granularity.element, .outputChannel, .inputChannel])
  func `scores are the same bytes for any number of threads`(granularity: Granularity) throws {
    let weight = randomTensor([67, 129, 3, 3], seed: 1)
    let squares = randomTensor([129], seed: 2).elements(of: Float.self).map { $0 * $0 }
    let statistics = LayerStatistics(inputSquaredNorm: Tensor(squares))
    for id in ["magnitude", "wanda"] {
      let scores = try Self.results {
        try ScorerTests.scores(
          id, granularity, weight: weight, statistics: statistics
        ).map(\.bitPattern)
      }
      #expect(Self.allEqual(scores))
    }
  }

  @Test func `loss and gradient are the same bytes for any number of threads`() throws {
    let student = randomTensor([50, 300], seed: 3, scale: 5)
    let teacher = randomTensor([50, 300], seed: 4, scale: 5)
    let labels = (0..<50).map { Int32($0) }
    let answers = try Self.results {
      let answer = try KLDivergenceTests.compute(
        student, teacher: teacher, labels: labels, alpha: 0.3)
      return [answer.lossSum.bitPattern] + answer.gradient.map { UInt64($0.bitPattern) }
    }
    #expect(Self.allEqual(answers))
  }

  @Test func `integers are the same for any number of threads`() throws {
    let weight = randomTensor([33, 2049], seed: 5)
    let integers = try Self.results {
      let quantizer = try AffineInt8Tests.quantizer()
      let layout = try #require(
        try quantizer.layout(layer(), shape: weight.shape, weightBits: 8))
      let parameters = try quantizer.calibrate(layer(), layout, values: weight)
      return try quantizer.quantize(layer(), layout, parameters, values: weight)
    }
    #expect(Self.allEqual(integers))
  }

  @Test func `a plugin that adds up piece by piece is reproducible`() throws {
    let weight = randomTensor([63, 100], seed: 6)
    let scorer = try misbehaving("scorer", .scorer).makeScorer(["mode": .string("sum")])
    let sums = try Self.results {
      try scorer.score(layer(), granularity: .element, weight: weight)
    }
    #expect(Self.allEqual(sums))
  }
}
