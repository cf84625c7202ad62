internal import ArgumentParser
internal import Billhook

struct InferCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "infer", abstract: "Run a network on arrays from NPY files.",
    discussion: """
      billhook infer small.onnx --input input=images.npy -o logits.npz
      """)

  @Argument(help: "The network, an ONNX file.")
  var model: String
  @OptionGroup var inputs: NamedFileOptions
  @OptionGroup var output: OutputOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let session = global.start()
    let report = try InferReport.run(
      model: model, inputs: inputs.files, output: output.output)
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
