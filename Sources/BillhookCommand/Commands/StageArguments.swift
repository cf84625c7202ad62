internal import ArgumentParser
internal import Billhook

/// What the commands that work on one file have in common.
struct StageArguments: ParsableArguments {
  @Argument(
    help: .init(
      "The network to start from, an ONNX file (prune and quantize: or safetensors).",
      valueName: "in"))
  var input: String
  @OptionGroup var output: OutputOption
  @Option(
    help: .init("An evaluation afterwards on this data.", valueName: "data"),
    transform: { try DataSource($0) })
  var test: DataSource?
  @OptionGroup var seed: SeedOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func run(_ work: Stage.Work, data: DataSource?) throws {
    let session = global.start()
    let job = StageJob(
      Stage(work), input: input, output: output.output, data: data, test: test, seed: seed.seed,
      catalog: session.catalog(), progress: session.progress)
    let report = try job.run()
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
