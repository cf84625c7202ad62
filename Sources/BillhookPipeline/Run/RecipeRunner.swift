public import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
public import BillhookPlugins
internal import BillhookRuntime
internal import Foundation
internal import OrderedCollections

/// How to run a recipe.
public struct RunOptions: Sendable {
  /// Do finished stages again instead of keeping their results.
  public var fresh: Bool
  public var measurement: MeasurementOptions

  public init(fresh: Bool = false, measurement: MeasurementOptions = MeasurementOptions()) {
    self.fresh = fresh
    self.measurement = measurement
  }
}

/// Runs a recipe: checks the whole of it, then works stage by stage, writing and measuring each
/// stage's network.
///
/// The output folder gets the files that stages save, `report.json` and `report.txt`; its subfolder
/// `.billhook` keeps every finished stage and recorded teacher, so that a second run continues where
/// the first ended.
public final class RecipeRunner {
  private let file: RecipeFile
  private let catalog: PluginCatalog
  private let options: RunOptions
  private let progress: (any BillhookCompression.ProgressReporting)?
  private let announce: (String) -> Void

  /// - Parameter announce: Gets a line of text now and then: what starts, what was kept.
  public init(
    _ file: RecipeFile, catalog: PluginCatalog, options: RunOptions = RunOptions(),
    progress: (any BillhookCompression.ProgressReporting)? = nil,
    announce: @escaping (String) -> Void = { _ in }
  ) {
    self.file = file
    self.catalog = catalog
    self.options = options
    self.progress = progress
    self.announce = announce
  }

  /// Checks the recipe without doing any work.
  ///
  /// - Throws: ``PipelineError/recipe(name:problems:)``.
  public func check() throws { _ = try RecipeCheck(file, catalog: catalog).run() }

  /// Does everything.
  ///
  /// - Throws: ``PipelineError``: what the check found, or the stage that cannot be done and why.
  public func run() throws -> Report {
    let checked = try RecipeCheck(file, catalog: catalog).run()
    let folder = checked.recipe.output
    let cache = StageCache(folder: "\(folder)/\(StageCache.folderName)")
    try Self.makeFolder(cache.folder)
    var run = RunState(
      checked: checked, cache: cache, modelSHA256: try Self.sha256(checked.graph),
      teacherIndex: Self.teacherIndex(checked.recipe))
    let ledger = StageLedger(
      test: checked.test, measurement: options.measurement, progress: progress)

    if run.teacherIndex == nil {
      try startRow(&run, ledger)
    } else {
      run.graph = checked.graph
    }
    for (index, stage) in checked.recipe.stages.enumerated() {
      try work(stage, index, &run, ledger)
    }
    let report = Report(
      version: billhookVersion, recipe: file.name, recipeSHA256: checked.recipeSHA256,
      seed: checked.recipe.seed, data: checked.dataSummaries,
      machine: Report.Machine(instructionSet: MachineText.instructionSet, threads: Threads.count),
      stages: run.rows, plugins: run.plugins,
      warnings: run.rows.flatMap { row in row.warnings.map { "\(row.stage): \($0)" } })
    try AtomicFile.write(report.json(), to: "\(folder)/report.json")
    try AtomicFile.write(report.text(), to: "\(folder)/report.txt")
    return report
  }

  private struct RunState {
    let checked: CheckedRecipe
    let cache: StageCache
    let modelSHA256: String
    /// The stage whose network is the teacher; nil when it is the recipe's own model.
    let teacherIndex: Int?
    var graph: Graph?
    var original: Graph?
    var teacherEvaluation: Evaluation?
    var rows: [StageReport] = []
    var plugins: [PluginUse] = []
  }

  /// The last stage before the first that compresses; nil when the model itself is compressed.
  private static func teacherIndex(_ recipe: Recipe) -> Int? {
    let first = recipe.stages.firstIndex(where: \.compresses) ?? recipe.stages.count
    let trained = recipe.stages[..<first].lastIndex { stage in
      if case .train = stage.work { true } else { false }
    }
    return trained
  }

  // MARK: - Stages

  /// The row of the network that the recipe starts from.
  private func startRow(_ run: inout RunState, _ ledger: StageLedger) throws {
    let result = StageResult(graph: run.checked.graph, record: .none, plugins: [])
    try finish(result, stage: nil, index: nil, seconds: 0, &run, ledger)
  }

