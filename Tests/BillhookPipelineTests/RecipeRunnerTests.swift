import BillhookCompression
import BillhookFormats
import BillhookGraph
import BillhookPipeline
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@Suite struct RecipeRunnerTests {
  private let folder = TemporaryFolder()

  private func runner(
    _ stages: String, announce: @escaping (String) -> Void = { _ in }
  ) throws -> RecipeRunner {
    var random = CounterRandom(seed: 5, stream: "images")
    let images = Tensor(
      (0..<64 * 64).map { _ in UInt8(random.integer(below: 256)) }, shape: [64, 8, 8])
    let labels = Tensor((0..<64).map { Int64($0 % 3) })
    try NumpyArchive.write(["input": images, "labels": labels], to: folder("data.npz"))
    let text = """
      version: 1
      model: {new: {architecture: cnn, width: 4, image: 8, classes: 3}}
      data: {train: "npz:\(folder("data.npz"))", test: "npz:\(folder("data.npz"))"}
      seed: 3
      output: \(folder("out"))
      stages:
      - train: {epochs: 1, batch_size: 16, save: teacher.onnx}
      - prune: {granularity: channel, ratio: 0.5}
      - distill: {epochs: 1, batch_size: 16, save: student.onnx}
      \(stages)
      """
    return RecipeRunner(
      try RecipeFile(yaml: text, name: "small"), catalog: PluginCatalog(),
      options: RunOptions(
        measurement: MeasurementOptions(
          warmUpRuns: 0, minimumRuns: 1, maximumRuns: 1, seconds: 0)),
      announce: announce)
  }

  @Test func `a run writes what it reports and a second run keeps it`() throws {
    var lines: [String] = []
    let first = try runner("- quantize: {save: small.onnx}").run()
    #expect(first.stages.map(\.stage) == ["train", "prune", "distill", "quantize"])
    #expect(first.stages.map(\.isTeacher) == [true, false, false, false])
    #expect(first.stages.map(\.isResumed) == [false, false, false, false])
    for (row, name) in [(0, "teacher.onnx"), (2, "student.onnx"), (3, "small.onnx")] {
      #expect(first.stages[row].file == name)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder("out/" + name))).count
      #expect(first.stages[row].bytes == bytes)
    }
    let text = try String(contentsOfFile: folder("out/report.txt"), encoding: .utf8)
    #expect(text == first.text())
    let saved = try Data(contentsOf: URL(fileURLWithPath: folder("out/student.onnx")))

    let second = try runner("- evaluate", announce: { lines.append($0) }).run()
    #expect(second.stages.map(\.isResumed) == [true, true, true, false])
    #expect(lines.prefix(3).allSatisfy { $0.hasSuffix("finished before, kept") })
    #expect(lines.last == "stage 4 of 4, evaluate")
    #expect(second.stages[2].evaluation == first.stages[2].evaluation)
    // The recipe differs, and with it one line of the metadata; the weights are the same.
    let graphs = try [saved, Data(contentsOf: URL(fileURLWithPath: folder("out/student.onnx")))]
      .map { try ONNXFile.decode([UInt8]($0), name: "student") }
    #expect(graphs[0].metadata["billhook.recipe_sha256"] != graphs[1].metadata["billhook.recipe_sha256"])
    #expect(graphs[0].initializers.map(\.value.tensor) == graphs[1].initializers.map(\.value.tensor))
  }

  @Test func `the metadata say how a file came to be`() throws {
    let report = try runner("- evaluate").run()
    let graph = try ONNXFile.read(path: folder("out/student.onnx"))
    #expect(graph.metadata["billhook.version"] == billhookVersion)
    #expect(graph.metadata["billhook.recipe_sha256"] == report.recipeSHA256)
    #expect(graph.metadata["billhook.seed"] == "3")
    #expect(graph.metadata["billhook.data_sha256"]?.count == 64)
    let plugins = try #require(graph.metadata["billhook.plugins"])
    let uses = try JSONDecoder().decode([PluginUse].self, from: Data(plugins.utf8))
    #expect(uses == report.plugins)
    #expect(uses.map(\.hook) == ["loss", "scorer", "loss"])
    #expect(uses.allSatisfy { $0.sha256.count == 64 })
  }
}
