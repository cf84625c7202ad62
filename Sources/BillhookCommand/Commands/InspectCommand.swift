internal import ArgumentParser
internal import Billhook

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what is in a file and what can be pruned, distilled, quantized.",
    discussion: """
      billhook inspect teacher.onnx
      billhook inspect ocr.onnx --shape x=1x3x48x320
      billhook inspect checkpoint.safetensors --json
      """)

  @Argument(help: "An ONNX or safetensors file.")
  var file: String
  @OptionGroup var shapes: ShapeArguments
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let session = global.start()
    let report = try InspectReport(path: file, shapes: shapes.shapes)
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
