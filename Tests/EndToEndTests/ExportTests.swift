import BillhookFormats
import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
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
  @Test(arguments: [11, 13, 18])
  func `halves and groups of channels shrink in the forms of each operator set`(opset: Int) throws {
    try ONNXFile.write(Self.halvesAndGroups(opset: opset), to: folder("a.onnx"))
    let made = try BillhookProcess(
      "prune", "a.onnx", "-o", "small.onnx", "--granularity", "channel", "--ratio", "0.5",
      "--quiet", folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
    #expect(try judge.check("small.onnx").opset == opset)
    let both = try judge.compare("small.onnx", imageCount: 16)
    #expect(both.magnitude > 0.01)
    #expect(both.difference <= 1e-4 * max(1, both.magnitude))
    let small = try ONNXFile.read(path: folder("small.onnx"))
    // The last two of the first half go, and the weaker of the two that a group reads.
    #expect(small.constant("first.w")?.shape == [4, 1, 3, 3])
    #expect(small.constant("grouped.w")?.shape == [4, 1, 3, 3])
    #expect(small.nodes.first { $0.name == "grouped" }?.int("group", default: 1) == 2)
  }

  /// Eight channels, the first half of which passes and the second goes through two groups.
  private static func halvesAndGroups(opset: Int) -> Graph {
    var halves: OrderedDictionary<String, Attribute> = ["axis": .int(1)]
    // Equal parts are asked for by number since then.
    if opset >= 18 { halves["num_outputs"] = .int(2) }
    let pads = Attribute.ints([1, 1, 1, 1])
    let rows = [4, 3, 2, 1, 3, 0.1, 3, 0.1].flatMap { [Float](repeating: $0, count: 9) }
    var graph = Graph.testing(
      inputs: ["input": ["N", 1, 28, 28]],
      [
        Node(
          "Conv", name: "first", inputs: ["input", "first.w"], outputs: ["a"],
          attributes: ["pads": pads]),
        Node("Relu", name: "act", inputs: ["a"], outputs: ["b"]),
        Node("Split", name: "halves", inputs: ["b"], outputs: ["p", "q"], attributes: halves),
        Node(
          "Conv", name: "grouped", inputs: ["q", "grouped.w"], outputs: ["c"],
          attributes: ["pads": pads, "group": .int(2)]),
        Node(
          "Concat", name: "join", inputs: ["p", "c"], outputs: ["d"], attributes: ["axis": .int(1)]),
        Node("GlobalAveragePool", name: "pool", inputs: ["d"], outputs: ["e"]),
        Node("Flatten", name: "flat", inputs: ["e"], outputs: ["f"]),
        Node("Gemm", name: "last", inputs: ["f", "last.w"], outputs: ["logits"]),
      ],
      [
        "first.w": Tensor(rows, shape: [8, 1, 3, 3]), "grouped.w": .seeded([8, 2, 3, 3], seed: 2),
        "last.w": .seeded([12, 10], seed: 3),
      ], outputs: ["logits"], opset: opset)
    graph.outputs[0].shape = ["N", 10]
    graph.metadata["billhook.mean"] = "0.5"
    graph.metadata["billhook.std"] = "0.5"
    return graph
  }
}
