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
  @OptionGroup var training: TrainingArguments

  private var work: Stage.Work {
    .distill(
      DistillStage(
        teacher: .file(teacher), loss: PluginChoice(loss, parameters: parameters.parameters),
        training: training.options))
  }

  func validate() throws { try checkUsage(Stage(work)) }
  func run() throws { try stage.run(work, data: data) }
}
