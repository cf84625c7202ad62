import BillhookFormats
import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

/// Training of networks that are not convolutional.
@Suite struct NetworkKindTests {
  private let folder = TemporaryFolder()

  private func run(_ command: String) throws {
    let result = try BillhookProcess(
      command.split(separator: " ").map(String.init) + ["--quiet"], folder: folder.path)
    #expect(result.code == 0, "billhook \(command): \(result.errors)")
  }

  /// Samples whose first number says their class.
  private func writeSamples(for name: String) throws {
    let count = 24
    var random = CounterRandom(seed: 4, stream: name)
    let x: Tensor
    let labels: [Int32]
    if name == "transformer" {
      let tokens = (0..<count * 6).map { _ in Int64(random.integer(below: 11)) }
      x = Tensor(tokens, shape: [count, 6])
      labels = (0..<count).map { Int32(tokens[$0 * 6] % 3) }
    } else {
      x = .seeded([count, 7, 4], seed: 4)
      labels = (0..<count).map { x.floats()[$0 * 28] > 0 ? 2 : 0 }
    }
    try NumpyArchive.write(
      ["x": x, "labels": Tensor(labels)], to: folder("samples.npz"))
  }

  @Test(arguments: ["transformer", "lstm"])
  func `train and distill change all weights, and stock runtimes load the files`(
    name: String
  ) throws {
    let fixture = PackageFolder.url.appendingPathComponent("Tests/Fixtures/gradients/\(name).onnx")
    try FileManager.default.copyItem(atPath: fixture.path, toPath: folder("student.onnx"))
    try writeSamples(for: name)
    let options = "--data npz:samples.npz --epochs 2 --batch-size 8 --optimizer adam"
    try run("train student.onnx -o teacher.onnx \(options)")
    try run("distill student.onnx -o taught.onnx --teacher teacher.onnx \(options)")
    let before = try ONNXFile.read(path: folder("student.onnx"))
    for file in ["teacher.onnx", "taught.onnx"] {
      let after = try ONNXFile.read(path: folder(file))
      #expect(after.nodes.map(\.op) == before.nodes.map(\.op), "\(file)")
      #expect(Array(after.initializers.keys) == Array(before.initializers.keys), "\(file)")
      for (name, initializer) in before.initializers {
        #expect(after.constant(name) != initializer.tensor, "\(name) of \(file)")
      }
      _ = try OnnxRuntimeJudge(folder: folder).check(file)
    }
  }
}
