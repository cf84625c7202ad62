internal import ArgumentParser
internal import Billhook

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show what is in a file and which channels can be pruned.",
    discussion: """
      billhook inspect teacher.onnx
      billhook inspect checkpoint.safetensors --json
      """)

  @Argument(help: "An ONNX or safetensors file.")
  var file: String
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let session = global.start()
    let report = try InspectReport(path: file)
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
