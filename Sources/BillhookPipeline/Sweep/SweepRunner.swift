public import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
public import BillhookPlugins
internal import Foundation

/// Does a sweep: one pruning, and where asked for one short distillation, a combination.
///
/// The output folder gets `sweep.csv`, `sweep.json` and `sweep.svg`, written anew after each point;
/// its subfolder `.billhook` keeps every finished point, so that an interrupted or extended sweep
/// works out only what is missing. Pruned networks are measured as the bytes of a file, but not kept.
public final class SweepRunner {
  private let sweep: Sweep
  private let catalog: PluginCatalog
  private let fresh: Bool
  private let progress: (any BillhookCompression.ProgressReporting)?
  private let announce: (String) -> Void

  /// - Parameters:
  ///   - fresh: Work out every point again.
  ///   - announce: Gets a line of text with each point.
  public init(
    _ sweep: Sweep, catalog: PluginCatalog, fresh: Bool = false,
    progress: (any BillhookCompression.ProgressReporting)? = nil,
    announce: @escaping (String) -> Void = { _ in }
  ) {
    self.sweep = sweep
    self.catalog = catalog
    self.fresh = fresh
    self.progress = progress
    self.announce = announce
  }

  /// - Throws: ``PipelineError/stage(name:problems:)`` with everything that does not fit, before any
  ///   work; the errors of the modules that do the work.
  public func run() throws -> SweepReport {
    try sweep.check()
    let scope = commonScope()
    let stages = sweep.stages(scope: scope)
    let checked = try check(stages)
    guard let test = checked.test, test.dataset.isLabelled else {
      throw PipelineError.stage(
        name: "sweep",
        problems: ["The data \"\(sweep.data)\" has no labels, so accuracy cannot be measured."])
    }
    let cache = PointCache(folder: "\(sweep.output)/\(StageCache.folderName)", checked: checked)
    do {
      try FileManager.default.createDirectory(
        atPath: cache.folder, withIntermediateDirectories: true)
    } catch {
      throw PipelineError.cannotWrite(path: sweep.output, reason: "the folder cannot be created")
    }
    let unpruned = try measure(checked.graph, test, cache.key("unpruned", [], nil), cache)
    var report = SweepReport(
      version: billhookVersion, model: sweep.model, data: sweep.data.description,
      calibration: sweep.calibration?.description, granularity: sweep.prune.unit,
      scope: stages[0].effectiveScope.rawValue, distillSteps: sweep.distillSteps,
      seed: sweep.seed,
      unpruned: SweepReport.Unpruned(
        bytes: unpruned.bytes, parameters: unpruned.parameters, macs: unpruned.macs,
        sparsity: unpruned.sparsity, evaluation: unpruned.evaluation),
      points: [])
    announce("unpruned: top-1 \(NumberText.fraction(unpruned.evaluation.top1))")
    for (index, stage) in stages.enumerated() {
      let label = sweep.labels[index / sweep.ratios.count]
      var point = try self.point(stage, checked, test, cache)
      point.label = label
      point.change = point.evaluation.top1 - unpruned.evaluation.top1
      report.points.append(point)
      announce(
        "point \(index + 1) of \(stages.count), \(label) at \(stage.ratio): top-1 "
          + NumberText.fraction(point.evaluation.top1)
          + (point.isResumed ? ", finished before, kept" : ""))
      try write(report)
    }
    return report
  }

  // MARK: - One point

  private func point(
    _ stage: PruneStage, _ checked: CheckedRecipe, _ test: LoadedData, _ cache: PointCache
  ) throws -> SweepReport.Point {
    let choice = Stage(.prune(stage))
    let index = checked.recipe.stages.firstIndex(of: choice)
    let plugins = [index.flatMap { checked.plugins[$0] }].compactMap { $0 }
    let key = cache.key("point", [choice] + distillation(checked), plugins)
    if !fresh, let point: SweepReport.Point = cache.read(key) {
      var kept = point
      kept.isResumed = true
      return kept
    }
    let runner = StageRunner(
      context: StageContext(
        catalog: catalog, seed: sweep.seed, train: checked.train, calibration: checked.calibration,
        original: checked.graph, teachers: TeacherStore(folder: cache.folder), progress: progress))
    let clock = ContinuousClock()
    let start = clock.now
    var result = try runner.run(choice, on: checked.graph)
    var uses = result.plugins
    let warnings = result.warnings
    for stage in distillation(checked) {
      result = try runner.run(stage, on: result.graph)
      uses += result.plugins
    }
    let seconds = (clock.now - start).inSeconds
    let measured = try measure(result.graph, test, nil, cache)
    let point = SweepReport.Point(
      label: "", plugins: uses, ratio: stage.ratio,
      sparsity: try removedShare(from: checked.graph, to: result.graph), bytes: measured.bytes,
      parameters: measured.parameters, macs: measured.macs, evaluation: measured.evaluation,
      change: 0, seconds: seconds, isResumed: false, warnings: warnings)
    try cache.keep(point, key)
    return point
  }

