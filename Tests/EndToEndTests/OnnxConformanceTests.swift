import BillhookTestSupport
import Foundation
import Testing

/// ONNX's own test cases through the command `billhook-conformance`.
@Suite struct OnnxConformanceTests {
  static let cases = "/usr/share/libonnx-testdata/data"
  static let mustBeThere = ProcessInfo.processInfo.environment["CI"] == "true"
  static let hasCases = mustBeThere || FileManager.default.fileExists(atPath: cases)

  /// The counts of a folder's last line.
  struct Summary {
    var passed = 0
    var random = 0
    var failed = 0
    var unsupported = 0

    init(_ output: String, folder: String) {
      let line = output.split(separator: "\n").first { $0.hasPrefix("\(folder): ") } ?? ""
      let numbers = line.split { !$0.isNumber }.compactMap { Int($0) }
      guard numbers.count == 5 else { return }
      (passed, random, failed, unsupported) = (numbers[1], numbers[2], numbers[3], numbers[4])
    }
  }

  private func run(_ arguments: [String], _ folder: TemporaryFolder) throws -> BillhookProcess {
    let program = BillhookProcess.executable.deletingLastPathComponent()
      .appendingPathComponent("billhook-conformance")
    return try BillhookProcess(program, arguments, folder: folder.path)
  }

  @Test(.enabled(if: hasCases))
  func `the node tests of libonnx-testdata pass on values`() throws {
    let result = try run(["--folders", "node"], TemporaryFolder())
    let summary = Summary(result.output, folder: "node")
    #expect(summary.failed == 0, "\(result.output)")
    #expect(summary.passed >= 860)
    #expect(summary.random == 10)
  }

  @Test(.enabled(if: hasCases), arguments: ["simple", "pytorch-operator", "pytorch-converted"])
  func `the other folders of libonnx-testdata pass`(folder: String) throws {
    let result = try run(["--folders", folder], TemporaryFolder())
    let summary = Summary(result.output, folder: folder)
    #expect(summary.failed == 0, "\(result.output)")
    #expect(summary.passed > 0)
  }

  @Test(.enabled(if: RealData.hasJudge))
  func `the node tests of today's operator set pass on values`() throws {
    let folder = TemporaryFolder()
    let script = PackageFolder.url.appendingPathComponent("Tests/Fixtures/onnx_cases.py")
    let written = try BillhookProcess(
      OnnxRuntimeJudge.python, [script.path, folder.path], folder: folder.path)
    try #require(written.code == 0, "\(written.errors)")
    let result = try run(["--data", folder.path], folder)
    let summary = Summary(result.output, folder: "node")
    #expect(summary.failed == 0, "\(result.output)")
    #expect(summary.passed >= 1300)
  }
}
