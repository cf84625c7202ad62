internal import ArgumentParser
internal import Billhook

struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep", abstract: "Compare scorers: accuracy against sparsity.",
    discussion: """
      billhook sweep --model teacher.onnx --data fashion-mnist:test -o sweep \\
        --scorer magnitude --scorer ./libmine.so --scorer random --ratio 0.5,0.7,0.9

      Every scorer prunes the network at every ratio, without training unless --distill says so. \
      DIR gets sweep.csv, sweep.json and sweep.svg. Finished points are kept in DIR/.billhook: a \
      second run works out only what is new.

      Parameters of a scorer follow a question mark: --scorer 'magnitude?exponent=2'
      """)

  @Option(help: .init("The network, an ONNX file.", valueName: "file"))
  var model: String
  @Option(help: "The labelled data to measure accuracy on.", transform: { try DataSource($0) })
  var data: DataSource
  @OptionGroup var output: OutputFolderOption
  @Option(
    help: .init("A scorer plugin; may be repeated.", valueName: "id|path[?key=value&…]"),
    transform: { text in try usage { try PluginChoice(text: text) } })
  var scorer: [PluginChoice]
  @Option(
    help: .init("The fractions to remove, with commas; may be repeated.", valueName: "ratios"),
    transform: ratios)
  var ratio: [[Double]]
  @Option(help: "What is removed: element, block or channel.")
  var granularity = PruneStage.Granularity.element
  @OptionGroup var block: BlockOption
  @Option(help: "Rank over all layers (global) or in each. Default: global where all scorers can.")
  var scope: PruneStage.Scope?
  @Option(help: .init("Only layers with such names; may be repeated.", valueName: "pattern"))
  var include: [String] = []
  @Option(help: .init("Leave these layers alone; may be repeated.", valueName: "pattern"))
  var exclude: [String] = []
  @Option(
    help: "For scorers' statistics, batch norms and --distill.",
    transform: { try DataSource($0) })
  var calibration: DataSource?
  @Option(help: .init("Train this many steps against the unpruned network.", valueName: "steps"))
  var distill: Int?
  @Option(help: "For --distill: the highest learning rate.")
  var learningRate = 0.01
  @Flag(help: "Work out finished points again.")
  var fresh = false
  @OptionGroup var seed: SeedOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var global: GlobalOptions

  private var sweep: Sweep {
    var prune = PruneStage(granularity: granularity, ratio: 0.5, scope: scope)
    prune.block = block.sizes
    prune.include = include
    prune.exclude = exclude
    return Sweep(
      model: model, scorers: scorer, ratios: ratio.flatMap { $0 }.sorted(), prune: prune,
      data: data, calibration: calibration, distillSteps: distill, learningRate: learningRate,
      seed: seed.seed, output: output.output)
  }

  func validate() throws {
    try usage { try sweep.check() }
  }

  func run() throws {
    let session = global.start()
    let report = try SweepRunner(
      sweep, catalog: session.catalog(), fresh: fresh, progress: session.progress,
      announce: session.announce
    ).run()
    try session.show(report, asJSON: json.json) { report.text() }
  }
}

struct OutputFolderOption: ParsableArguments {
  @Option(name: .shortAndLong, help: .init("The folder to write to.", valueName: "dir"))
  var output: String
}

private func ratios(_ text: String) throws -> [Double] {
  try text.split(separator: ",", omittingEmptySubsequences: false).map { piece in
    guard let ratio = Double(piece) else {
      throw ValidationError("\"\(piece)\" is no number; write ratios as 0.5,0.7,0.9.")
    }
    return ratio
  }
}
