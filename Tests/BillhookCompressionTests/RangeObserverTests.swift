import BillhookTensor
import Testing

@testable import BillhookCompression

@Suite struct RangeObserverTests {
  private func observe(
    _ calibration: QuantizeSettings.Calibration, _ batches: [[Float]]
  ) -> RangeObserver {
    var observer = RangeObserver(calibration)
    for batch in batches { batch.withUnsafeBufferPointer { observer.add($0) } }
    return observer
  }

  @Test func `min-max is the range of everything seen`() {
    let range = observe(.minMax, [[1, -2, 0.5], [3, 0]]).range
    #expect(range.minimum == -2 && range.maximum == 3)
  }

  @Test(arguments: 0..<6 as Range<UInt64>)
  func `a percentile is that of the sorted values to a bin's width`(seed: UInt64) {
    var random = CounterRandom(seed: seed)
    // Batches grow, so that the histogram's range has to double several times.
    let batches = (0..<6).map { step in
      (0..<997).map { _ in
        (random.uniform() - 0.3) * Float(sign: .plus, exponent: step, significand: 1)
      }
    }
    let sorted = batches.flatMap { $0 }.sorted()
    let largest = max(-sorted[0], sorted[sorted.count - 1])
    let width = 2 * largest / Float(StreamingHistogram.half)
    for percentage in [99.9, 99, 90, 60] {
      let range = observe(.percentile(percentage), batches).range
      let cut = Int(Double(sorted.count) * (1 - percentage / 100) / 2)
      #expect(abs(range.minimum - sorted[cut]) <= width)
      #expect(abs(range.maximum - sorted[sorted.count - 1 - cut]) <= width)
    }
  }

  @Test func `the order of the batches does not matter`() {
    let batches: [[Float]] = [[0.1, 0.2], [100, -3], [0.0001, 7]]
    let forward = observe(.percentile(70), batches).range
    let backward = observe(.percentile(70), batches.reversed()).range
    #expect(forward == backward)
  }

  @Test func `100 percent is min-max`() {
    let range = observe(.percentile(100), [[0.3, -0.7], [12.5]]).range
    #expect(range.minimum == -0.7 && range.maximum == 12.5)
  }

  @Test func `values behind a ReLU keep their zero`() {
    let range = observe(.percentile(99), [[0, 0, 0, 0, 1, 2, 3]]).range
    #expect(range.minimum == 0)
  }

  @Test func `zeros alone are an empty range, and NaN is noticed`() {
    #expect(observe(.percentile(99), [[0, 0]]).range == (0, 0))
    #expect(observe(.minMax, []).range == (0, 0))
    #expect(!observe(.minMax, [[0, .nan]]).isFinite)
    #expect(!observe(.percentile(90), [[.infinity]]).isFinite)
  }

  @Test func `tiny and huge values stay in the histogram`() {
    let range = observe(.percentile(100), [[1e-38], [-3e38]]).range
    #expect(range.minimum == -3e38 && range.maximum >= 0)
  }
}

@Suite struct PairSumsTests {
  // 255 · 128 = 32640 fits 16 bits, 255 · 129 = 32895 does not.
  @Test(
    arguments: [
      ([127, 1, 0, -50], true), ([127, 2, 0, 0], false), ([64, 64, 64, 64], true),
      ([65, 64, 0, 0], false), ([-64, -64, -64, 64], true), ([-127, -2, 0, 0], false),
      ([-128, 0, 127, 0], true), ([0, 0, 0, 0], true),
    ] as [([Int8], Bool)])
  func `two weights of a channel may add up to 128 in size`(weights: [Int8], isSafe: Bool) {
    #expect(PairSums.areSafe(Tensor(weights, shape: [1, 4]), outAxis: 0) == isSafe)
  }

  @Test func `weights of different channels never meet`() {
    let weights = Tensor([127, 0, 0, 127] as [Int8], shape: [2, 2])
    #expect(PairSums.areSafe(weights, outAxis: 0))
    #expect(PairSums.areSafe(weights, outAxis: 1))
    #expect(!PairSums.areSafe(Tensor([127, 127, 0, 0] as [Int8], shape: [2, 2]), outAxis: 0))
  }

  @Test func `sixty-three is safe everywhere`() {
    let weights = Tensor(
      [Int8](repeating: 63, count: 8) + [Int8](repeating: -64, count: 8), shape: [2, 8])
    #expect(PairSums.areSafe(weights, outAxis: 0))
  }
}
