public import BillhookCompression
internal import Foundation

/// The result of a sweep: how accurate a network is after each scorer's pruning at each ratio.
public struct SweepReport: Sendable, Codable, Equatable {
  /// The network as it was.
  public struct Unpruned: Sendable, Codable, Equatable {
    public var bytes: Int
    public var parameters: Int
    public var macs: Int
    /// Zeros among the weights of layers, as a fraction.
    public var sparsity: Double
    public var evaluation: Evaluation
  }

  /// One scorer at one ratio.
  public struct Point: Sendable, Codable, Equatable {
    /// The scorer's name in tables and plots.
    public var label: String
    public var plugins: [PluginUse]
    /// The ratio that was asked for.
    public var ratio: Double
    /// The share of the unpruned network's layer weights that are zero or cut out, 0...1.
    public var sparsity: Double
    /// Of the written file.
    public var bytes: Int
    public var parameters: Int
    public var macs: Int
    public var evaluation: Evaluation
    /// top-1 minus the unpruned network's.
    public var change: Double
    /// Scoring, pruning and, where asked for, distillation.
    public var seconds: Double
    /// True when an earlier sweep had worked it out.
    public var isResumed: Bool
    public var warnings: [String]
  }

  public var version: String
  public var model: String
  public var data: String
  public var calibration: String?
  public var granularity: String
  public var scope: String
  public var distillSteps: Int?
  public var seed: UInt64
  public var unpruned: Unpruned
  /// Scorer by scorer, each with its ratios, in the order asked for.
  public var points: [Point]

  /// The scorers' names in the order asked for.
  public var labels: [String] {
    points.reduce(into: []) { labels, point in
      if !labels.contains(point.label) { labels.append(point.label) }
    }
  }

  /// The result for a person.
  public func text() -> String {
    var table = TextTable([
      ("scorer", .left), ("ratio", .right), ("sparsity", .right), ("top-1", .right),
      ("95 % interval", .left), ("change", .right), ("on disk", .right), ("time", .right),
    ])
    func interval(_ evaluation: Evaluation) -> String {
      "\(NumberText.fraction(evaluation.intervalLow))–"
        + NumberText.fraction(evaluation.intervalHigh)
    }
    table.add([
      "(unpruned)", "", NumberText.fraction(unpruned.sparsity),
      NumberText.fraction(unpruned.evaluation.top1), interval(unpruned.evaluation), "",
      NumberText.bytes(unpruned.bytes), "",
    ])
    for point in points {
      table.add([
        point.label, "\(point.ratio)", NumberText.fraction(point.sparsity),
        NumberText.fraction(point.evaluation.top1), interval(point.evaluation),
        NumberText.points(point.change), NumberText.bytes(point.bytes),
        point.isResumed ? "kept" : NumberText.seconds(point.seconds),
      ])
    }
    let warnings = points.flatMap { point in
      point.warnings.map { "- \(point.label), ratio \(point.ratio): \($0)" }
    }
    return "\(heading)\n\n\(table.text())"
      + (warnings.isEmpty ? "" : "\nWarnings\n\n\(warnings.joined(separator: "\n"))\n")
  }

  /// What was compared, in one line.
  var heading: String {
    let recovery = distillSteps.map { ", \($0) steps of distillation" } ?? ", no training"
    return "\(model) on \(data): \(granularity)s, ranked per "
      + "\(scope == "global" ? "network" : "layer")\(recovery)"
  }

  /// A table for programs: one line a point, the unpruned network first with an empty scorer.
  ///
  /// Times are left out, so that the same sweep gives the same bytes.
  public func csv() -> String {
    let columns = [
      "scorer", "plugin", "plugin_version", "plugin_sha256", "plugin_parameters", "granularity",
      "scope", "distill_steps", "ratio", "sparsity", "top1", "top1_low", "top1_high", "correct",
      "samples", "change", "bytes", "parameters", "macs",
    ]
    func numbers(_ evaluation: Evaluation) -> [String] {
      [
        "\(evaluation.top1)", "\(evaluation.intervalLow)", "\(evaluation.intervalHigh)",
        "\(evaluation.correct)", "\(evaluation.count)",
      ]
    }
    let common = [granularity, scope, "\(distillSteps ?? 0)"]
    var rows = [columns]
    rows.append(
      ["", "", "", "", ""] + common + ["0", "\(unpruned.sparsity)"]
        + numbers(unpruned.evaluation)
        + ["0", "\(unpruned.bytes)", "\(unpruned.parameters)", "\(unpruned.macs)"])
    for point in points {
      let use = point.plugins.first
      let parameters = use?.parameters.map { "\($0.key)=\($0.value)" }.joined(separator: "&")
      rows.append(
        [point.label, use?.id ?? "", use?.version ?? "", use?.sha256 ?? "", parameters ?? ""]
          + common + ["\(point.ratio)", "\(point.sparsity)"] + numbers(point.evaluation)
          + ["\(point.change)", "\(point.bytes)", "\(point.parameters)", "\(point.macs)"])
    }
    return rows.map { $0.map(Self.quoted).joined(separator: ",") + "\n" }.joined()
  }

  /// A field as RFC 4180 wants it.
  private static func quoted(_ field: String) -> String {
    guard field.contains(where: { ",\"\n\r".contains($0) }) else { return field }
    return "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\""
  }
}
