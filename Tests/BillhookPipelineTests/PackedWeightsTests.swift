import BillhookCompression
import BillhookFormats
import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@testable import BillhookPipeline

/// From a network straight to a file of weights in a form that ONNX does not have, and back.
@Suite struct PackedWeightsTests {
  private let folder = TemporaryFolder()
  private let catalog = PluginCatalog(folders: [])
  private var network: String { folder("network.onnx") }
  private var packed: String { folder("packed.safetensors") }

  private func stage(_ form: String) throws -> QuantizeStage {
    var stage = QuantizeStage(
      quantizer: PluginChoice(
        try compiledPlugin(StoredFormatsTests.formats),
        parameters: [.init(key: "form", values: [form], isList: false)]))
    stage.mode = .weightOnly
    return stage
  }

  @discardableResult
  private func quantize(
    _ stage: QuantizeStage, output: String? = nil, test: DataSource? = nil
  ) throws -> JobReport {
    try StageJob(
      Stage(.quantize(stage)), input: network, output: output ?? packed, data: nil, test: test,
      catalog: catalog
    ).run()
  }

  @Test(arguments: ["opaque", "packed", "custom"])
  func `a network's weights go to a file and come back with the network`(form: String) throws {
    let graph = Graph.smallChain()
    try ONNXFile.write(graph, to: network)
    let report = try quantize(stage(form))
    #expect(report.stage.file == packed)
    #expect(report.stage.bytes == folder.bytes("packed.safetensors").count)
    // The report speaks of the network that the packed weights stand for.
    #expect(report.stage.parameters == report.inputParameters)
    #expect(report.stage.macs == report.inputMACs)
    guard case .quantize(let record) = report.stage.record else {
      Issue.record("there is no record of a quantization")
      return
    }
    #expect(record.layers.map(\.name) == ["conv1.weight", "fc.weight"])
    #expect(record.layers.map(\.op) == ["Conv", "Gemm"])

    let file = try SafetensorsFile.read(path: packed)
    let layouts = try file.storedLayouts(path: packed)
    #expect(layouts.keys.sorted() == ["conv1.weight", "fc.weight"])
    let layer = try #require(layouts["fc.weight"]?.layer)
    #expect(layer.name == "fc" && layer.op == "Gemm" && layer.outAxis == 0 && layer.inAxis == 1)
    #expect(file.metadata[Provenance.Key.plugins]?.contains("org.example.formats") == true)
    #expect(file.tensors["bn1.mean"] == graph.constant("bn1.mean"))

    let restored = folder("restored.onnx")
    let back = try RestoreReport.run(
      packed: packed, output: restored, network: network,
      quantizer: try compiledPlugin(StoredFormatsTests.formats), catalog: catalog)
    #expect(back.weights.map(\.name) == ["conv1.weight", "fc.weight"])
    // What the same quantizer rounds the weights to when the result is a network.
    try quantize(stage(form), output: folder("small.onnx"))
    let (found, whole) = (
      try ONNXFile.read(path: restored), try ONNXFile.read(path: folder("small.onnx"))
    )
    for name in ["conv1.weight", "fc.weight"] {
      let values = try #require(found.constant(name))
      #expect(values != graph.constant(name), "\(name)")
      if let floats = whole.constant(name) { #expect(values == floats, "\(name)") }
    }
    #expect(form != "opaque" || whole.constant("fc.weight") != nil)
  }

  @Test func `accuracy is that of the file read back`() throws {
    try ONNXFile.write(Graph.smallChain(), to: network)
    var random = CounterRandom(seed: 5, stream: "images")
    let images = Tensor(
      (0..<32 * 16).map { _ in Float(random.integer(below: 256)) / 256 }, shape: [32, 1, 4, 4])
    try NumpyArchive.write(["x": images], to: folder("data.npz"))
    let report = try quantize(stage("opaque"), test: DataSource("npz:\(folder("data.npz"))"))
    let restored = folder("restored.onnx")
    _ = try RestoreReport.run(
      packed: packed, output: restored, network: network,
      quantizer: try compiledPlugin(StoredFormatsTests.formats), catalog: catalog)
    let evaluation = try EvaluateReport.run(
      model: restored, data: DataSource("npz:\(folder("data.npz"))"), against: network)
    let difference = try #require(report.stage.differenceFromTeacher)
    #expect(difference > 0)
    #expect(difference == evaluation.agreement?.relativeDifference)
  }

  @Test func `the patterns choose layers by their names`() throws {
    try ONNXFile.write(Graph.smallChain(), to: network)
    var stage = try stage("opaque")
    stage.exclude = ["conv1"]
    try quantize(stage)
    let file = try SafetensorsFile.read(path: packed)
    #expect(try file.storedLayouts(path: packed).keys.sorted() == ["fc.weight"])
    #expect(file.tensors["conv1.weight"]?.elementType == .float32)
  }

  @Test func `a file of weights holds no integers of activations`() throws {
    try ONNXFile.write(Graph.smallChain(), to: network)
    var stage = try stage("opaque")
    stage.mode = .dynamic
    #expect(
      sentence { try quantize(stage) } == """
        The output "\(packed)" would hold a network, which is an ONNX file; choose a name that ends \
        in .onnx, or --mode weight-only, which writes the weights alone to a .safetensors file.
        """)
    #expect(!folder.names.contains("packed.safetensors"))
  }

  /// The names of the pieces of work that were begun.
  private final class Tasks: BillhookCompression.ProgressReporting {
    private(set) var names: [String] = []

    func begin(_ task: String, total: Int, unit: String) { names.append(task) }
    func advance(_ done: Int, detail: String) {}
    func end(_ summary: String) {}

    func count(_ name: String) -> Int { names.count { $0 == name } }
  }

  @Test func `a recipe saves weights alone, also when the stage was finished before`() throws {
    try ONNXFile.write(Graph.smallChain(), to: network)
    let tasks = Tasks()
    func run(save: String = "packed.safetensors") throws -> Report {
      let text = """
        version: 1
        model: \(network)
        output: \(folder("out"))
        stages:
        - quantize:
            mode: weight-only
            quantizer: \(try compiledPlugin(StoredFormatsTests.formats))
            parameters: {form: opaque}
            save: \(save)
        """
      return try RecipeRunner(
        RecipeFile(yaml: text, name: "packed"), catalog: catalog,
        options: RunOptions(
          measurement: MeasurementOptions(
            warmUpRuns: 0, minimumRuns: 1, maximumRuns: 1, seconds: 0)), progress: tasks
      ).run()
    }
    let first = try run()
    let bytes = folder.bytes("out/packed.safetensors")
    #expect(first.stages.last?.file == "packed.safetensors")
    #expect(first.stages.last?.bytes == bytes.count)
    let file = try SafetensorsFile.read(path: folder("out/packed.safetensors"))
    #expect(try file.storedLayouts(path: "").keys.sorted() == ["conv1.weight", "fc.weight"])
    #expect(tasks.count("quantize weights") == 1)
    #expect(try run().stages.last?.isResumed == true)
    #expect(folder.bytes("out/packed.safetensors") == bytes)
    #expect(tasks.count("quantize weights") == 1)

    // A network to save is another result; the one with packed weights has them read back.
    #expect(try run(save: "network.onnx").stages.last?.isResumed == false)
    #expect(try ONNXFile.read(path: folder("out/network.onnx")).outputs.map(\.name) == ["y"])
    #expect(tasks.count("quantize weights") == 2)
    #expect(try run().stages.last?.isResumed == true)
  }
}
