internal import ArgumentParser
internal import Billhook

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Time a network: median and 95th percentile of one run.",
    discussion: """
      billhook bench small.onnx --batch 128 --threads 2
      billhook bench small.onnx --profile --trace small.trace.json
      """)

  @Argument(help: "The network, an ONNX file.")
  var model: String
  @Option(help: "Samples in a run.")
  var batch = 1
  @Option(help: "Untimed runs first.")
  var warmUp = MeasurementOptions().warmUpRuns
  @Option(help: "The most timed runs.")
  var runs = MeasurementOptions().maximumRuns
  @Option(help: "Stop after this long, but not before 7 runs.")
  var seconds = 3.0
  @OptionGroup var inputs: NamedFileOptions
  @Flag(help: "Show the time of each operation, and what was fused.")
  var profile = false
  @Option(help: .init("Write one run as a Chrome trace (JSON).", valueName: "file"))
  var trace: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    guard (1...1 << 20).contains(batch) else {
      throw ValidationError("--batch is \(batch) but must be 1 to \(1 << 20).")
    }
    guard runs >= 1, warmUp >= 0, seconds > 0 else {
      throw ValidationError("--runs must be at least 1, --warm-up at least 0, --seconds above 0.")
    }
  }

  func run() throws {
    let session = global.start()
    let report = try BenchReport.run(
      model: model, inputs: inputs.files, batchSize: batch,
      options: MeasurementOptions(
        warmUpRuns: warmUp, minimumRuns: min(MeasurementOptions().minimumRuns, runs),
        maximumRuns: runs, seconds: seconds),
      extras: .init(profile: profile, trace: trace))
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
