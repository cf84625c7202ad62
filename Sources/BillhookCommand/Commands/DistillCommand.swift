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
      zero stay zero.
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
  @OptionGroup var training: TrainingArguments

  private var work: Stage.Work {
    var distill = DistillStage(
      teacher: .file(teacher), loss: PluginChoice(loss, parameters: parameters.parameters),
      training: training.options)
    distill.features = feature.map { text in
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      return FeaturePair(student: parts.first ?? "", teacher: parts.count == 2 ? parts[1] : "")
    }
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
