import Billhook
import BillhookTestSupport
import Foundation
import Testing

/// Quantizers of third parties on a trained network, judged by stock ONNX Runtime on the written file.
@Suite(
  .serialized,
  .enabled(if: RealData.hasJudge, "needs dataset-fashion-mnist and the packages of make test"))
struct ThirdPartyFormatTests {
  private let folder = TemporaryFolder()
  private var judge: OnnxRuntimeJudge { OnnxRuntimeJudge(folder: folder) }

  private static func plugin(_ name: String) throws -> String {
    switch name {
    case "normal-float": try compiledPlugin("Plugins/Examples/c-normal-float/normal_float.c")
    case "power-of-two":
      BillhookProcess.executable.deletingLastPathComponent()
        .appendingPathComponent("libbillhook-example-power-of-two.so").path
    default: name
    }
  }

  /// The share of the file's bytes, the points of accuracy that may be lost, and the least decibels
  /// between a layer's weights and their error, as the plugins' docs let one expect.
  @Test(arguments: [
    ("normal-float", [], 0.16, 0.02, 19.0),
    ("power-of-two", [], 0.15, 0.05, 13.0),
    ("affine-int8", ["weight_bits=4", "granularity=block"], 0.20, 0.03, 18.0),
  ])
  func `a small format runs in ONNX Runtime and keeps the accuracy`(
    name: String, parameters: [String], share: Double, loss: Double, decibels: Double
  ) throws {
    try TrainedNetworks.copyGentle(to: folder("trained.onnx"))
    let made = try BillhookProcess(
      ["quantize", "trained.onnx", "-o", "small.onnx", "--mode", "weight-only", "--quantizer"]
        + [Self.plugin(name), "--quiet", "--json"] + parameters.flatMap { ["--param", $0] },
      folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
    let report = try JSONDecoder().decode(JobReport.self, from: Data(made.output.utf8))
    guard case .quantize(let record) = report.stage.record else {
      Issue.record("there is no record of a quantization")
      return
    }
    #expect(record.layers.count == 4)
    for layer in record.layers {
      #expect(try #require(layer.signalToNoise, "\(layer.name)") >= decibels, "\(layer.name)")
    }
    // The report speaks of the network that the packed weights stand for.
    #expect(report.stage.macs == report.inputMACs)
    #expect(report.stage.parameters == report.inputParameters)
    let bytes = Double(folder.bytes("small.onnx").count)
    #expect(bytes <= share * Double(folder.bytes("trained.onnx").count))

    _ = try judge.check("small.onnx")
    let both = try judge.compare("small.onnx", imageCount: 2000)
    #expect(both.difference <= 1e-4 * max(1, both.magnitude))
    let before = try judge.compare("trained.onnx", imageCount: 2000)
    let (top1, baseline) = (try #require(both.theirs), try #require(before.theirs))
    #expect(baseline >= 0.7)
    #expect(top1 >= baseline - loss)
  }
}
