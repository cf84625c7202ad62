public import Foundation

extension ConformanceReport {
  /// The report as people read it: every failure with its rule and how to see it again.
  ///
  /// - Parameter onlyFailed: Leaves out what passed or was skipped.
  public func text(onlyFailed: Bool = false) -> String {
    var lines: [String] = []
    var heading = ""
    for result in results {
      let isGood = result.status == .pass || result.status == .skip
      if onlyFailed && isGood { continue }
      let title = result.plugin.isEmpty ? result.library : "\(result.plugin) in \(result.library)"
      if title != heading {
        lines += (heading.isEmpty ? [] : [""]) + [title]
        heading = title
      }
      lines += Self.lines(result)
    }
    for entry in unloadable { lines.append("\(entry.library): \(entry.reason)") }
    if !leftOut.isEmpty {
      // With --include that is nearly all of them, and whoever asks for one knows it.
      let names =
        leftOut.count > 10 ? "\(leftOut.count) tests" : leftOut.joined(separator: ", ")
      lines.append("Not run: \(names).")
    }
    return (lines + [summary]).joined(separator: "\n")
  }

  /// One result: a line, and for a failure what is needed to see it again.
  public static func lines(_ result: ConformanceResult) -> [String] {
    let status = result.status.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0)
    var lines = ["  \(status) \(result.test)"]
    switch result.status {
    case .pass: break
    case .skip: lines[0] += ": \(result.message)"
    case .warn: lines[0] += ": \(result.message) (\(result.level.rawValue), \(result.rule))"
    case .fail, .crash, .timeout:
      lines[0] += ": \(result.message)"
      lines.append("          rule \(result.rule): \(result.claim)")
      lines.append("          seed \(result.seed); again: \(result.command)")
    }
    return lines
  }

  /// `52 passed, 1 failed, ...`.
  public var summary: String {
    let words: [(Verdict.Status, String)] = [
      (.pass, "passed"), (.warn, "warned"), (.fail, "failed"), (.crash, "crashed"),
      (.timeout, "took too long"), (.skip, "skipped"),
    ]
    let counts = words.compactMap { status, word in
      count(status) == 0 ? nil : "\(count(status)) \(word)"
    }
    return "Level \(level.rawValue): "
      + (counts.isEmpty ? "no test ran" : counts.joined(separator: ", "))
      + "."
  }

  /// The report as JSON, with the same names as in Swift.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// The report in the form that continuous integration reads: a suite a library and plugin.
  public func junit() -> Data {
    var lines = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>"]
    lines.append("<testsuites name=\"billhook plugin validate\">")
    var suites: [(name: String, results: [ConformanceResult])] = []
    for result in results {
      let name = result.plugin.isEmpty ? result.library : result.plugin
      if suites.last?.name != name { suites.append((name, [])) }
      suites[suites.count - 1].results.append(result)
    }
    for suite in suites {
      let failed = suite.results.count(where: \.isFailure)
      let skipped = suite.results.count { $0.status == .skip }
      lines.append(
        "  <testsuite name=\"\(Self.escaped(suite.name))\" tests=\"\(suite.results.count)\" "
          + "failures=\"\(failed)\" skipped=\"\(skipped)\">")
      for result in suite.results {
        let head =
          "    <testcase name=\"\(result.test)\" classname=\"\(Self.escaped(suite.name))\" "
          + "time=\"\(Double(result.milliseconds) / 1000)\""
        let message = Self.escaped(result.message)
        switch result.status {
        case .pass: lines.append("\(head)/>")
        case .skip: lines.append("\(head)><skipped message=\"\(message)\"/></testcase>")
        case .warn: lines.append("\(head)><system-out>warning: \(message)</system-out></testcase>")
        case .fail, .crash, .timeout:
          lines.append(
            "\(head)><failure type=\"\(result.status.rawValue)\" message=\"\(message)\">"
              + "rule \(result.rule): \(Self.escaped(result.claim))\n"
              + "\(Self.escaped(result.command))</failure></testcase>")
        }
      }
      lines.append("  </testsuite>")
    }
    for entry in unloadable {
      lines.append(
        "  <testsuite name=\"\(Self.escaped(entry.library))\" tests=\"1\" failures=\"1\">"
          + "<testcase name=\"load\"><failure message=\"\(Self.escaped(entry.reason))\"/>"
          + "</testcase></testsuite>")
    }
    lines.append("</testsuites>\n")
    return Data(lines.joined(separator: "\n").utf8)
  }

  /// Text as an XML attribute takes it; what XML cannot hold becomes a question mark.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "\n": result += "&#10;"
      case _ where scalar.value < 32 || scalar.value == 0xFFFE || scalar.value == 0xFFFF:
        result += "?"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
