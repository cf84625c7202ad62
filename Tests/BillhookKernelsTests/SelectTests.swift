import BillhookKernels
import Testing

/// Runs a selection over pieces of a given size, as the host does; returns the kept flags and the
/// pruned weights.
private func select(
  _ scores: [Float], _ k: Int, piece: Int, sampled: Bool = false
) -> (keep: [UInt8], pruned: [Float], count: Int, threshold: Float, ties: Int, passes: Int)? {
  let n = scores.count
  let pieces = (n + piece - 1) / piece
  guard let selection = bh_select_create(Int64(n), Int64(k), Int64(pieces)) else { return nil }
  defer { bh_select_destroy(selection) }
  let weights = (0..<n).map { Float($0 + 1) }
  var keep = [UInt8](repeating: 7, count: n)
  var pruned = [Float](repeating: 7, count: n)
  var count = 0
  var passes = 0
  scores.withUnsafeBufferPointer { start in
    let base = n > 0 ? start.baseAddress! : UnsafePointer<Float>(bitPattern: 8)!
    if sampled {
      for cluster in 0..<64 { bh_select_sample(selection, base + n / 64 * cluster, 32) }
    }
    while bh_select_next(selection) == 1 {
      passes += 1
      // Backwards: the order in which pieces arrive must not matter.
      for index in (0..<pieces).reversed() {
        let length = min(piece, n - index * piece)
        _ = bh_select_add(selection, Int64(index), base + index * piece, Int64(length))
      }
    }
    for index in 0..<pieces {
      let first = index * piece
      let length = Int64(min(piece, n - first))
      keep.withUnsafeMutableBufferPointer {
        _ = bh_select_keep(selection, Int64(index), base + first, $0.baseAddress! + first, length)
      }
      pruned.withUnsafeMutableBufferPointer { out in
        weights.withUnsafeBufferPointer {
          count += Int(
            bh_select_prune(
              selection, Int64(index), base + first, $0.baseAddress! + first,
              out.baseAddress! + first, length))
        }
      }
    }
  }
  return (
    keep, pruned, count, bh_select_threshold(selection), Int(bh_select_ties(selection)), passes
  )
}

private func reference(_ scores: [Float], _ k: Int) -> [UInt8] {
  var keep = [UInt8](repeating: 9, count: scores.count)
  _ = bh_select_smallest_f32_scalar(scores, Int64(scores.count), Int64(k), &keep)
  return keep
}

@Suite struct SelectTests {
  @Test func `of equal scores the one with the lower index is taken first`() throws {
    let result = try #require(select([3, 1, 2, 1, -0.0, 0, 1], 4, piece: 2))
    #expect(result.keep == [1, 0, 1, 0, 0, 0, 1])
    #expect(result.pruned == [1, 0, 3, 0, 0, 0, 7])
    #expect(result.threshold == 1 && result.ties == 2 && result.count == 4)
  }

  @Test(arguments: edgeLengths, 0..<3 as Range<UInt64>)
  func `exactly the k smallest are taken, whatever the pieces`(length: Int, seed: UInt64) throws {
    for scores in [
      uniform(length, seed: seed), repetitive(length, seed: seed),
      repetitive(length, seed: seed, special: true),
    ] {
      for k in Set([0, 1, length / 3, length / 2, length - 1, length]).filter({
        0...length ~= $0
      }) {
        let expected = reference(scores, k)
        for piece in [1, 5, 64, 5000] {
          let result = try #require(select(scores, k, piece: piece))
          #expect(result.keep == expected)
          #expect(result.count == k)
          #expect(result.pruned.map { UInt8($0 == 0 ? 0 : 1) } == expected)
        }
      }
    }
  }

  /// Above the size up to which all scores are collected, so that histograms and brackets work.
  static let large = 1_200_000

  @Test(arguments: [1, 1000, large / 2, large - 1])
  func `large selections are exact with a sample, without one and with a misleading one`(
    k: Int
  ) throws {
    let spread = uniform(Self.large, seed: 11)
    let rising = (0..<Self.large).map { Float($0 / 3) }
    var misleading = spread
    // The places that are sampled say nothing about the rest.
    for cluster in 0..<64 {
      for i in 0..<32 { misleading[Self.large / 64 * cluster + i] = 5 + Float(i) }
    }
    for scores in [spread, rising, misleading, spread.map { $0 < 0.9 ? 0 : $0 }] {
      let expected = reference(scores, k)
      for sampled in [false, true] {
        let result = try #require(select(scores, k, piece: 16384, sampled: sampled))
        #expect(result.keep == expected)
        #expect(result.count == k)
        #expect(result.passes <= 5)
      }
    }
  }