  /// The share of the first network's layer weights that the second does not have, or has as zeros.
  private func removedShare(from first: Graph, to second: Graph) throws -> Double {
    let before = try NetworkCost(of: first).layers.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let after = try NetworkCost(of: second).layers
      .reduce(0) { $0 + $1.shape.reduce(1, *) - $1.zeros }
    return before > 0 ? 1 - Double(after) / Double(before) : 0
  }

  private struct Measured: Codable {
    var bytes: Int
    var parameters: Int
    var macs: Int
    var sparsity: Double
    var evaluation: Evaluation
  }

  /// Looks at what a file would hold, not at what is in memory.
  private func measure(
    _ graph: Graph, _ test: LoadedData, _ key: String?, _ cache: PointCache
  ) throws -> Measured {
    if let key, !fresh, let kept: Measured = cache.read(key) { return kept }
    let bytes = try ONNXFile.encode(graph)
    let written = try ONNXFile.decode(bytes, name: sweep.model)
    let cost = try NetworkCost(of: written)
    let measured = Measured(
      bytes: bytes.count, parameters: cost.parameters, macs: cost.macs, sparsity: cost.sparsity,
      evaluation: try evaluate(
        written, on: test.dataset.fitted(to: written), progress: progress))
    if let key { try cache.keep(measured, key) }
    return measured
  }

  // MARK: - Before and after

  private func commonScope() -> PruneStage.Scope? {
    guard sweep.prune.scope == nil, sweep.prune.granularity == .element else {
      return sweep.prune.scope
    }
    let areComparable = sweep.scorers.allSatisfy { scorer in
      // One that is missing is the check's to report.
      guard let plugin = try? catalog.plugin(scorer.plugin, hook: .scorer) else { return true }
      return plugin.descriptor.capabilities.contains(.globalScale)
    }
    return areComparable ? .global : .layer
  }

  /// Everything that would make a point fail is found before the first is worked on, by the check
  /// of a recipe that has all of them.
  private func check(_ stages: [PruneStage]) throws -> CheckedRecipe {
    let data = RecipeData(
      train: sweep.distillSteps == nil ? nil : sweep.calibration, test: sweep.data,
      calibration: sweep.calibration)
    var recipe = Recipe(
      model: .file(sweep.model), data: data, seed: sweep.seed, output: sweep.output,
      stages: stages.map { Stage(.prune($0)) })
    if let steps = sweep.distillSteps {
      // Smaller data than a batch is one batch.
      let samples = try LoadedData(data.train ?? sweep.data).dataset.count
      var training = TrainingOptions()
      training.learningRate = sweep.learningRate
      training.batchSize = min(training.batchSize, max(samples, 1))
      let stepsPerEpoch = max(samples / training.batchSize, 1)
      training.epochs = (steps + stepsPerEpoch - 1) / stepsPerEpoch
      training.steps = steps
      recipe.stages.append(Stage(.distill(DistillStage(training: training))))
    }
    do {
      return try RecipeCheck(RecipeFile(recipe, name: "sweep"), catalog: catalog).run()
    } catch PipelineError.recipe(_, let problems) {
      // Every ratio of a scorer has the same problem.
      var sentences: [String] = []
      for problem in problems where !sentences.contains(problem.sentence) {
        sentences.append(problem.sentence)
      }
      throw PipelineError.stage(name: "sweep", problems: sentences)
    }
  }

  private func distillation(_ checked: CheckedRecipe) -> [Stage] {
    checked.recipe.stages.filter { if case .distill = $0.work { true } else { false } }
  }

  private func write(_ report: SweepReport) throws {
    try AtomicFile.write(report.csv(), to: "\(sweep.output)/sweep.csv")
    try AtomicFile.write(try reportJSON(report), to: "\(sweep.output)/sweep.json")
    try AtomicFile.write(SweepPlot(report: report).svg(), to: "\(sweep.output)/sweep.svg")
  }
}

/// Finished points in a folder, each under the hash of all that it depends on.
private struct PointCache {
  let folder: String
  private let surroundings: String

  init(folder: String, checked: CheckedRecipe) {
    self.folder = folder
    var digest = Digest()
    digest.add("version", billhookVersion)
    // Reading the network worked, so writing it does.
    digest.add("model", (try? ONNXFile.encode(checked.graph)) ?? [])
    digest.add("seed", "\(checked.recipe.seed)")
    digest.add("data", checked.dataSHA256)
    surroundings = digest.text()
  }

  func key(_ kind: String, _ stages: [Stage], _ plugins: [PluginUse]?) -> String {
    var digest = Digest()
    digest.add("surroundings", surroundings)
    for stage in stages { digest.add("stage", Digest.of(stage.work)) }
    digest.add("plugins", Digest.of(plugins))
    return "\(kind)-\(digest.text().prefix(16))"
  }

  /// Nil when it is missing or damaged, which only means that it is worked out again.
  func read<Value: Decodable>(_ key: String) -> Value? {
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(key).json")) else {
      return nil
    }
    return try? JSONDecoder().decode(Value.self, from: data)
  }

  func keep(_ value: some Encodable, _ key: String) throws {
    try AtomicFile.write(try canonicalJSON(value), to: "\(folder)/\(key).json")
  }
}
