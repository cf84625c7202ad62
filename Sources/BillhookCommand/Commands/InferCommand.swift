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
  @Option(
    help: .init("An array for an input; repeat for each input.", valueName: "name=file.npy"),
    transform: { text in
      // Input names may hold "=": what follows the last one is the file.
      guard let equals = text.lastIndex(of: "="), equals != text.startIndex else {
        throw ValidationError("Write NAME=FILE.npy.")
      }
      return NamedFile(
        name: String(text[..<equals]), path: String(text[text.index(after: equals)...]))
    })
  var input: [NamedFile] = []
  @OptionGroup var output: OutputOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  struct NamedFile {
    var name: String
    var path: String
  }

  func run() throws {
    let session = global.start()
    let report = try InferReport.run(
      model: model, inputs: input.map { ($0.name, $0.path) }, output: output.output)
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