  @Test func `a good sample makes one pass enough`() throws {
    let result = try #require(
      select(uniform(Self.large, seed: 12), Self.large / 2, piece: 16384, sampled: true))
    #expect(result.passes == 1)
  }

  @Test(arguments: [1000, 300_000])
  func `selection in memory gives the same bytes for every thread count and instruction set`(
    length: Int
  ) {
    let scores = repetitive(length, seed: 13)
    let expected = reference(scores, length / 2)
    for keep in onEveryConfiguration({
      var keep = [UInt8](repeating: 9, count: length)
      _ = bh_select_smallest_f32(scores, Int64(length), Int64(length / 2), &keep)
      return keep
    }) {
      #expect(keep == expected)
    }
  }

  @Test func `infinite scores and NaN are reported and ordered`() throws {
    let scores: [Float] = [.infinity, -.infinity, .nan, 0]
    let selection = try #require(bh_select_create(4, 3, 1))
    defer { bh_select_destroy(selection) }
    #expect(bh_select_next(selection) == 1)
    #expect(bh_select_add(selection, 0, scores, 4) == 1)
    #expect(bh_select_next(selection) == 0)
    #expect(bh_select_threshold(selection) == .infinity)
    var keep = [UInt8](repeating: 9, count: 4)
    #expect(bh_select_keep(selection, 0, scores, &keep, 4) == 3)
    #expect(keep == [0, 0, 1, 0])
  }

  @Test func `impossible counts and missing pieces are refused`() throws {
    #expect(bh_select_create(3, 4, 1) == nil)
    #expect(bh_select_create(3, -1, 1) == nil)
    #expect(bh_select_create(3, 1, -1) == nil)
    var keep: [UInt8] = [9]
    #expect(bh_select_smallest_f32([1], 1, 2, &keep) == -1)
    let selection = try #require(bh_select_create(4, 2, 2))
    defer { bh_select_destroy(selection) }
    #expect(bh_select_next(selection) == 1)
    _ = bh_select_add(selection, 0, [1, 2], 2)
    #expect(bh_select_next(selection) == -1)
  }

  @Test func `a piece number out of range fails the selection`() throws {
    let selection = try #require(bh_select_create(2, 1, 1))
    defer { bh_select_destroy(selection) }
    #expect(bh_select_next(selection) == 1)
    _ = bh_select_add(selection, 1, [1, 2], 2)
    #expect(bh_select_next(selection) == -1)
  }

  // MARK: - Spent scores

  @Test(arguments: [1, 7, 8, 31, 32, 33, 100, 1000, 16384], 0..<4 as Range<UInt64>)
  func `spent scores give the same selection, and are NaN`(length: Int, seed: UInt64) throws {
    for scores in [uniform(length, seed: seed), repetitive(length, seed: seed)] {
      for k in [0, length / 3, length] {
        let piece = max(length / 3, 1)
        let expected = try #require(select(scores, k, piece: piece))
        let pieces = (length + piece - 1) / piece
        let selection = try #require(bh_select_create(Int64(length), Int64(k), Int64(pieces)))
        defer { bh_select_destroy(selection) }
        let weights = (0..<length).map { Float($0 + 1) }
        var pruned = [Float](repeating: 7, count: length)
        func forEachPiece(_ body: (Int64, UnsafeMutablePointer<Float>, Int, Int64) -> Void) {
          var spent = scores
          spent.withUnsafeMutableBufferPointer { spent in
            for index in 0..<pieces {
              let first = index * piece
              body(
                Int64(index), spent.baseAddress! + first, first, Int64(min(piece, length - first)))
            }
          }
          #expect(spent.allSatisfy { $0.isNaN })
        }
        while bh_select_next(selection) == 1 {
          forEachPiece { index, scores, _, count in
            #expect(bh_select_spend(selection, index, scores, count) == 0)
          }
        }
        var taken = 0
        forEachPiece { index, scores, first, count in
          pruned.withUnsafeMutableBufferPointer { out in
            var nonfinite: Int32 = 7
            taken += Int(
              bh_select_spend_pruning(
                selection, index, scores, Array(weights[first...]), out.baseAddress! + first, count,
                &nonfinite))
            #expect(nonfinite == 0)
          }
        }
        #expect(pruned == expected.pruned)
        #expect(taken == expected.count)
      }
    }
  }

  @Test(
    arguments: [Float.nan, .infinity, -.infinity, Float(bitPattern: .max)], [0, 5, 31, 70, 99])
  func `a spent score that is not finite is seen wherever it is`(value: Float, place: Int) throws {
    for k in [0, 50, 100] {
      let selection = try #require(bh_select_create(100, Int64(k), 1))
      defer { bh_select_destroy(selection) }
      var scores = uniform(100, seed: 3)
      if k > 0 {
        #expect(bh_select_next(selection) == 1)
        var bad = scores
        bad[place] = value
        #expect(bh_select_spend(selection, 0, &bad, 100) == 1)
        #expect(bad.allSatisfy { $0.isNaN })
      }
      let again = try #require(bh_select_create(100, Int64(k), 1))
      defer { bh_select_destroy(again) }
      while bh_select_next(again) == 1 { _ = bh_select_add(again, 0, scores, 100) }
      scores[place] = value
      var out = [Float](repeating: 0, count: 100)
      var nonfinite: Int32 = 0
      _ = bh_select_spend_pruning(
        again, 0, &scores, [Float](repeating: 1, count: 100), &out, 100, &nonfinite)
      #expect(nonfinite == 1)
      #expect(scores.allSatisfy { $0.isNaN })
    }
  }
}
