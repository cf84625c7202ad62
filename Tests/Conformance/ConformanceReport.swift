internal import BillhookGraph
internal import BillhookRuntime
internal import Foundation

/// Results for people: a summary, and the table of the documentation.
enum ConformanceReport {
  static func text(_ results: [ConformanceResult], folder: String, listsPassed: Bool) -> String {
    var lines: [String] = []
    var (passed, random, failed, unsupported) = (0, 0, 0, 0)
    for result in results {
      switch result.outcome {
      case .passed:
        passed += 1
        if listsPassed { lines.append("passed         \(result.name)") }
      case .passedRandom:
        random += 1
        lines.append("random         \(result.name)")
      case .failed(let reason):
        failed += 1
        lines.append("failed         \(result.name): \(reason)")
      case .unsupported(let reason):
        unsupported += 1
        lines.append("not supported  \(result.name): \(reason)")
      }
    }
    lines.append(
      """
      \(folder): \(results.count) cases, \(passed) passed, \(random) random with the right \
      distribution, \(failed) failed, \(unsupported) not supported
      """)
    return lines.joined(separator: "\n")
  }

  /// The marks around the table in the documentation.
  static let marks = (
    begin: "<!-- operators: written by make onnx-conformance -->", end: "<!-- end of operators -->"
  )

  /// Every operator, whether kernels run it, forward and backward, and how many cases with it pass.
  static func table(_ results: [ConformanceResult]) -> String {
    var lines = [
      "| operator | runs in | gradient | node tests passed |", "|---|---|---|---|",
    ]
    let kernels = Set(InferencePlan.kernelOperators)
    let gradients = Set(TrainingPlan.kernelOperators)
    for name in Graph.supportedOperators {
      let own = results.filter { $0.operators.contains(name) }
      let counted = own.filter { if case .unsupported = $0.outcome { false } else { true } }
      let passed = counted.filter { !$0.hasFailed }
      let tests = counted.isEmpty ? "none exist" : "\(passed.count) of \(counted.count)"
      let gradient =
        OperatorTable.reasonForNoGradient(of: name).map { "none: \($0)" }
        ?? (gradients.contains(name) ? "kernels" : "host")
      lines.append(
        "| \(name) | \(kernels.contains(name) ? "kernels" : "host") | \(gradient) | \(tests) |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Cases that are not supported, by reason.
  static func leftOut(_ results: [ConformanceResult]) -> String {
    var names: [String: [String]] = [:]
    for result in results {
      if case .unsupported(let reason) = result.outcome {
        names[reason, default: []].append(result.name)
      }
    }
    var lines = ["| reason | node tests left out |", "|---|---|"]
    for (reason, cases) in names.sorted(by: { $0.key < $1.key }) {
      lines.append("| \(reason) | \(cases.sorted().joined(separator: ", ")) |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Writes both tables between the marks of a file.
  static func writeTable(_ results: [ConformanceResult], to path: String) throws {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    guard let begin = text.range(of: marks.begin), let end = text.range(of: marks.end) else {
      throw MissingMarks(path: path)
    }
    let new =
      text[..<begin.upperBound] + "\n\n" + table(results) + "\n" + leftOut(results) + "\n"
      + text[end.lowerBound...]
    try String(new).write(toFile: path, atomically: true, encoding: .utf8)
  }

  struct MissingMarks: Error, CustomStringConvertible {
    var path: String
    var description: String {
      "\"\(path)\" lacks the lines \"\(marks.begin)\" and \"\(marks.end)\" around its table."
    }
  }
}
