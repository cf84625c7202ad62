internal import BillhookCompression
internal import BillhookGraph
internal import Foundation

/// Measures the networks that stages wrote.
struct StageLedger {
  let test: LoadedData?
  /// Nil to leave latencies out.
  let measurement: MeasurementOptions?
  let progress: (any BillhookCompression.ProgressReporting)?

  /// A row with everything that the file itself tells; the rest is left empty.
  func row(_ graph: Graph, path: String) throws -> StageReport {
    let cost = try NetworkCost(of: graph)
    var evaluation: Evaluation?
    if let test, test.dataset.isLabelled {
      evaluation = try evaluate(graph, on: test.dataset.fitted(to: graph), progress: progress)
    }
    return StageReport(
      index: nil, stage: "", summary: "", isTeacher: false,
      file: "\(StageCache.folderName)/\(URL(fileURLWithPath: path).lastPathComponent)",
      bytes: try ModelFile.byteCount(path), evaluation: evaluation, changeAgainstTeacher: nil,
      agreementWithTeacher: nil, parameters: cost.parameters, macs: cost.macs,
      sparsity: cost.sparsity,
      latencyBatch1: try latency(graph, path, batchSize: 1),
      latencyBatch128: try latency(graph, path, batchSize: 128),
      seconds: 0, isResumed: false, layers: cost.layers, record: .none, plugins: [], warnings: [])
  }

  /// Fills in how the row's network stands against the teacher.
  ///
  /// - Parameter output: The output to compare where there are no labels; nil for the first.
  func compare(
    _ row: inout StageReport, _ graph: Graph, teacher: Graph, _ teacherEvaluation: Evaluation?,
    output: String? = nil
  ) throws {
    if let own = row.evaluation, let its = teacherEvaluation {
      row.changeAgainstTeacher = own.top1 - its.top1
    } else if let test {
      let agreement = try BillhookCompression.compare(
        teacher, graph, on: test.dataset.fitted(to: teacher), output: output, progress: progress)
      row.agreementWithTeacher = agreement.top1
      row.differenceFromTeacher = agreement.relativeDifference
    }
  }

  /// Nil for a network whose inputs have a fixed batch other than the one asked for.
  private func latency(_ graph: Graph, _ path: String, batchSize: Int) throws -> Latency? {
    let isFree = graph.inputs.allSatisfy { input in
      guard let first = input.shape?.first else { return true }
      return first.size == nil || first.size == batchSize
    }
    guard isFree, let measurement else { return nil }
    return try Latency.measure(graph, name: path, batchSize: batchSize, options: measurement)
  }
}
