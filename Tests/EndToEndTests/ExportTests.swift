import BillhookTestSupport
import Foundation
import Testing

/// What Billhook writes, in the eyes of stock ONNX Runtime.
@Suite(
  .serialized,
  .enabled(if: RealData.hasJudge, "needs dataset-fashion-mnist and the packages of make test"))
struct ExportTests {
  private let folder = TemporaryFolder()
  private var judge: OnnxRuntimeJudge { OnnxRuntimeJudge(folder: folder) }

  @Test(arguments: [
    "simplenet", "cnn", "mlp", "lenet-300-100", "lenet-5", "resnet8", "resnet20",
  ])
  func `a new network gives the same outputs in ONNX Runtime`(architecture: String) throws {
    let made = try BillhookProcess(
      "new", architecture, "-o", "a.onnx", "--seed", "5", "--quiet", folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
    let checked = try judge.check("a.onnx")
    #expect(checked.metadata["billhook.layout"] == "NCHW")
    let both = try judge.compare("a.onnx", imageCount: 64)
    #expect(both.difference <= 1e-4 * max(1, both.magnitude))
    #expect(both.magnitude > 0.01)
  }

  @Test(arguments: ["teacher.onnx", "pruned.onnx", "student.onnx"])
  func `a trained network gives the same outputs in ONNX Runtime`(name: String) throws {
    try TrainedNetworks.copy(name, to: folder)
    _ = try judge.check(name)
    let both = try judge.compare(name, imageCount: 2000)
    #expect(both.difference <= 1e-4 * max(1, both.magnitude))
    #expect(both.agreement >= 0.995)
    // The network learned something: ten classes make 0.1 by chance.
    if name != "pruned.onnx" { #expect(try #require(both.ours) > 0.3) }
  }

  @Test(arguments: ["static", "dynamic", "weight-only"])
  func `a quantized network is smaller and chooses the same classes in ONNX Runtime`(
    mode: String
  ) throws {
    try TrainedNetworks.copy("student.onnx", to: folder)
    let made = try BillhookProcess(
      "quantize", "student.onnx", "-o", "int8.onnx", "--mode", mode, "--data",
      "fashion-mnist:train,limit=500", "--quiet", folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
    #expect(folder.bytes("int8.onnx").count * 3 < folder.bytes("student.onnx").count)

    let operators = try judge.check("int8.onnx").operators
    let expected = [
      "static": "QuantizeLinear", "dynamic": "DynamicQuantizeLinear",
      "weight-only": "DequantizeLinear",
    ]
    #expect(operators.contains(try #require(expected[mode])))
    let both = try judge.compare("int8.onnx", imageCount: 2000)
    #expect(both.agreement >= 0.995)
    #expect(abs(try #require(both.ours) - (try #require(both.theirs))) <= 0.002)
  }

  @Test func `percentile calibration and asymmetric grids load in ONNX Runtime`() throws {
    try TrainedNetworks.copy("student.onnx", to: folder)
    let made = try BillhookProcess(
      "quantize", "student.onnx", "-o", "int8.onnx", "--calibration", "percentile", "--percentile",
      "99.9", "--param", "scheme=asymmetric", "--data", "fashion-mnist:train,limit=500", "--quiet",
      folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
    _ = try judge.check("int8.onnx")
    #expect(try judge.compare("int8.onnx", imageCount: 1000).agreement >= 0.995)
  }
}
