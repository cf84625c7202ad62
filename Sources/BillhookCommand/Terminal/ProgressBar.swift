internal import Billhook
internal import Foundation

/// Shows long work on standard error: a bar on a terminal, a line now and then when piped.
final class ProgressBar: Billhook.ProgressReporting {
  private let clock = ContinuousClock()
  private let isTerminal = Terminal.errorIsTerminal
  private var task = ""
  private var unit = ""
  private var total = 0
  private var start = ContinuousClock.now
  private var lastShown = ContinuousClock.now
  private var barIsShown = false

  /// Time between two pictures of the bar, and between two lines when piped.
  private static let barInterval = Duration.milliseconds(100)
  private static let lineInterval = Duration.seconds(20)

  func begin(_ task: String, total: Int, unit: String) {
    self.task = task
    self.total = total
    self.unit = unit
    start = clock.now
    lastShown = start
    if isTerminal { show(0, detail: "") }
  }

  func advance(_ done: Int, detail: String) {
    let now = clock.now
    guard now - lastShown >= (isTerminal ? Self.barInterval : Self.lineInterval) else { return }
    lastShown = now
    show(done, detail: detail)
  }

  func end(_ summary: String) {
    clear()
    let seconds = NumberText.seconds(seconds(clock.now - start))
    // Work of a moment is not worth a line.
    guard clock.now - start >= .milliseconds(500) else { return }
    Terminal.error("\(task): \(summary.isEmpty ? "done" : summary) (\(seconds))")
  }

  /// Removes the bar, so that something else can be written.
  func clear() {
    guard barIsShown else { return }
    Terminal.errorFragment("\r\u{1B}[2K")
    barIsShown = false
  }

  private func show(_ done: Int, detail: String) {
    let elapsed = seconds(clock.now - start)
    let share = total > 0 ? min(Double(done) / Double(total), 1) : 0
    var facts: [String] = []
    if elapsed > 0, done > 0 {
      facts.append("\(NumberText.count(Int(Double(done) / elapsed))) \(unit)/s")
      facts.append("\(NumberText.seconds(elapsed * (1 - share) / max(share, 1e-9))) left")
    }
    if !detail.isEmpty { facts.append(detail) }
    let percent = "\(Int(share * 100)) %"
    guard isTerminal else {
      Terminal.error("\(task): \(([percent] + facts).joined(separator: ", "))")
      return
    }
    let room = 24
    let filled = Int(share * Double(room))
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: room - filled)
    let line = "\(task) \(bar) \(([percent] + facts).joined(separator: ", "))"
    Terminal.errorFragment("\r\u{1B}[2K" + line.prefix(max(Terminal.width - 1, 20)))
    barIsShown = true
  }

  private func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}
