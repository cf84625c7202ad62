import BillhookTestSupport
import Foundation

/// Asks stock ONNX Runtime, through Tests/Fixtures/onnxruntime_judge.py.
struct OnnxRuntimeJudge {
  static let python = PackageFolder.url.appendingPathComponent("build/venv/bin/python")

  /// A file that passed onnx.checker and was loaded.
  struct Checked: Decodable {
    var opset: Int
    var operators: [String]
    var metadata: [String: String]
  }

  /// The outputs of `billhook infer` beside ONNX Runtime's.
  struct Comparison: Decodable {
    /// The largest absolute difference of two numbers, and the largest absolute number.
    var difference: Double
    var magnitude: Double
    /// The share of samples for which both name the same class first.
    var agreement: Double
    /// Top-1 where labels are known.
    var ours: Double?
    var theirs: Double?
  }

  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  let folder: TemporaryFolder

  func check(_ model: String) throws -> Checked { try ask("check", model) }

  /// Runs `model` in both on the first test images of Fashion-MNIST.
  func compare(_ model: String, imageCount: Int) throws -> Comparison {
    let data = "\(RealData.folder)/t10k"
    let images = "images-\(UUID().uuidString).npy"
    let outputs = "\(images).npz"
    let _: [String: [Int]] = try ask(
      "images", model, "\(data)-images-idx3-ubyte.gz", "\(imageCount)", images)
    let ours = try BillhookProcess(
      "infer", model, "--input", "input=\(images)", "-o", outputs, "--quiet", folder: folder.path)
    guard ours.code == 0 else { throw Failure(description: ours.errors) }
    return try ask("compare", model, images, outputs, "\(data)-labels-idx1-ubyte.gz")
  }

  private func ask<Answer: Decodable>(_ arguments: String...) throws -> Answer {
    let script = PackageFolder.url.appendingPathComponent("Tests/Fixtures/onnxruntime_judge.py")
    guard FileManager.default.isExecutableFile(atPath: Self.python.path) else {
      throw Failure(
        description: "There is no \(Self.python.path); \"make test\" makes it.")
    }
    let result = try BillhookProcess(
      Self.python, [script.path] + arguments, folder: folder.path)
    guard result.code == 0 else { throw Failure(description: result.errors) }
    return try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
  }
}
