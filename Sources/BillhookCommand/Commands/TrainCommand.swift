internal import ArgumentParser
internal import Billhook

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train a network from labels.",
    discussion: """
      billhook train big.onnx -o teacher.onnx --data fashion-mnist:train --epochs 3 \\
        --test fashion-mnist:test
      """)

  @OptionGroup var stage: StageArguments
  @Option(help: "The data to learn from.", transform: { try DataSource($0) })
  var data: DataSource
  @Option(help: .init("The loss plugin.", valueName: "id|path"))
  var loss = PluginChoice.defaultLoss
  @OptionGroup var parameters: ParameterOptions
  @OptionGroup var training: TrainingArguments

  private var work: Stage.Work {
    .train(
      TrainStage(
        loss: choice(loss, parameters.parameters, standard: TrainStage.labelLoss),
        training: training.options))
  }

  func validate() throws { try checkUsage(Stage(work)) }
  func run() throws { try stage.run(work, data: data) }
}
