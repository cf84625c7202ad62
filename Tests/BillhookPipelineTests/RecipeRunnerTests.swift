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
    _ stages: String, plugins: PluginSettings = PluginSettings(),
    announce: @escaping (String) -> Void = { _ in }
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
      try RecipeFile(yaml: text, name: "small"), catalog: PluginCatalog(settings: plugins),
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
    #expect(
      graphs[0].metadata["billhook.recipe_sha256"] != graphs[1].metadata["billhook.recipe_sha256"])
    #expect(
      graphs[0].initializers.map(\.value.tensor) == graphs[1].initializers.map(\.value.tensor))
  }

  @Test func `a hostile plugin ends its stage by name, and the finished stages are kept`() throws {
    let plugin = try compiledPlugin("Tests/BrokenPlugins/crashing.c")
    var settings = PluginSettings(home: PluginHome(folder: folder.path))
    settings.limits.callSeconds = 2
    settings.limits.graceSeconds = 0.2
    func prune(_ mode: String) throws -> RecipeRunner {
      try runner(
        """
        - prune: {granularity: element, scorer: "\(plugin)", parameters: {mode: \(mode)}, \
        ratio: 0.5, scope: layer}
        """,
        plugins: settings)
    }
    let unharmed = " This process and all finished work are unharmed."
    func crash(_ how: String) -> String {
      " crashed in \"score\" on layer \"conv1\": \(how).\(unharmed)"
    }
    var endings = [
      ("segfault", crash("its worker process was ended by SIGSEGV")),
      ("exit", crash("it ended its worker process with exit status 3")),
      (
        "past-end",
        " breaks rule BH-03 in \"score\" on layer \"conv1\": it wrote outside of its output."
      ),
      (
        "hang",
        " did not return from \"score\" on layer \"conv1\" within 2 seconds and was stopped."
          + unharmed
      ),
    ]
    #if arch(x86_64)
      endings.append(
        (
          "flush",
          " breaks rule BH-08 in \"score\" on layer \"conv1\": the floating-point mode was 0x1f80 and "
            + "is 0x9f80 after it (it was set back). Build the plugin without -ffast-math."
        ))
    #endif
    for (mode, ending) in endings {
      let error = #expect(throws: PipelineError.self) { try prune(mode).run() }
      #expect(
        error?.description
          == "Stage 4 of 4, \"prune\", cannot be done. Plugin \"org.example.crashing\"\(ending) "
          + "The stages before it are kept for the next run.")
    }
    let report = try prune("good").run()
    #expect(report.stages.map(\.isResumed) == [true, true, true, false])
    #expect(report.plugins.last?.id == "org.example.crashing")
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
