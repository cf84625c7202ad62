import BillhookFormats
import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Testing

/// Structured zeros on a trained network, through everything that comes after pruning.
@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct PatternTests {
  private let folder = TemporaryFolder()

  private func run(_ command: String) throws {
    let result = try BillhookProcess(
      command.split(separator: " ").map(String.init) + ["--quiet"], folder: folder.path)
    #expect(result.code == 0, "billhook \(command): \(result.errors)")
  }

  /// Weights with the output channels first, as differences from what stands for 0.
  private func weights(_ file: String) throws -> [(name: String, shape: [Int], values: [Float])] {
    let graph = try ONNXFile.read(path: folder(file))
    return graph.nodes.compactMap { layer in
      guard ["Conv", "Gemm"].contains(layer.op), let weight = layer.input(1) else { return nil }
      if let tensor = graph.constant(weight) {
        return (layer.displayName, tensor.shape, tensor.floats())
      }
      guard let node = graph.nodes.first(where: { $0.outputs.contains(weight) }),
        let integers = graph.constant(node.inputs[0])
      else { return nil }
      let zeros = node.input(2).flatMap { graph.constant($0)?.integers() } ?? [0]
      let size = integers.count / integers.shape[0]
      return (
        layer.displayName, integers.shape,
        (integers.integers() ?? []).enumerated().map { index, value in
          Float(value - (zeros.count == 1 ? zeros[0] : zeros[index / size]))
        }
      )
    }
  }

  @Test func `the zeros of 2:4 survive distillation and eight-bit integers`() throws {
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    let data = "--data fashion-mnist:train,limit=1000"
    try run("prune teacher.onnx -o sparse.onnx --granularity element --pattern 2:4 \(data)")
    try run("distill sparse.onnx -o student.onnx --teacher teacher.onnx --epochs 1 \(data)")
    try run("quantize student.onnx -o int8.onnx --min-reduction 0 \(data)")
    for file in ["sparse.onnx", "student.onnx", "int8.onnx"] {
      let layers = try weights(file)
      #expect(layers.count >= 2)
      for (name, shape, values) in layers {
        let inner = shape.dropFirst(2).reduce(1, *)
        var groups = 0
        for output in 0..<shape[0] {
          for first in stride(from: 0, to: shape[1] - 3, by: 4) {
            for column in 0..<inner {
              let zeros = (first..<first + 4).count {
                values[(output * shape[1] + $0) * inner + column] == 0
              }
              groups += zeros >= 2 ? 0 : 1
            }
          }
        }
        #expect(groups == 0, "\(groups) groups of \(name) in \(file) have fewer than two zeros")
      }
    }
  }

  @Test func `blocks of a trained network become zero and the report says so`() throws {
    try TrainedNetworks.copy("teacher.onnx", to: folder)
    let result = try BillhookProcess(
      "prune", "teacher.onnx", "-o", "out.onnx", "--granularity", "block", "--block", "4x1",
      "--ratio", "0.5", "--json", "--quiet", folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.output.contains("\"granularity\" : \"block\""))
    #expect(result.output.contains("blocks of 4x1, ratio 0.5, magnitude, global"))
  }

  @Test(arguments: [
    (["--granularity", "block", "--ratio", "0.5"], "Blocks have no size"),
    (["--granularity", "element", "--pattern", "4:2"], "\"4:2\" is not a pattern"),
    (["--granularity", "channel", "--pattern", "2:4"], "A pattern is for elements and blocks"),
    (["--granularity", "element"], "It is not said how much goes"),
  ])
  func `settings that do not fit are usage errors`(arguments: [String], says: String) throws {
    let result = try BillhookProcess(
      ["prune", "in.onnx", "-o", "out.onnx"] + arguments, folder: folder.path)
    #expect(result.code == 2)
    #expect(result.errors.contains(says), "\(result.errors)")
  }
}
