import BillhookFormats
import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

/// Whole networks against what PyTorch recorded; see Tests/Fixtures/gradients/record.py.
@Suite struct RecordedGradientTests {
  @Test(arguments: ["resnet20", "transformer", "lstm"])
  func `a network's gradient is the one that PyTorch recorded`(name: String) throws {
    let folder = PackageFolder.url.appendingPathComponent("Tests/Fixtures/gradients")
    let graph = try ONNXFile.read(path: folder.appendingPathComponent("\(name).onnx").path)
    let recorded = try NumpyArchive.read(path: folder.appendingPathComponent("\(name).npz").path)
    let input = try #require(recorded["input"])
    let plan = try TrainingPlan(graph, batchSize: input.shape[0], optimizer: .sgd())
    var output = Tensor(zeros: [0])
    try plan.step(["x": input], learningRate: 0) { found, gradient in
      output = found
      gradient = recorded["direction"]!
    }
    expectClose(output, recorded["output"]!, "the output")
    let gradients = try plan.gradients()
    let prefix = "gradient/"
    let names = recorded.keys.filter { $0.hasPrefix(prefix) }.map { $0.dropFirst(prefix.count) }
    #expect(gradients.keys.sorted() == names.map { String($0) }.sorted())
    for name in names {
      let expected = try #require(recorded["\(prefix)\(name)"])
      if let found = gradients[String(name)] { expectClose(found, expected, String(name)) }
    }
  }

  private func expectClose(_ found: Tensor, _ expected: Tensor, _ name: String) {
    #expect(found.shape == expected.shape, "\(name)")
    let (a, b) = (found.floats(), expected.floats())
    let range = max(b.map(abs).max() ?? 0, 1e-3)
    let worst = zip(a, b).map { abs($0 - $1) }.max() ?? 0
    #expect(worst <= 1e-4 * range, "\(name): off by \(worst) of \(range)")
  }
}
