internal import ArgumentParser
internal import Billhook

struct DistillCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "distill", abstract: "Train a network against the recorded outputs of a teacher.",
    discussion: """
      billhook distill pruned.onnx -o student.onnx --teacher teacher.onnx \\
        --data fashion-mnist:train --epochs 4 --param temperature=4

      Labels are not needed: with the default loss, alpha is their share, and 0. The teacher's \
      outputs are recorded once, in .billhook beside the output, and used again. Weights that are \
      zero stay zero. With --quantizer the network is trained as if it was quantized already; \
      quantize it afterwards with the same quantizer.
      """)

  @OptionGroup var stage: StageArguments
  @Option(help: .init("The network to learn from, an ONNX file.", valueName: "file"))
  var teacher: String
  @Option(help: "The data to learn from.", transform: { try DataSource($0) })
  var data: DataSource
  @Option(help: .init("The loss plugin.", valueName: "id|path"))
  var loss = PluginChoice.defaultLoss
  @OptionGroup var parameters: ParameterOptions
  @Option(
    help: .init(
      "Tensors inside of student and teacher that the loss compares; may be repeated.",
      valueName: "student=teacher"))
  var feature: [String] = []
  @Option(
    help: .init(
      "A quantizer plugin: train as if the network was quantized by it already.",
      valueName: "id|path"))
  var quantizer: String?
  @Option(
    name: .customLong("quantizer-param"),
    help: .init("A parameter of the quantizer; may be repeated.", valueName: "key=value"),
    transform: ParameterOptions.parameter)
  var quantizerParameters: [PluginChoice.Parameter] = []
  @OptionGroup var training: TrainingArguments

  private var work: Stage.Work {
    var distill = DistillStage(
      teacher: .file(teacher), loss: PluginChoice(loss, parameters: parameters.parameters),
      training: training.options)
    distill.features = feature.map { text in
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      return FeaturePair(student: parts.first ?? "", teacher: parts.count == 2 ? parts[1] : "")
    }
    distill.quantizer = quantizer.map { PluginChoice($0, parameters: quantizerParameters) }
    return .distill(distill)
  }

  func validate() throws {
    for text in feature where text.split(separator: "=", maxSplits: 1).count != 2 {
      throw ValidationError(
        "\"\(text)\" is no pair of tensors; write --feature STUDENT=TEACHER with their names.")
    }
    try checkUsage(Stage(work))
  }
  func run() throws { try stage.run(work, data: data) }
}
