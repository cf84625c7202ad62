internal import BillhookRuntime
internal import Foundation

/// A result that differs from what another way of computing it gives.
struct WrongResult: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// What one call took, in seconds.
struct Sample {
  var elapsed: Double
  /// Of all threads together. On a busy machine, with one thread, the better of the two.
  var processor: Double
}

/// Times work items and writes one JSON line for each.
final class Bench {
  private let only: [String]
  private let runs: Int?
  private(set) var recordCount = 0
  private(set) var failureCount = 0

  init(only: [String], runs: Int?) {
    self.only = only
    self.runs = runs
  }

  /// Whether any of the names was asked for; inputs of work that was not are never made.
  func wants(_ works: String...) -> Bool {
    only.isEmpty || works.contains { work in only.contains { work.contains($0) } }
  }

  /// Times one work item, if it was asked for, and checks what it left behind.
  ///
  /// - Parameters:
  ///   - runs: Timed runs; the command line's number replaces it.
  ///   - warmUpRuns: Untimed runs before them.
  ///   - calls: Calls in a run, for work that is too short for the clock.
  ///   - extra: Asked after the timing for further fields of the record.
  ///   - check: Throws ``WrongResult`` when the last run's result is wrong.
  func time(
    _ work: String, runs: Int = 7, warmUpRuns: Int = 2, calls: Int = 1, _ body: () throws -> Void,
    extra: () throws -> [String: Double] = { [:] }, check: () throws -> Void
  ) throws {
    guard wants(work) else { return }
    let samples = try measure(
      runs: self.runs ?? runs, warmUpRuns: warmUpRuns, calls: calls, body)
    do {
      try check()
    } catch let wrong as WrongResult {
      failureCount += 1
      FileHandle.standardError.write(Data("billhook-benchmark: \(work): \(wrong)\n".utf8))
      return
    }
    recordCount += 1
    write(
      WorkRecord(
        work: work, samples: samples, threads: Threads.count, calls: calls, extra: try extra()))
  }

  /// Times of a call in each run.
  func measure(
    runs: Int, warmUpRuns: Int, calls: Int = 1, _ body: () throws -> Void
  ) throws -> [Sample] {
    for _ in 0..<warmUpRuns { try body() }
    return try (0..<runs).map { _ in
      let start = (seconds(of: CLOCK_MONOTONIC), seconds(of: CLOCK_PROCESS_CPUTIME_ID))
      for _ in 0..<calls { try body() }
      let end = (seconds(of: CLOCK_MONOTONIC), seconds(of: CLOCK_PROCESS_CPUTIME_ID))
      return Sample(
        elapsed: (end.0 - start.0) / Double(calls), processor: (end.1 - start.1) / Double(calls))
    }
  }

  private func seconds(of clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  func write(_ record: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let line = try? encoder.encode(record) else { return }
    FileHandle.standardOutput.write(line + Data("\n".utf8))
  }
}

/// The middle value, or the mean of the two in the middle.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
