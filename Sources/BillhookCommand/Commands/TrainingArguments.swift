public import ArgumentParser
public import Billhook

extension TrainingOptions.OptimizerName: ExpressibleByArgument {}
extension TrainingOptions.Schedule: ExpressibleByArgument {}

/// How to train; the same for `train` and `distill`.
struct TrainingArguments: ParsableArguments {
  @Option(help: "How often to go through the data.")
  var epochs = TrainingOptions().epochs
  @Option(help: "Samples in a step.")
  var batchSize = TrainingOptions().batchSize
  @Option(help: "How weights follow their gradients: sgd, adam or adamw.")
  var optimizer = TrainingOptions().optimizer
  @Option(help: "The highest learning rate. Default: 0.05 for sgd, else 0.001.")
  var learningRate: Double?
  @Option(help: "For sgd.")
  var momentum = TrainingOptions().momentum
  @Option(help: "Pulls weights towards zero.")
  var weightDecay = TrainingOptions().weightDecay
  @Option(help: "How the rate changes over the steps: constant, step or cosine.")
  var schedule = TrainingOptions().schedule
  @Option(help: "For step: epochs between two changes.")
  var stepEpochs = TrainingOptions().stepEpochs
  @Option(help: "For step: what the rate is multiplied by.")
  var stepFactor = TrainingOptions().stepFactor
  @Option(help: "For cosine: where the rate ends.")
  var finalLearningRate = TrainingOptions().finalLearningRate
  @Option(help: "Steps over which the rate rises from 0.")
  var warmupSteps = TrainingOptions().warmupSteps
  @Option(
    help: .init(
      "The output of the network that the loss looks at. Default: the first floating-point one.",
      valueName: "name"))
  var networkOutput: String?
  @Option(help: "Shift images by up to this many pixels each way.")
  var shift: Int?
  @Flag(help: "Mirror half of the images.")
  var flip = false
  @Option(help: "With shift or flip: how many changed versions of each image there are.")
  var views: Int?

  var options: TrainingOptions {
    var options = TrainingOptions()
    options.epochs = epochs
    options.batchSize = batchSize
    options.optimizer = optimizer
    options.learningRate = learningRate
    options.momentum = momentum
    options.weightDecay = weightDecay
    options.schedule = schedule
    options.stepEpochs = stepEpochs
    options.stepFactor = stepFactor
    options.finalLearningRate = finalLearningRate
    options.warmupSteps = warmupSteps
    options.networkOutput = networkOutput
    if shift != nil || flip || views != nil {
      options.augmentation = AugmentationOptions(shift: shift ?? 0, flip: flip, views: views)
    }
    return options
  }
}

/// A plugin from a command line; parameters that are not given keep the standard's values.
func choice(
  _ name: String, _ parameters: [PluginChoice.Parameter], standard: PluginChoice
) -> PluginChoice {
  guard name == standard.plugin else { return PluginChoice(name, parameters: parameters) }
  let kept = standard.parameters.filter { old in !parameters.contains { $0.key == old.key } }
  return PluginChoice(name, parameters: kept + parameters)
}
