public import ArgumentParser
public import Billhook

extension QuantizeStage.Mode: ExpressibleByArgument {}
extension QuantizeStage.Calibration: ExpressibleByArgument {}
extension QuantizeStage.WeightRange: ExpressibleByArgument {}

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize", abstract: "Turn floating-point numbers into 8-bit integers.",
    discussion: """
      billhook quantize student.onnx -o small.onnx \\
        --data fashion-mnist:train,limit=1000

      Only the weights, without data, also of a checkpoint:
        billhook quantize model.safetensors -o small.safetensors

      In a form of the quantizer's own, which ONNX does not have:
        billhook quantize model.onnx -o packed.safetensors --quantizer my.so
        billhook restore packed.safetensors --network model.onnx \\
          -o restored.onnx
      """)

  @OptionGroup var stage: StageArguments
  @Option(help: .init("The quantizer plugin.", valueName: "id|path"))
  var quantizer = PluginChoice.defaultQuantizer
  @OptionGroup var parameters: ParameterOptions
  @Option(
    help: .init(
      """
      Activations by fixed ranges (static), as they come (dynamic), or weight-only. Default: static, \
      and weight-only where the output is safetensors.
      """))
  var mode: QuantizeStage.Mode?
  @Option(help: "How fixed ranges are found: min-max or percentile.")
  var calibration = QuantizeStage.Calibration.minMax
  @Option(help: "For percentile: the share of values inside the range.")
  var percentile = 99.99
  @Option(help: "Calibration samples to look at.")
  var samples = 1000
  @Option(help: "auto avoids saturation on CPUs without VNNI; full always uses eight bits.")
  var weightRange = QuantizeStage.WeightRange.auto
  @Option(help: "Convolutions that sum fewer products an output stay in float; 0: none does.")
  var minReduction = 32
  @Option(help: .init("Only layers with such names; may be repeated.", valueName: "pattern"))
  var include: [String] = []
  @Option(help: .init("Leave these layers alone; may be repeated.", valueName: "pattern"))
  var exclude: [String] = []
  @Option(help: "For the ranges of activations.", transform: { try DataSource($0) })
  var data: DataSource?

  private var work: Stage.Work {
    var quantize = QuantizeStage(
      quantizer: PluginChoice(quantizer, parameters: parameters.parameters))
    quantize.mode = mode ?? (ModelFile.isCheckpoint(stage.output.output) ? .weightOnly : .static)
    quantize.calibration = calibration
    quantize.percentile = percentile
    quantize.samples = samples
    quantize.weightRange = weightRange
    quantize.minReduction = minReduction
    quantize.include = include
    quantize.exclude = exclude
    return .quantize(quantize)
  }

  func validate() throws { try checkUsage(Stage(work)) }
  func run() throws { try stage.run(work, data: data) }
}
