public import ArgumentParser
public import Billhook

extension PruneStage.Granularity: ExpressibleByArgument {}
extension PruneStage.Scope: ExpressibleByArgument {}
extension PruneStage.GroupReduce: ExpressibleByArgument {}

struct PruneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Remove the least important weights or channels.",
    discussion: """
      Half of the channels of each layer; the tensors shrink:
        billhook prune teacher.onnx -o pruned.onnx --granularity channel \\
          --ratio 0.5 --data fashion-mnist:train,limit=5000

      Nine of ten weights become zero, also in a checkpoint:
        billhook prune model.safetensors -o sparse.safetensors \\
          --granularity element --ratio 0.9

      Two of every four neighbouring inputs stay, or half of all blocks of four output \
      channels:
        billhook prune in.onnx -o out.onnx --granularity element --pattern 2:4
        billhook prune in.onnx -o out.onnx --granularity block --block 4x1 \\
          --ratio 0.5

      With a scorer of your own:
        billhook prune in.onnx -o out.onnx --scorer ./libmine.so \\
          --granularity element --ratio 0.5
      """)

  @OptionGroup var stage: StageArguments
  @Option(help: .init("The scorer plugin.", valueName: "id|path"))
  var scorer = PluginChoice.defaultScorer
  @OptionGroup var parameters: ParameterOptions
  @Option(help: "What is removed: element, block or channel.")
  var granularity: PruneStage.Granularity
  @OptionGroup var block: BlockOption
  @Option(
    help: .init(
      "How many of how many neighbours along the input axis stay, as in 2:4; no ratio then.",
      valueName: "n:m"))
  var pattern: String?
  @Option(help: "The fraction to remove, above 0 and below 1.")
  var ratio: Double?
  @Option(
    help: """
      Rank over all layers (global) or in each. Default: global for elements and blocks whose scores \
      compare across layers, else layer.
      """)
  var scope: PruneStage.Scope?
  @Flag(help: "Keep all shapes; removed channels become zeros.")
  var maskOnly = false
  @Option(help: "How scores of coupled layers are combined: mean, sum, max or first.")
  var groupReduce = PruneStage.GroupReduce.mean
  @Option(help: "Keep a multiple of this many channels.")
  var roundTo: Int?
  @Option(help: .init("Only layers with such names; may be repeated.", valueName: "pattern"))
  var include: [String] = []
  @Option(help: .init("Leave these layers alone; may be repeated.", valueName: "pattern"))
  var exclude: [String] = []
  @Flag(inversion: .prefixedNo, help: "Measure batch-norm statistics again afterwards.")
  var reestimateStatistics = true
  @Option(
    help: "For the scorer's statistics and the batch norms.", transform: { try DataSource($0) })
  var data: DataSource?

  private var work: Stage.Work {
    var prune = PruneStage(
      scorer: PluginChoice(scorer, parameters: parameters.parameters), granularity: granularity,
      ratio: ratio ?? 0, scope: scope)
    prune.block = block.sizes
    prune.pattern = pattern
    prune.maskOnly = maskOnly
    prune.groupReduce = groupReduce
    prune.roundTo = roundTo
    prune.include = include
    prune.exclude = exclude
    prune.reestimateStatistics = reestimateStatistics
    return .prune(prune)
  }

  func validate() throws {
    guard case .prune(let stage) = work else { return }
    if let problem = stage.shapeProblem(hasRatio: ratio != nil) {
      throw ValidationError(problem.sentence)
    }
    try checkUsage(Stage(work))
  }
  func run() throws { try stage.run(work, data: data) }
}
