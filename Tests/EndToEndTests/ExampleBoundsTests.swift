import Billhook
import BillhookTestSupport
import Foundation
import Testing

/// What the example plugins claim, on networks that were trained on real images.
@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct ExampleBoundsTests {
  private let folder = TemporaryFolder()

  private func run(_ command: String, _ more: String...) throws -> BillhookProcess {
    let result = try BillhookProcess(
      command.split(separator: " ").map(String.init) + more + ["--json", "--quiet"],
      folder: folder.path)
    #expect(result.code == 0, "\(command)\n\(result.errors)")
    return result
  }

  /// A scorer's lead over chance in top-1, chance being the mean of three seeds.
  private func lead(of scorer: String, _ options: String) throws -> Double {
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    var differences: [Double] = []
    for seed in 0..<3 {
      let result = try run(
        "sweep --model teacher.onnx --data fashion-mnist:test,limit=2000 --scorer random "
          + "--calibration fashion-mnist:train,limit=500 -o sweep \(options) --seed \(seed)",
        "--scorer", scorer)
      let report = try JSONDecoder().decode(SweepReport.self, from: Data(result.output.utf8))
      try #require(report.points.count == 2)
      for point in report.points { #expect(point.sparsity >= 0.699) }
      differences.append(report.points[1].evaluation.top1 - report.points[0].evaluation.top1)
    }
    return differences.reduce(0, +) / 3
  }

  @Test func `first-order Taylor importance beats chance by 5 points at 70 % sparsity`() throws {
    let plugin = try compiledPlugin("Plugins/Examples/c-taylor/taylor.c")
    #expect(try lead(of: plugin, "--granularity element --ratio 0.7") >= 0.05)
  }

  @Test func `the geometric median beats chance by 5 points at 70 % sparsity`() throws {
    let plugin = try compiledPlugin(
      "Plugins/Examples/cxx-geometric-median/geometric_median.cc")
    #expect(try lead(of: plugin, "--granularity channel --ratio 0.47") >= 0.05)
  }

  /// Top-1 of a pruned network after training on 100 images, with a loss plugin's parameters.
  private func accuracy(of loss: String, seed: Int, _ parameters: String = "") throws -> Double {
    let result = try run(
      "distill pruned.onnx -o student.onnx --teacher teacher.onnx --epochs 20 --batch-size 25 "
        + "--learning-rate 0.005 --data fashion-mnist:train,limit=100 "
        + "--feature relu2.output=relu2.output --feature relu3.output=relu3.output "
        + "--test fashion-mnist:test,limit=2000 --seed \(seed) \(parameters)",
      "--loss", loss)
    let report = try JSONDecoder().decode(JobReport.self, from: Data(result.output.utf8))
    return try #require(report.stage.evaluation).top1
  }

  @Test func `feature matching beats labels alone by 2 points at equal steps`() throws {
    let plugin = try compiledPlugin("Plugins/Examples/rust-feature-matching/feature_matching.rs")
    // A teacher that is better than its student becomes from labels alone; the one of the other
    // tests is not.
    for command in [
      "new cnn -o new.onnx --width 16 --seed 1",
      "train new.onnx -o teacher.onnx --data fashion-mnist:train,limit=10000 --epochs 2 "
        + "--batch-size 50 --seed 1",
      "prune teacher.onnx -o pruned.onnx --granularity channel --ratio 0.75 --exclude fc1 "
        + "--data fashion-mnist:train,limit=500",
    ] {
      _ = try run(command)
    }
    var differences: [Double] = []
    for seed in 0..<3 {
      let labels = try accuracy(
        of: plugin, seed: seed, "--param direction=0 --param features=0")
      differences.append(try accuracy(of: plugin, seed: seed) - labels)
    }
    #expect(differences.reduce(0, +) / 3 >= 0.02, "\(differences)")
  }
}