  private func work(
    _ stage: Stage, _ index: Int, _ run: inout RunState, _ ledger: StageLedger
  ) throws {
    let count = run.checked.recipe.stages.count
    let key = StageCache.key(run.checked, through: index, modelSHA256: run.modelSHA256)
    let title = "stage \(index + 1) of \(count), \(stage.name)"
    if !options.fresh, let row = run.cache.finished(key, stage) {
      announce("\(title): finished before, kept")
      try keep(row, key, stage, index, &run)
      return
    }
    let checkpoint = run.cache.checkpoint(key)
    if options.fresh { checkpoint.remove() }
    if let epochs = checkpoint.latest()?.epochs.count {
      announce("\(title): goes on after epoch \(epochs)")
    }
    announce(stage.summary().isEmpty ? title : "\(title): \(stage.summary())")
    let runner = StageRunner(
      context: StageContext(
        catalog: catalog, seed: run.checked.recipe.seed, train: run.checked.train,
        calibration: run.checked.calibration, original: run.original,
        teachers: TeacherStore(folder: run.cache.folder), checkpoint: checkpoint,
        progress: progress))
    let clock = ContinuousClock()
    let start = clock.now
    do {
      let network = run.graph ?? run.checked.graph
      let result =
        try stage.savedPacking.map {
          try PackedWeights(
            catalog: catalog, seed: run.checked.recipe.seed, progress: progress
          ).write(
            network, named: Self.describe(run.checked.recipe.model), $0,
            to: run.cache.packedPath(key)
          ) { _ in provenance(run) }
        } ?? runner.run(stage, on: network)
      let seconds = (clock.now - start).inSeconds
      try finish(result, stage: stage, index: index, seconds: seconds, &run, ledger)
    } catch let error as CancellationError {
      throw error
    } catch {
      throw PipelineError.stageFailed(
        number: index + 1, count: count, name: stage.name, reason: "\(error)")
    }
    checkpoint.remove()
  }

  /// Writes and measures a stage's network.
  private func finish(
    _ result: StageResult, stage: Stage?, index: Int?, seconds: Double, _ run: inout RunState,
    _ ledger: StageLedger
  ) throws {
    let key = StageCache.key(run.checked, through: index, modelSHA256: run.modelSHA256)
    var graph = result.graph
    add(result.plugins, &run)
    provenance(run).stamp(&graph)
    let path = run.cache.modelPath(key)
    try ONNXFile.write(graph, to: path)
    // Everything from here on looks at the file, not at what was in memory.
    let written = try ONNXFile.read(path: path)
    let isTeacher = index == run.teacherIndex
    var row = try ledger.row(written, path: path)
    row.index = index
    row.stage = stage?.name ?? "model"
    row.summary = stage?.summary(result.record) ?? Self.describe(run.checked.recipe.model)
    row.isTeacher = isTeacher
    row.seconds = seconds
    row.record = result.record
    row.plugins = result.plugins
    row.warnings = result.warnings
    if let original = run.original, !isTeacher {
      let named = run.checked.recipe.stages.compactMap(\.networkOutput).last
      try ledger.compare(
        &row, written, teacher: original, run.teacherEvaluation,
        output: original.outputs.contains { $0.name == named } ? named : nil)
    }
    try run.cache.keep(row, key)
    try save(written, key, stage, &row, run)
    adopt(written, row, &run)
  }

  /// Takes over the result of an earlier run.
  private func keep(
    _ row: StageReport, _ key: String, _ stage: Stage, _ index: Int, _ run: inout RunState
  ) throws {
    var row = row
    var graph = try ONNXFile.read(path: run.cache.modelPath(key))
    add(row.plugins, &run)
    // An earlier recipe may have gone on differently after this stage.
    provenance(run).stamp(&graph)
    row.isResumed = true
    row.index = index
    try save(graph, key, stage, &row, run)
    adopt(graph, row, &run)
  }

  /// Keeps the stage's network, or its packed weights.
  private func save(
    _ graph: Graph, _ key: String, _ stage: Stage?, _ row: inout StageReport, _ run: RunState
  ) throws {
    guard let stage, let name = stage.save else { return }
    let path = "\(run.checked.recipe.output)/\(name)"
    if stage.savedPacking != nil {
      var file = try SafetensorsFile.read(path: run.cache.packedPath(key))
      for (entry, text) in provenance(run).entries { file.metadata[entry] = text }
      try file.write(to: path)
    } else {
      try ONNXFile.write(graph, to: path)
    }
    row.file = name
    row.bytes = try ModelFile.byteCount(path)
  }

  private func adopt(_ graph: Graph, _ row: StageReport, _ run: inout RunState) {
    run.graph = graph
    run.rows.append(row)
    if row.isTeacher {
      run.original = graph
      run.teacherEvaluation = row.evaluation
    }
  }

  private func add(_ plugins: [PluginUse], _ run: inout RunState) {
    for plugin in plugins where !run.plugins.contains(plugin) { run.plugins.append(plugin) }
  }

  private func provenance(_ run: RunState) -> Provenance {
    Provenance(
      recipeSHA256: run.checked.recipeSHA256, dataSHA256: run.checked.dataSHA256,
      seed: run.checked.recipe.seed, plugins: run.plugins)
  }

  // MARK: - Surroundings

  private static func makeFolder(_ path: String) throws(PipelineError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw .cannotWrite(path: path, reason: "the folder cannot be created")
    }
  }

  static func sha256(_ graph: Graph) throws -> String {
    var digest = Digest()
    digest.add("model", try ONNXFile.encode(graph))
    return digest.text()
  }

  private static func describe(_ model: ModelOrigin) -> String {
    switch model {
    case .file(let path): path
    case .new(let network): "new \(network.architecture)"
    }
  }
}
