import BillhookTestSupport
import Foundation
import Testing

/// A plugin in C++ on a real network, named by its path.
@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct PluginByPathTests {
  private let folder = TemporaryFolder()
  private let source = "Plugins/Examples/cxx-geometric-median/geometric_median.cc"

  @Test(arguments: ["l1", "l2"])
  func `the C++ example chooses the channels of a trained network`(distance: String) throws {
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    let plugin = try compiledPlugin(source)
    let pruned = try BillhookProcess(
      "prune", "teacher.onnx", "-o", "out.onnx", "--granularity", "channel", "--ratio", "0.5",
      "--scorer", plugin, "--param", "distance=\(distance)", "--data",
      "fashion-mnist:train,limit=500", "--test", "fashion-mnist:test,limit=500", "--json",
      "--quiet", folder: folder.path)
    #expect(pruned.code == 0, "\(pruned.errors)")
    #expect(pruned.output.contains("\"org.example.geometric-median\""))
    #expect(folder.bytes("out.onnx").count * 3 < folder.bytes("teacher.onnx").count)

    let inspected = try BillhookProcess("inspect", "out.onnx", "--json", folder: folder.path)
    #expect(inspected.code == 0)
    #expect(inspected.output.contains("org.example.geometric-median"))
  }

  @Test func `what a scorer observed is kept beside the output and taken up again`() throws {
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    let plugin = try compiledPlugin("Tests/Fixtures/contract.c") + "#org.example.contract.sums"
    func prune(_ output: String) throws -> [UInt8] {
      let pruned = try BillhookProcess(
        "prune", "teacher.onnx", "-o", output, "--granularity", "element", "--ratio", "0.5",
        "--scorer", plugin, "--data", "fashion-mnist:train,limit=50", "--json", "--quiet",
        folder: folder.path)
      #expect(pruned.code == 0, "\(pruned.errors)")
      return [UInt8](folder.bytes(output))
    }
    let first = try prune("first.onnx")
    let kept = try FileManager.default.contentsOfDirectory(atPath: folder(".billhook"))
    #expect(kept.filter { $0.hasPrefix("observed-") }.count == 1)
    #expect(try prune("second.onnx") == first)
  }

  @Test func `plugin show describes a file`() throws {
    let result = try BillhookProcess(
      "plugin", "show", try compiledPlugin(source), folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(
      result.output.hasPrefix(
        "org.example.geometric-median (scorer): Channels near the middle of the others matter least."
      ))
  }
}
