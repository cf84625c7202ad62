import BillhookCompression
import BillhookFormats
import BillhookGraph
import BillhookPipeline
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import FoundationXML
import OrderedCollections
import Testing

@Suite struct SweepTests {
  private let folder = TemporaryFolder()

  private func sweep(
    scorers: [String] = ["magnitude", "random"], ratios: [Double] = [0.5, 0.9],
    distillSteps: Int? = nil
  ) throws -> Sweep {
    if folder.names.isEmpty {
      var random = CounterRandom(seed: 5, stream: "images")
      let images = Tensor(
        (0..<32 * 64).map { _ in UInt8(random.integer(below: 256)) }, shape: [32, 8, 8])
      let labels = Tensor((0..<32).map { Int64($0 % 3) })
      try NumpyArchive.write(["input": images, "labels": labels], to: folder("data.npz"))
      try NumpyArchive.write(["input": images], to: folder("bare.npz"))
      let network = NewNetwork(architecture: "cnn", width: 4, classes: 3, image: 8)
      try ONNXFile.write(try network.graph(defaultSeed: 1), to: folder("a.onnx"))
    }
    let data = try DataSource("npz:\(folder("data.npz"))")
    return Sweep(
      model: folder("a.onnx"), scorers: try scorers.map { try PluginChoice(text: $0) },
      ratios: ratios, prune: PruneStage(granularity: .element, ratio: 0.5), data: data,
      calibration: data, distillSteps: distillSteps, output: folder("out"))
  }

  private func run(_ sweep: Sweep, fresh: Bool = false) throws -> SweepReport {
    try SweepRunner(sweep, catalog: PluginCatalog(), fresh: fresh).run()
  }

  private func file(_ name: String) -> String {
    String(decoding: folder.bytes("out/" + name), as: UTF8.self)
  }

  @Test func `blocks are compared as elements are`() throws {
    var blocks = try sweep(ratios: [0.5])
    blocks.prune = PruneStage(granularity: .block, ratio: 0.5)
    #expect {
      try blocks.check()
    } throws: {
      "\($0)" == """
        Cannot sweep. Blocks have no size: set block to output channels and inputs, as in [4, 1].
        """
    }
    blocks.prune.block = [4, 1]
    let report = try run(blocks)
    #expect(report.granularity == "4x1 block")
    for point in report.points { #expect(abs(point.sparsity - 0.5) < 0.05) }
    #expect(report.text().contains(": 4x1 blocks, ranked per "))
  }

