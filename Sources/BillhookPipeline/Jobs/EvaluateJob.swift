public import BillhookCompression
internal import BillhookGraph
internal import Foundation

/// How well a network does on data, alone or beside another.
public struct EvaluateReport: Sendable, Codable, Equatable {
  public var model: String
  public var data: String
  public var samples: Int
  /// Nil for unlabelled data.
  public var evaluation: Evaluation?
  /// The other network, when one was named.
  public var against: String?
  public var againstEvaluation: Evaluation?
  /// top-1 minus the other network's.
  public var change: Double?
  public var agreement: Agreement?

  /// Evaluates a network.
  ///
  /// - Parameters:
  ///   - other: A network to compare with; needed when the data has no labels.
  ///   - output: The output to compare; nil for the first that is floating-point.
  public static func run(
    model path: String, data source: DataSource, against other: String? = nil,
    output: String? = nil,
    progress: (any BillhookCompression.ProgressReporting)? = nil
  ) throws -> EvaluateReport {
    let graph = try ModelFile.readGraph(path, for: "evaluate")
    let otherGraph = try other.map { try ModelFile.readGraph($0, for: "evaluate") }
    let data = try LoadedData(source)
    guard data.dataset.isLabelled || other != nil else {
      throw PipelineError.nothingToCompare(data: source.description)
    }
    let fitted = try data.dataset.fitted(to: graph)
    var report = EvaluateReport(
      model: path, data: source.description, samples: fitted.count, evaluation: nil, against: other,
      againstEvaluation: nil, change: nil, agreement: nil)
    if fitted.isLabelled { report.evaluation = try evaluate(graph, on: fitted, progress: progress) }
    if let otherGraph {
      // Its own normalisation counts for the other network.
      let otherData = try data.dataset.fitted(to: otherGraph)
      if otherData.isLabelled {
        report.againstEvaluation = try evaluate(otherGraph, on: otherData, progress: progress)
        if let own = report.evaluation, let its = report.againstEvaluation {
          report.change = own.top1 - its.top1
        }
      }
      // The other one is what differences are a share of.
      report.agreement = try compare(
        otherGraph, graph, on: fitted, output: output, progress: progress)
    }
    return report
  }

  public func text() -> String {
    var table = TextTable([
      ("network", .left), ("top-1", .right), ("95 % interval", .left), ("correct", .right),
      ("mean loss", .right),
    ])
    func add(_ name: String, _ evaluation: Evaluation) {
      table.add([
        name, NumberText.fraction(evaluation.top1),
        "\(NumberText.fraction(evaluation.intervalLow))–"
          + NumberText.fraction(evaluation.intervalHigh),
        "\(NumberText.count(evaluation.correct)) of \(NumberText.count(evaluation.count))",
        evaluation.meanLoss.map { NumberText.fixed($0, digits: 4) } ?? "",
      ])
    }
    if let evaluation { add(model, evaluation) }
    if let against, let againstEvaluation { add(against, againstEvaluation) }
    var text = table.rows.isEmpty ? "" : table.text()
    if let change { text += "\nchange: \(NumberText.points(change)) points\n" }
    if let agreement {
      text += "\n"
      if let top1 = agreement.top1 {
        text += "same class: \(NumberText.fraction(top1)) of "
        text += "\(agreement.rows) \(agreement.rows == agreement.count ? "samples" : "rows")\n"
      }
      if let difference = agreement.relativeDifference {
        text += "relative difference: \(NumberText.small(difference)) "
        text += "(root mean square), cosine \(NumberText.fixed(agreement.cosine, digits: 6))\n"
      }
      text += "largest difference of outputs: \(NumberText.small(agreement.maximumDifference)) "
      text += "(outputs span \(NumberText.significant(agreement.outputRange)))\n"
    }
    return text
  }
}
