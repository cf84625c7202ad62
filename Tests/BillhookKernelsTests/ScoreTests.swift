import BillhookKernels
import Foundation
import Testing

@Suite struct ScoreTests {
  @Test(arguments: edgeLengths, 0..<3 as Range<UInt64>)
  func `element scores equal the references bit for bit`(length: Int, seed: UInt64) {
    // One element further than the allocation's alignment.
    let x = repetitive(length + 1, seed: seed, special: true)
    let n = Int64(length)
    x.withUnsafeBufferPointer { buffer in
      let start = buffer.baseAddress! + 1
      var fast = [Float](repeating: 9, count: length)
      var slow = fast
      bh_abs_f32(start, n, &fast)
      bh_abs_f32_scalar(start, n, &slow)
      #expect(sameBits(fast, slow))
      for power: Float in [1, 2, 0.5, 3] {
        bh_abs_power_f32(start, n, power, &fast)
        bh_abs_power_f32_scalar(start, n, power, &slow)
        #expect(sameBits(fast, slow))
      }
      #expect(bh_count_nonfinite_f32(start, n) == bh_count_nonfinite_f32_scalar(start, n))
    }
  }

  @Test func `the square of a weight is its score for exponent 2`() {
    var scores = [Float](repeating: 0, count: 3)
    bh_abs_power_f32([-3, 0.5, -0.0], 3, 2, &scores)
    #expect(scores == [9, 0.25, 0])
  }

  @Test(arguments: [(3, 1), (3, 4), (17, 9), (1, 5), (40, 1)])
  func `a piece of a layer finds the factors of its channels`(channels: Int, inner: Int) {
    let factors = uniform(channels, seed: 5, from: 0, to: 2)
    let whole = uniform(channels * inner * 7, seed: 6)
    for first in [0, 1, inner, 2 * inner + 1] {
      let part = Array(whole[first...])
      var fast = [Float](repeating: 0, count: part.count)
      var slow = fast
      let n = Int64(part.count)
      bh_abs_times_channel_f32(part, Int64(first), n, factors, Int64(channels), Int64(inner), &fast)
      bh_abs_times_channel_f32_scalar(
        part, Int64(first), n, factors, Int64(channels), Int64(inner), &slow)
      #expect(sameBits(fast, slow))
      #expect(fast[0] == abs(part[0]) * factors[first / inner % channels])
    }
  }

  /// [outer, channels, inner]: vectors and their tails in either axis, several partitions, none.
  static let shapes: [[Int]] = [
    [1, 1, 1], [2, 3, 4], [5, 17, 1], [3, 2, 33], [1, 4, 100], [200, 40, 16], [70_000, 1, 3],
    [3, 70_000, 1], [1, 2, 70_001], [0, 3, 2], [2, 3, 0],
  ]

  @Test(arguments: shapes)
  func `channel sums equal the reference for every thread count and instruction set`(
    shape: [Int]
  ) {
    let (outer, channels, inner) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let x = repetitive(shape.reduce(1, *), seed: 3)
    let before = uniform(shape[1], seed: 8).map(Double.init)
    var expected = (before, before, before)
    bh_channel_statistics_f32_scalar(
      x, outer, channels, inner, &expected.0, &expected.1, &expected.2)
    for sums in onEveryConfiguration({
      var sums = (before, before, before)
      bh_channel_statistics_f32(x, outer, channels, inner, &sums.0, &sums.1, &sums.2)
      return sums
    }) {
      #expect(sameBits(sums.0, expected.0))
      #expect(sameBits(sums.1, expected.1))
      #expect(sameBits(sums.2, expected.2))
    }
    for power: Float in [1, 2, 1.5] {
      var fast = [Double](repeating: 7, count: shape[1])
      var slow = fast
      bh_channel_power_sums_f32(x, outer, channels, inner, power, &fast)
      bh_channel_power_sums_f32_scalar(x, outer, channels, inner, power, &slow)
      #expect(sameBits(fast, slow))
    }
  }

  @Test func `statistics of two channels over two samples add to what is there`() {
    // Samples [1, -2] and [0, 3] for channel 0; [4, 0] and [0, -5] for channel 1.
    let x: [Float] = [1, -2, 4, 0, 0, 3, 0, -5]
    var abs: [Double] = [10, 0]
    var squares: [Double] = [0, 0]
    var zeros: [Double] = [0, 0]
    bh_channel_statistics_f32(x, 2, 2, 2, &abs, &squares, &zeros)
    #expect(abs == [16, 9])
    #expect(squares == [14, 41])
    #expect(zeros == [1, 2])
    bh_channel_statistics_f32(x, 2, 2, 2, nil, nil, &zeros)
    #expect(zeros == [2, 4])
  }

  @Test(arguments: shapes)
  func `ranges equal the reference for every thread count and instruction set`(shape: [Int]) {
    let (outer, channels, inner) = (Int64(shape[0]), Int64(shape[1]), Int64(shape[2]))
    let x = repetitive(shape.reduce(1, *), seed: 4, special: true)
    var low = [Float](repeating: 5, count: shape[1])
    var high = low
    bh_channel_min_max_f32_scalar(x, outer, channels, inner, &low, &high)
    var least: Float = 0
    var most: Float = 0
    bh_min_max_f32_scalar(x, Int64(x.count), &least, &most)
    for result in onEveryConfiguration({
      var fast = (low: low.map { _ in 5 as Float }, high: low, least: 0 as Float, most: 0 as Float)
      bh_channel_min_max_f32(x, outer, channels, inner, &fast.low, &fast.high)
      bh_min_max_f32(x, Int64(x.count), &fast.least, &fast.most)
      return fast
    }) {
      #expect(sameBits(result.low, low))
      #expect(sameBits(result.high, high))
      #expect(sameBits([result.least, result.most], [least, most]))
    }
  }

  @Test func `NaN has no part in a range, and nothing has the empty range`() {
    var low: Float = 0
    var high: Float = 0
    bh_min_max_f32([.nan, 2, -3, .nan], 4, &low, &high)
    #expect(low == -3 && high == 2)
    bh_min_max_f32([.nan], 1, &low, &high)
    #expect(low == .infinity && high == -.infinity)
  }

  @Test(arguments: edgeLengths + [200_000], [1, 2, 100, 2048])
  func `histograms equal the reference`(length: Int, bins: Int) {
    let x = repetitive(length, seed: 9, special: true)
    var expected = [UInt64](repeating: 1, count: bins)
    bh_histogram_f32_scalar(x, Int64(length), -2, 2.5, Int64(bins), &expected)
    for counts in onEveryConfiguration({
      var counts = [UInt64](repeating: 1, count: bins)
      bh_histogram_f32(x, Int64(length), -2, 2.5, Int64(bins), &counts)
      return counts
    }) {
      #expect(counts == expected)
    }
  }

  @Test func `a histogram puts the outliers into the outer bins`() {
    var counts = [UInt64](repeating: 0, count: 4)
    bh_histogram_f32([-9, 0, 0.9, 1, 3.5, 4, .infinity, .nan], 8, 0, 4, 4, &counts)
    #expect(counts == [3, 1, 0, 3])
  }
}
