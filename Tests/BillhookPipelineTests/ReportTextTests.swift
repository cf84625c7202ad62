import BillhookCompression
import BillhookPipeline
import BillhookPlugins
import BillhookTestSupport
import Foundation
import Testing

@Suite struct ReportTextTests {
  @Test func `the text of a report is the recorded one`() throws {
    let difference = GoldenFile("Tests/Golden/report.txt").difference(from: try report().text())
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test func `a report survives its JSON`() throws {
    let report = try report()
    #expect(try JSONDecoder().decode(Report.self, from: report.json()) == report)
    #expect(try report.json() == report.json())
  }

  @Test func `whole numbers have ranges of whole numbers`() throws {
    let listing = try PluginListing.find("affine-int8", hook: .quantizer, in: PluginCatalog())
    let ranges = listing.parameters.map { "\($0.key) \($0.range ?? "-")" }
    #expect(ranges.contains("weight_bits 2...8"))
    #expect(ranges.contains("block_size 1...65536"))
    let scorer = try PluginListing.find("magnitude", hook: .scorer, in: PluginCatalog())
    #expect(scorer.parameters.map(\.range) == ["0.1...8.0"])
  }

  /// A report of a run that never was: read from JSON, as a program would.
  private func report() throws -> Report {
    func evaluation(_ correct: Int) throws -> String {
      let value = Evaluation(correct: correct, count: 10_000, meanLoss: 0.25)
      return String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
    func latency(_ batch: Int, _ seconds: Double) -> String {
      """
      {"batchSize": \(batch), "threads": 2, "medianSeconds": \(seconds), \
      "percentile95Seconds": \(seconds), "runs": 50}
      """
    }
    let layer = """
      {"name": "conv1", "op": "Conv", "shape": [16, 1, 3, 3], "elementType": "float32", \
      "parameters": 160, "macs": 112896, "zeros": 36}
      """
    let plugin = """
      {"id": "org.billhook.magnitude", "hook": "scorer", "version": "1.0", "sha256": "abc123", \
      "parameters": [{"key": "exponent", "value": "1.0"}]}
      """
    func stage(
      _ index: Int, _ name: String, _ file: String, bytes: Int, correct: Int, change: Double?,
      record: String
    ) throws -> String {
      """
      {"index": \(index), "stage": "\(name)", "summary": "settings of \(name)", \
      "isTeacher": \(index == 0), "file": "\(file)", "bytes": \(bytes), \
      "evaluation": \(try evaluation(correct)), \
      \(change.map { "\"changeAgainstTeacher\": \($0)," } ?? "") \
      "parameters": \(bytes / 4), "macs": 4241152, "sparsity": 0.25, \
      "latencyBatch1": \(latency(1, 0.000_213)), "latencyBatch128": \(latency(128, 0.012_5)), \
      "seconds": 31.5, "isResumed": \(index == 0), "layers": [\(layer)], "record": \(record), \
      "plugins": [], "warnings": []}
      """
    }
    let train = """
      {"train": {"_0": {"epochs": [{"epoch": 1, "steps": 468, "meanLoss": 0.512, \
      "learningRate": 0.025}], "batchSize": 128, "samplesPerEpoch": 59904, "usedTeacher": false, \
      "keptZeros": []}}}
      """
    let text = """
      {"schema": "billhook.report/1", "version": "0.1.0", "recipe": "demo.yaml", \
      "recipeSHA256": "0123", "seed": 1, \
      "data": [{"role": "test", "source": "fashion-mnist:test", "samples": 10000, \
      "labelled": true, "sha256": "4567"}], \
      "machine": {"instructionSet": "avx2", "threads": 2}, \
      "stages": [\(try stage(
        0, "train", "teacher.onnx", bytes: 1_690_112, correct: 9260, change: nil, record: train)), \
      \(try stage(
        1, "prune", "small.onnx", bytes: 430_080, correct: 9211, change: -0.0049,
        record: #"{"none": {}}"#))], \
      "plugins": [\(plugin)], "warnings": ["prune: something to know"]}
      """
    return try JSONDecoder().decode(Report.self, from: Data(text.utf8))
  }
}
