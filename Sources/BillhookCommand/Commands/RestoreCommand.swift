internal import ArgumentParser
internal import Billhook

struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Turn a checkpoint's quantized weights into floats again.",
    discussion: """
      billhook restore small.safetensors -o plain.safetensors

      Into the network that the checkpoint belongs to, to measure what is left of it:
        billhook restore small.safetensors --network model.onnx -o restored.onnx
        billhook evaluate restored.onnx --data fashion-mnist:test --against model.onnx
      """)

  @Argument(
    help: .init("A checkpoint that quantize --mode weight-only wrote.", valueName: "packed"))
  var packed: String
  @OptionGroup var output: OutputOption
  @Option(
    help: .init("An ONNX file whose weights become the checkpoint's.", valueName: "file"))
  var network: String?
  @Option(
    help: .init(
      "The quantizer plugin, when the file's own is elsewhere. Default: what the file names.",
      valueName: "id|path"))
  var quantizer: String?
  @OptionGroup var parameters: ParameterOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let session = global.start()
    let report = try RestoreReport.run(
      packed: packed, output: output.output, network: network, quantizer: quantizer,
      parameters: parameters.parameters, catalog: session.catalog())
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
