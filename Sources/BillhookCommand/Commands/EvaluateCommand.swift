internal import ArgumentParser
internal import Billhook

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Measure how often a network is right.",
    discussion: """
      billhook evaluate small.onnx --data fashion-mnist:test --against teacher.onnx

      Without labels the other network is the measure: how often both give the same class, where the \
      network tells classes, and how far the outputs are apart.
      """)

  @Argument(help: "The network, an ONNX file.")
  var model: String
  @Option(help: "The data to measure on.", transform: { try DataSource($0) })
  var data: DataSource
  @Option(
    name: [.customLong("against"), .customLong("teacher")],
    help: .init("Another network to compare with.", valueName: "file"))
  var against: String?
  @Option(
    help: .init(
      "The output to compare. Default: the first floating-point one.", valueName: "name"))
  var networkOutput: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let session = global.start()
    let report = try EvaluateReport.run(
      model: model, data: data, against: against, output: networkOutput,
      progress: session.progress)
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
