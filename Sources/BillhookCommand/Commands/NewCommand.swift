internal import ArgumentParser
internal import Billhook

struct NewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Make a network with fresh weights.",
    discussion: """
      billhook new cnn -o big.onnx --width 64 --seed 1

      Architectures:
      \(NewNetwork.architectures.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))
      """)

  @Argument(help: "Which network to make.")
  var architecture: String
  @OptionGroup var output: OutputOption
  @Option(help: "Channels of the first layer.")
  var width: Int?
  @Option(help: "Channels of the image.")
  var channels: Int?
  @Option(help: "The number of classes.")
  var classes = 10
  @Option(help: "Height and width of the image in pixels.")
  var image = 28
  @OptionGroup var seed: SeedOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  private var network: NewNetwork {
    NewNetwork(
      architecture: architecture, width: width, channels: channels, classes: classes, image: image,
      seed: seed.seed)
  }

  func validate() throws {
    try usage { try network.checkOptions() }
  }

  func run() throws {
    let session = global.start()
    let report = try network.write(to: output.output)
    try session.show(report, asJSON: json.json) { report.text() }
  }
}
