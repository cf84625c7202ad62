import BillhookTestSupport
import Foundation
import Testing

/// Networks that others trained, pruned and brought closer to what they were, without labels.
@Suite(
  .serialized,
  .enabled(
    if: RealModel.areThere, "needs the packages of Tests/models.txt, which make test installs"))
struct RealModelDistillationTests {
  /// A line of text, tokens of a sentence, a probability beside a state: the network, samples and
  /// epochs.
  private static let models: [(RealModel, samples: Int, epochs: Int)] = [
    (.recognition, 2, 3), (.miniLM, 4, 3), (.silero16k, 8, 3),
  ]

  @Test(arguments: models)
  func `a pruned network learns from its teacher without labels`(
    model: RealModel, samples: Int, epochs: Int
  ) throws {
    let work = try RealModelFolder(model)
    let data = "npz:data.npz,limit=\(samples)"
    try work.run(
      "prune", "model.onnx", "-o", "pruned.onnx", "--granularity", "element", "--ratio", "0.5",
      "--quiet")
    let distilled = try work.run(
      "distill", "pruned.onnx", "-o", "student.onnx", "--teacher", "model.onnx", "--data", data,
      "--epochs", "\(epochs)", "--batch-size", "\(samples / 2)", "--optimizer", "adam",
      "--learning-rate", "0.0003", "--json", "--quiet")
    let losses = try JSONDecoder().decode(Distilled.self, from: Data(distilled.utf8))
      .stage.record.distill._0.epochs.map(\.meanLoss)
    #expect(try #require(losses.last) < losses[0])
    let before = try work.cosine("pruned.onnx", to: "model.onnx", on: data)
    #expect(try work.cosine("student.onnx", to: "model.onnx", on: data) > before)
    // Zeros stay zero.
    #expect(try work.inspect("student.onnx").sparsity >= work.inspect("pruned.onnx").sparsity)
    try work.infer("student.onnx")
    #expect(try work.compare("student.onnx") <= 1e-4)
  }

  private struct Distilled: Decodable {
    struct Stage: Decodable {
      struct Record: Decodable {
        struct Training: Decodable { var _0: Epochs }
        var distill: Training
      }
      var record: Record
    }
    struct Epochs: Decodable {
      struct Epoch: Decodable { var meanLoss: Double }
      var epochs: [Epoch]
    }
    var stage: Stage
  }
}

extension RealModelFolder {
  /// Runs Billhook; returns what it prints.
  @discardableResult
  func run(_ arguments: String...) throws -> String {
    let result = try BillhookProcess(arguments, folder: folder.path)
    guard result.code == 0 else { throw OnnxRuntimeJudge.Failure(description: result.errors) }
    return result.output
  }

  /// Whether a network's outputs have the direction of another's.
  func cosine(_ model: String, to other: String, on data: String) throws -> Double {
    struct Answer: Decodable {
      struct Agreement: Decodable { var cosine: Double }
      var agreement: Agreement
    }
    let text = try run("evaluate", model, "--against", other, "--data", data, "--json", "--quiet")
    return try JSONDecoder().decode(Answer.self, from: Data(text.utf8)).agreement.cosine
  }
}
