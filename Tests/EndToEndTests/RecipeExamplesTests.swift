import BillhookTestSupport
import Foundation
import Testing

/// The documented recipes, on few samples.
@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the Debian package dataset-fashion-mnist"))
struct RecipeExamplesTests {
  private let folder = TemporaryFolder()

  private func recipe(_ name: String) -> String {
    PackageFolder.url.appendingPathComponent("docs/recipes/\(name).yaml").path
  }

  private func run(_ name: String, _ settings: String...) throws -> BillhookProcess {
    let small =
      settings + [
        "output=\(folder("out"))", "data.test=fashion-mnist:test,limit=200",
      ]
    return try BillhookProcess(
      ["run", recipe(name)] + small.flatMap { ["--set", $0] } + ["--quiet"], folder: folder.path)
  }

  @Test func `the demo writes its networks and a table`() throws {
    let result = try run(
      "demo", "data.train=fashion-mnist:train,limit=512",
      "data.calibration=fashion-mnist:train,limit=128", "stages.0.train.epochs=1",
      "stages.2.distill.epochs=1")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.contains("quantize"))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder("out")).sorted()
    #expect(
      names == [
        ".billhook", "report.json", "report.txt", "student.int8.onnx", "student.onnx",
        "teacher.onnx",
      ])
    #expect(folder.bytes("out/student.onnx").count * 3 < folder.bytes("out/teacher.onnx").count)

    let quantized = try run(
      "quantize", "model=\(folder("out/student.onnx"))",
      "data.calibration=fashion-mnist:train,limit=128")
    #expect(quantized.code == 0, "\(quantized.errors)")
    #expect(folder.bytes("out/model.int8.onnx").count < folder.bytes("out/student.onnx").count)
  }

  @Test func `the quantization-aware example trains a student that is quantized afterwards`() throws
  {
    let result = try run(
      "qat", "data.train=fashion-mnist:train,limit=512",
      "data.calibration=fashion-mnist:train,limit=128", "stages.0.train.epochs=1",
      "stages.2.distill.epochs=1", "stages.3.distill.epochs=1")
    #expect(result.code == 0, "\(result.errors)")
    #expect(
      String(decoding: folder.bytes("out/report.json"), as: UTF8.self).contains(
        "through affine-int8"))
    #expect(folder.bytes("out/aware.int8.onnx").count * 3 < folder.bytes("out/aware.onnx").count)
    #expect(folder.bytes("out/aware.onnx") != folder.bytes("out/student.onnx"))
  }

  @Test func `the sparse example keeps its zeros`() throws {
    let result = try run(
      "sparse", "data.train=fashion-mnist:train,limit=512", "stages.0.train.epochs=1",
      "stages.2.distill.epochs=1")
    #expect(result.code == 0, "\(result.errors)")
    let json =
      try JSONSerialization.jsonObject(
        with: Data(folder.bytes("out/report.json"))) as? [String: Any]
    let stages = try #require(json?["stages"] as? [[String: Any]])
    let sparsities = stages.compactMap { $0["sparsity"] as? Double }
    try #require(sparsities.count == 4)
    #expect(sparsities[1] > 0.89)
    #expect(sparsities[2] >= sparsities[1])
  }
}
