internal import BillhookRuntime
internal import OrderedCollections

/// Where the time of a run goes.
public struct Profile: Sendable, Codable, Equatable {
  public struct Operation: Sendable, Codable, Equatable {
    /// The kernel; `Host` for an operator that has none, computed by its own definition.
    public var kernel: String
    public var node: String
    public var op: String
    /// Operators of the nodes that are computed in the same pass.
    public var fused: [String]
    /// The median over the runs, of all its turns in one run.
    public var medianSeconds: Double
    /// Of the time of all operations, 0...1.
    public var share: Double
  }

  public var runs: Int
  /// In running order.
  public var operations: [Operation]

  init(_ runs: [[Profiler.Span]]) {
    var times: OrderedDictionary<PlanOperation, [Double]> = [:]
    for (index, spans) in runs.enumerated() {
      for span in spans {
        times[span.operation, default: .init(repeating: 0, count: runs.count)][index] +=
          span.duration.inSeconds
      }
    }
    let medians = times.mapValues { quantile($0, 0.5) }
    let total = medians.values.reduce(0, +)
    self.runs = runs.count
    operations = medians.map { operation, seconds in
      Operation(
        kernel: operation.kernel, node: operation.node, op: operation.op, fused: operation.fused,
        medianSeconds: seconds, share: total > 0 ? seconds / total : 0)
    }
  }

  /// Rows of the longest operations, then one for each kernel.
  func text(longest: Int = 25) -> String {
    var table = TextTable([
      ("time", .right), ("share", .right), ("kernel", .left), ("node", .left), ("operators", .left),
    ])
    let sorted = operations.enumerated()
      .sorted { ($1.element.medianSeconds, $0.offset) < ($0.element.medianSeconds, $1.offset) }
      .map(\.element)
    for row in sorted.prefix(longest) {
      table.add([
        NumberText.seconds(row.medianSeconds), percent(row.share), row.kernel, row.node,
        ([row.op] + row.fused).joined(separator: " + "),
      ])
    }
    let more =
      sorted.count > longest ? "and \(sorted.count - longest) more operations (see --json)\n" : ""
    var kernels = TextTable([
      ("time", .right), ("share", .right), ("kernel", .left), ("operations", .right),
    ])
    for (kernel, rows) in OrderedDictionary(grouping: sorted, by: \.kernel).elements
      .map({ ($0.key, $0.value) })
      .sorted(by: { $0.1.reduce(0) { $0 + $1.share } > $1.1.reduce(0) { $0 + $1.share } })
    {
      kernels.add([
        NumberText.seconds(rows.reduce(0) { $0 + $1.medianSeconds }),
        percent(rows.reduce(0) { $0 + $1.share }), kernel, "\(rows.count)",
      ])
    }
    return table.text() + more + "\n" + kernels.text()
      + "\nmedians of \(runs) runs, operations timed one by one\n"
  }

  private func percent(_ share: Double) -> String {
    NumberText.fixed(share * 100, digits: 1) + " %"
  }
}
