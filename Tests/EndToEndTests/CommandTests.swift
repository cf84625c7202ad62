import Billhook
import BillhookFormats
import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@Suite struct CommandTests {
  private let folder = TemporaryFolder()

  private func network() throws {
    let made = try BillhookProcess(
      "new", "cnn", "-o", "a.onnx", "--width", "4", "--image", "8", "--classes", "3", "--quiet",
      folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
  }

  @Test(arguments: [
    "new", "train", "evaluate", "prune", "distill", "quantize", "restore", "run", "sweep", "infer",
    "inspect", "bench", "plugin",
  ])
  func `every command has help with an example`(command: String) throws {
    let result = try BillhookProcess(command, "--help", folder: folder.path)
    #expect(result.code == 0)
    #expect(result.output.contains("billhook \(command)"))
    #expect(result.errors.isEmpty)
  }

  @Test func `a command line that is not understood ends with 2`() throws {
    let result = try BillhookProcess(
      "prune", "a.onnx", "-o", "b.onnx", "--granularity", "channel", "--ratio", "2",
      folder: folder.path)
    #expect(result.code == 2)
    #expect(result.output.isEmpty)
    #expect(
      result.errors.hasPrefix(
        "billhook: error: Cannot prune. \"ratio\" is 2.0, but must be above 0 and below 1.\n"))
  }

  @Test func `work that fails ends with 1 and a sentence`() throws {
    let result = try BillhookProcess("inspect", "nowhere.onnx", folder: folder.path)
    #expect(result.code == 1)
    #expect(
      result.errors == """
        billhook: error: Cannot read "nowhere.onnx": No such file or directory. Check the path and \
        its permissions.

        """)
  }

  @Test func `an input is never overwritten`() throws {
    try network()
    let result = try BillhookProcess(
      "prune", "a.onnx", "-o", "./a.onnx", "--granularity", "channel", "--ratio", "0.5",
      folder: folder.path)
    #expect(result.code == 1)
    #expect(
      result.errors == """
        billhook: error: The output "./a.onnx" is also an input, which is never overwritten; choose \
        another name.

        """)
  }

  @Test func `an output folder that is missing is said`() throws {
    let result = try BillhookProcess("new", "cnn", "-o", "no/a.onnx", folder: folder.path)
    #expect(result.code == 1)
    #expect(
      result.errors == """
        billhook: error: Cannot write "no/a.onnx": there is no folder "\(folder.path)/no". Create \
        it first, or choose another place.

        """)
  }

  @Test func `pruned channels make the file smaller`() throws {
    try network()
    let result = try BillhookProcess(
      "prune", "a.onnx", "-o", "b.onnx", "--granularity", "channel", "--ratio", "0.5", "--json",
      "--quiet", folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(folder.bytes("b.onnx").count < folder.bytes("a.onnx").count)
    let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    #expect((json as? [String: Any])?["input"] as? String == "a.onnx")
    let graph = try ONNXFile.read(path: folder("b.onnx"))
    #expect(graph.constant("conv1.weight")?.shape == [2, 1, 3, 3])
  }

  @Test func `infer writes every output`() throws {
    try network()
    try NumpyFile.writeArray(Tensor(zeros: [5, 1, 8, 8]), to: folder("x.npy"))
    let result = try BillhookProcess(
      "infer", "a.onnx", "--input", "input=x.npy", "-o", "y.npz", folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(try NumpyArchive.read(path: folder("y.npz"))["logits"]?.shape == [5, 3])
  }

  @Test func `infer writes bfloat16 as float32`() throws {
    var graph = Graph.testing(
      "Cast", ["N", 3], attributes: ["to": .int(16)], opset: 17)
    graph.outputs[0] = ValueInfo("y", .bfloat16, shape: nil)
    try ONNXFile.write(graph, to: folder("short.onnx"))
    try NumpyFile.writeArray(Tensor([1, 2.5, -3] as [Float], shape: [1, 3]), to: folder("x.npy"))
    let result = try BillhookProcess(
      "infer", "short.onnx", "--input", "x=x.npy", "-o", "y.npz", folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(try NumpyArchive.read(path: folder("y.npz"))["y"]?.floats() == [1, 2.5, -3])
  }

  /// Before the data was compared with the network, a single column counted as one class.
  @Test func `a network with one output learns yes and no`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node("Gemm", name: "layer", inputs: ["x", "w", "b"], outputs: ["h"]),
        Node("Sigmoid", name: "chance", inputs: ["h"], outputs: ["y"]),
      ], ["w": .seeded([4, 1], seed: 1), "b": Tensor(zeros: [1])])
    try ONNXFile.write(graph, to: folder("chance.onnx"))
    let x = Tensor.seeded([8, 4], seed: 2)
    try NumpyArchive.write(
      ["x": x, "labels": Tensor((0..<8).map { Int64(x.floats()[4 * $0] > 0 ? 1 : 0) })],
      to: folder("answers.npz"))
    let result = try BillhookProcess(
      "train", "chance.onnx", "-o", "trained.onnx", "--data", "npz:answers.npz", "--epochs", "200",
      "--batch-size", "8", folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    let evaluated = try BillhookProcess(
      "evaluate", "trained.onnx", "--data", "npz:answers.npz", folder: folder.path)
    #expect(evaluated.output.contains("8 of 8"), "\(evaluated.output)")
  }

  @Test func `inputs whose first axes have other names have other sizes`() throws {
    let graph = Graph.testing(
      inputs: ["a": ["S", 3], "b": ["T", 3]],
      [
        Node(
          "Transpose", name: "turn", inputs: ["b"], outputs: ["c"],
          attributes: ["perm": .ints([1, 0])]),
        Node("MatMul", name: "product", inputs: ["a", "c"], outputs: ["y"]),
      ])
    try ONNXFile.write(graph, to: folder("pairs.onnx"))
    try NumpyFile.writeArray(Tensor(zeros: [5, 3]), to: folder("a.npy"))
    try NumpyFile.writeArray(Tensor(zeros: [2, 3]), to: folder("b.npy"))
    let result = try BillhookProcess(
      "infer", "pairs.onnx", "--input", "a=a.npy", "--input", "b=b.npy", "-o", "y.npz",
      folder: folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(try NumpyArchive.read(path: folder("y.npz"))["y"]?.shape == [5, 2])
  }

  @Test(arguments: [
    (
      ["--input", "inpt=x.npy"],
      "\"a.onnx\" has no input \"inpt\". Did you mean \"input\"? Inputs: \"input\"."
    ),
    ([], "\"a.onnx\" also needs the input \"input\"; add --input NAME=FILE.npy for each."),
    (
      ["--input", "input=wrong.npy"],
      "The array for the input \"input\" has the shape [5, 8, 8], but [N, 1, 8, 8] is needed."
    ),
  ])
  func `infer names an input that does not fit`(options: [String], sentence: String) throws {
    try network()
    try NumpyFile.writeArray(Tensor(zeros: [5, 1, 8, 8]), to: folder("x.npy"))
    try NumpyFile.writeArray(Tensor(zeros: [5, 8, 8]), to: folder("wrong.npy"))
    let arguments = ["infer", "a.onnx", "-o", "y.npz"] + options
    let result = try BillhookProcess(arguments, folder: folder.path)
    #expect(result.code == 1)
    #expect(result.errors == "billhook: error: \(sentence)\n")
    #expect(!folder.names.contains("y.npz"))
  }

  @Test func `a checkpoint can be pruned by element and no further`() throws {
    try SafetensorsFile(tensors: [
      "w": Tensor([1, -2, 3, -4] as [Float], shape: [2, 2])
    ]).write(to: folder("m.safetensors"))
    let pruned = try BillhookProcess(
      "prune", "m.safetensors", "-o", "s.safetensors", "--granularity", "element", "--ratio", "0.5",
      folder: folder.path)
    #expect(pruned.code == 0, "\(pruned.errors)")
    let weight = try #require(try SafetensorsFile.read(path: folder("s.safetensors")).tensors["w"])
    #expect(weight.floats() == [0, 0, 3, -4])

    let bench = try BillhookProcess("bench", "m.safetensors", folder: folder.path)
    #expect(bench.code == 1)
    #expect(
      bench.errors == """
        billhook: error: "m.safetensors" is a safetensors checkpoint, which holds tensors but no \
        network; bench needs a network. Give an ONNX file. Checkpoints work with prune \
        --granularity element, quantize --mode weight-only and inspect.

        """)
  }

  @Test func `a profile names each operation, and its trace is one that Chrome reads`() throws {
    try network()
    let bench = try BillhookProcess(
      "bench", "a.onnx", "--batch", "2", "--runs", "3", "--profile", "--trace", "t.json", "--json",
      folder: folder.path)
    #expect(bench.code == 0, "\(bench.errors)")
    let report = try JSONDecoder().decode(BenchReport.self, from: Data(bench.output.utf8))
    let profile = try #require(report.profile)
    #expect(profile.runs == 3)
    #expect(abs(profile.operations.reduce(0) { $0 + $1.share } - 1) < 1e-9)
    let convolutions = profile.operations.filter { $0.kernel.hasPrefix("Conv") }
    #expect(convolutions.map(\.fused) == [["Relu", "MaxPool"], ["Relu", "MaxPool"]])

    struct Trace: Decodable {
      struct Event: Decodable {
        var name: String
        var ph: String
        var ts: Double
        var dur: Double
      }
      var traceEvents: [Event]
    }
    let trace = try JSONDecoder().decode(Trace.self, from: Data(folder.bytes("t.json")))
    #expect(trace.traceEvents.count == profile.operations.count)
    #expect(trace.traceEvents.allSatisfy { $0.ph == "X" && $0.dur >= 0 })
    #expect(trace.traceEvents.map(\.ts) == trace.traceEvents.map(\.ts).sorted())
    #expect(trace.traceEvents.map(\.name) == profile.operations.map(\.node))
  }

  @Test func `a network is timed on given arrays too`() throws {
    try network()
    try NumpyFile.writeArray(Tensor(zeros: [5, 1, 8, 8]), to: folder("x.npy"))
    let bench = try BillhookProcess(
      "bench", "a.onnx", "--input", "input=x.npy", "--runs", "1", "--json", folder: folder.path)
    #expect(bench.code == 0, "\(bench.errors)")
    let report = try JSONDecoder().decode(BenchReport.self, from: Data(bench.output.utf8))
    #expect(report.latency.batchSize == 5)
  }

  @Test func `the built-in plugins are listed`() throws {
    let result = try BillhookProcess("plugin", "list", "--json", folder: folder.path)
    #expect(result.code == 0)
    for id in ["magnitude", "activation", "kl-divergence", "affine-int8"] {
      #expect(result.output.contains("\"org.billhook.\(id)\""))
    }
  }

  @Test func `completions can be made for a shell`() throws {
    let result = try BillhookProcess("--generate-completion-script", "bash", folder: folder.path)
    #expect(result.code == 0)
    #expect(result.output.contains("billhook"))
  }
}
