import BillhookKernels
import Foundation

/// Lengths on both sides of every vector width and block, where a tail goes wrong; 0 and 1 because
/// someone always asks.
let edgeLengths = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 257, 1000, 4099]

/// Thread counts that must not show in any result.
let threadCounts: [Int32] = [1, 2, 3, 8]

/// Numbers in `low..<high`, a function of the seed.
func uniform(_ count: Int, seed: UInt64, from low: Float = -1, to high: Float = 1) -> [Float] {
  var numbers = [Float](repeating: 0, count: count)
  bh_random_uniform_f32_scalar(seed, 0, 0, &numbers, Int64(count))
  return numbers.map { low + $0 * (high - low) }
}

/// Numbers with many repetitions, zeros of both signs and, if asked, values that are no numbers.
func repetitive(_ count: Int, seed: UInt64, special: Bool = false) -> [Float] {
  uniform(count, seed: seed, from: 0, to: 40).map { number in
    switch Int(number) {
    case 0: special ? .nan : 0
    case 1: special ? .infinity : -0.0
    case 2: special ? -.infinity : 1
    case 3: special ? .greatestFiniteMagnitude : -1
    case 4: special ? .leastNonzeroMagnitude : 0
    case 5..<10: 0
    case 10..<15: -0.0
    default: Float(Int(number) - 27) / 4
    }
  }
}

/// Equal bit for bit, so that NaN equals itself and -0 differs from +0.
func sameBits(_ a: [Float], _ b: [Float]) -> Bool {
  a.map(\.bitPattern) == b.map(\.bitPattern)
}

func sameBits(_ a: [Double], _ b: [Double]) -> Bool {
  a.map(\.bitPattern) == b.map(\.bitPattern)
}

/// The number of threads is a setting of the process, and tests run at the same time.
private let settings = NSLock()

/// What `work` returns when it runs on each instruction set and number of threads.
func onEveryConfiguration<Result>(_ work: () -> Result) -> [Result] {
  settings.withLock {
    defer { bh_simd_force_portable(0) }
    return ([0, 1] as [Int32]).flatMap { portable in
      bh_simd_force_portable(portable)
      return runs(work)
    }
  }
}

/// What `work` returns for each number of threads, on the best instruction set.
func onEveryThreadCount<Result>(_ work: () -> Result) -> [Result] {
  settings.withLock { runs(work) }
}

private func runs<Result>(_ work: () -> Result) -> [Result] {
  let before = bh_thread_count()
  defer { bh_set_thread_count(before) }
  return threadCounts.map { count in
    bh_set_thread_count(count)
    return work()
  }
}