  @Test func `every scorer is measured at every ratio`() throws {
    let report = try run(try sweep())
    #expect(report.points.map(\.label) == ["magnitude", "magnitude", "random", "random"])
    #expect(report.points.map(\.ratio) == [0.5, 0.9, 0.5, 0.9])
    for point in report.points {
      #expect(abs(point.sparsity - point.ratio) < 0.01)
      #expect(point.evaluation.count == 32)
      #expect(point.change == point.evaluation.top1 - report.unpruned.evaluation.top1)
    }
    #expect(report.scope == "global")
    let lines = file("sweep.csv").split(separator: "\n")
    #expect(lines.count == 6)
    #expect(lines[0].hasPrefix("scorer,plugin,plugin_version,plugin_sha256,plugin_parameters,"))
    #expect(lines[2].hasPrefix("magnitude,org.billhook.magnitude,"))
    #expect(lines[2].contains(",exponent=1,element,global,0,0.5,0.5"))
    #expect(
      try JSONDecoder().decode(SweepReport.self, from: Data(folder.bytes("out/sweep.json")))
        == report)
  }

  @Test func `a second sweep works out only what is new`() throws {
    let first = try run(try sweep())
    let csv = file("sweep.csv")
    let second = try run(try sweep())
    #expect(second.points.map(\.isResumed) == [true, true, true, true])
    #expect(file("sweep.csv") == csv)
    let more = try run(try sweep(scorers: ["random", "magnitude?exponent=2"], ratios: [0.9, 0.7]))
    #expect(more.points.map(\.isResumed) == [true, false, false, false])
    #expect(more.points[0].evaluation == first.points[3].evaluation)
    #expect(more.labels == ["random", "magnitude?exponent=2"])
    let fresh = try run(try sweep(), fresh: true)
    #expect(fresh.points.map(\.isResumed) == [false, false, false, false])
    #expect(file("sweep.csv") == csv)
  }

  @Test func `distillation does exactly the steps asked for and changes the result`() throws {
    let plain = try run(try sweep(scorers: ["random"], ratios: [0.5]))
    // One batch of 32 samples an epoch, so this is three epochs.
    let trained = try run(try sweep(scorers: ["random"], ratios: [0.5], distillSteps: 3))
    #expect(!trained.points[0].isResumed)
    #expect(trained.points[0].plugins.map(\.hook) == ["scorer", "loss"])
    #expect(trained.points[0].sparsity >= plain.points[0].sparsity)
    #expect(trained.points[0].evaluation.meanLoss != plain.points[0].evaluation.meanLoss)
    #expect(file("sweep.csv").contains(",element,global,3,0.5,"))
  }

  @Test func `a scorer that cannot compare layers has all ranked within layers`() throws {
    let report = try run(try sweep(scorers: ["magnitude", "wanda"], ratios: [0.5]))
    #expect(report.scope == "layer")
    #expect(report.points.map(\.label) == ["magnitude", "wanda"])
  }

  @Test func `the plot is well-formed and shows every scorer`() throws {
    _ = try run(try sweep(scorers: ["magnitude", "random", "wanda"], ratios: [0.5, 0.7, 0.9]))
    let svg = file("sweep.svg")
    let parser = XMLParser(data: Data(svg.utf8))
    #expect(parser.parse(), "\(parser.parserError.map { "\($0)" } ?? "")")
    #expect(svg.components(separatedBy: "<polyline").count == 4)
    #expect(svg.components(separatedBy: "<polygon").count >= 4)
    for text in ["magnitude", "random", "wanda", "unpruned network", "95 % interval", "sparsity"] {
      #expect(svg.contains(text))
    }
    #expect(!svg.contains("nan") && !svg.contains("inf"))
  }

  @Test func `everything that does not fit is said before any work`() throws {
    #expect(
      sentence { _ = try run(try sweep(scorers: ["random", "random"], ratios: [0.5, 1.5, 0.5])) }
        == """
        Cannot sweep, for 3 reasons.
          "ratio" is 1.5, but must be above 0 and below 1.
          The scorer "random" is named twice; name it once.
          The ratio 0.5 is named twice; name it once.
        """)
    #expect(
      sentence { _ = try run(try sweep(scorers: ["magnitude?exponent=99"])) } == """
        Cannot sweep. Parameter "exponent" of plugin "org.billhook.magnitude" is 99 but must be a \
        number from 0.1 to 8.
        """)
    #expect(
      sentence { _ = try PluginChoice(text: "magnitude?exponent") } == """
        Cannot use the plugin "magnitude?exponent". "exponent" behind the question mark is no \
        parameter; write NAME?KEY=VALUE&KEY=VALUE.
        """)
    var unlabelled = try sweep()
    unlabelled.data = try DataSource("npz:\(folder("bare.npz"))")
    #expect(
      sentence { _ = try run(unlabelled) } == """
        Cannot sweep. The data "npz:\(folder("bare.npz"))" has no labels, so accuracy cannot be \
        measured.
        """)
    var dataless = try sweep(distillSteps: 5)
    dataless.calibration = nil
    #expect(
      sentence { _ = try run(dataless) } == """
        Cannot sweep. Distillation needs data to learn from, other than what is measured on: name \
        it with --calibration.
        """)
    var unmeasured = try sweep(scorers: ["org.billhook.activation.wanda"])
    unmeasured.calibration = nil
    #expect(
      sentence { _ = try run(unmeasured) } == """
        Cannot sweep. The scorer "org.billhook.activation.wanda" needs in_sq_norm, which take data \
        to measure: set data.calibration or data.train (on the command line --data, of sweep \
        --calibration).
        """)
    #expect(!folder.names.contains("out"))
  }
}
