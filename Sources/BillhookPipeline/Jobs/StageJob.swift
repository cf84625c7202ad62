public import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
public import BillhookPlugins
internal import Foundation

/// One stage on one file: what the commands train, prune, distill and quantize do.
///
/// The same stages as in a recipe, checked in the same way, so that a command and a recipe with the
/// same settings write the same network.
public struct StageJob {
  public var stage: Stage
  public var input: String
  public var output: String
  /// For training, statistics and calibration.
  public var data: DataSource?
  /// For an evaluation afterwards: with labels top-1, without them how far the outputs are from those
  /// of the teacher of a distillation, else from those of the input.
  public var test: DataSource?
  public var seed: UInt64
  public var catalog: PluginCatalog
  public var progress: (any BillhookCompression.ProgressReporting)?

  public init(
    _ stage: Stage, input: String, output: String, data: DataSource?, test: DataSource? = nil,
    seed: UInt64 = 0, catalog: PluginCatalog,
    progress: (any BillhookCompression.ProgressReporting)? = nil
  ) {
    self.stage = stage
    self.input = input
    self.output = output
    self.data = data
    self.test = test
    self.seed = seed
    self.catalog = catalog
    self.progress = progress
  }

  /// - Returns: What was done and what the written file is like; no latencies.
  /// - Throws: ``PipelineError/stage(name:problems:)`` with everything that does not fit, and the
  ///   errors of the modules that do the work.
  public func run() throws -> JobReport {
    if ModelFile.isCheckpoint(input) { return try CheckpointJob(self).run() }
    var inputs = [input]
    if case .distill(let distill) = stage.work, case .file(let teacher) = distill.teacher {
      inputs.append(teacher)
    }
    try ModelFile.checkOutput(output, inputs: inputs)
    let packing = ModelFile.isCheckpoint(output) ? stage.packing : nil
    let isQuantization = if case .quantize = stage.work { true } else { false }
    try ModelFile.checkKind(
      output, holdsNetwork: packing == nil,
      other: isQuantization
        ? "--mode weight-only, which writes the weights alone to a .safetensors file" : nil)
    let checked = try check()
    let folder = URL(fileURLWithPath: output).deletingLastPathComponent().path
    let cache = StageCache(folder: "\(folder)/\(StageCache.folderName)")
    if stage.trains {
      try FileManager.default.createDirectory(
        atPath: cache.folder, withIntermediateDirectories: true)
    }
    let checkpoint = cache.checkpoint(
      StageCache.key(checked, through: 0, modelSHA256: try RecipeRunner.sha256(checked.graph)))
    let runner = StageRunner(
      context: StageContext(
        catalog: catalog, seed: seed, train: checked.train, calibration: checked.calibration,
        original: nil, teachers: TeacherStore(folder: cache.folder), checkpoint: checkpoint,
        progress: progress))
    let clock = ContinuousClock()
    let start = clock.now
    func provenance(_ plugins: [PluginUse]) -> Provenance {
      Provenance(
        recipeSHA256: checked.recipeSHA256, dataSHA256: checked.dataSHA256, seed: seed,
        plugins: plugins)
    }
    let result: StageResult
    let seconds: Double
    let written: Graph
    if let packing {
      result = try PackedWeights(catalog: catalog, seed: seed, progress: progress)
        .write(checked.graph, named: input, packing, to: output) { provenance([$0]) }
      seconds = (clock.now - start).inSeconds
      written = result.graph
    } else {
      result = try runner.run(stage, on: checked.graph)
      seconds = (clock.now - start).inSeconds
      var graph = result.graph
      provenance(result.plugins).stamp(&graph)
      try ONNXFile.write(graph, to: output)
      written = try ONNXFile.read(path: output)
    }
    checkpoint.remove()
    let ledger = StageLedger(test: checked.test, measurement: nil, progress: progress)
    var row = try ledger.row(written, path: output)
    let before = try NetworkCost(of: checked.graph)
    row.stage = stage.name
    row.summary = stage.summary(result.record)
    row.file = output
    row.seconds = seconds
    row.record = result.record
    row.plugins = result.plugins
    row.warnings = result.warnings
    if row.evaluation == nil, checked.test != nil {
      var reference = checked.graph
      if case .distill(let distill) = stage.work, case .file(let teacher) = distill.teacher {
        reference = try ModelFile.readGraph(teacher, for: "a teacher")
      }
      do {
        try ledger.compare(&row, written, teacher: reference, nil, output: stage.networkOutput)
      } catch let error as CompressionError {
        row.warnings.append("The result was not compared: \(error)")
      }
    }
    return JobReport(
      input: input, inputBytes: try ModelFile.byteCount(input),
      inputParameters: before.parameters, inputMACs: before.macs, stage: row)
  }

  private func check() throws -> CheckedRecipe {
    let recipe = Recipe(
      model: .file(input), data: RecipeData(train: data, test: test), seed: seed, output: "",
      stages: [stage])
    do {
      return try RecipeCheck(RecipeFile(recipe, name: stage.name), catalog: catalog).run()
    } catch PipelineError.recipe(_, let problems) {
      // Two settings that name the same data have the same problem.
      var sentences: [String] = []
      for problem in problems where !sentences.contains(problem.sentence) {
        sentences.append(problem.sentence)
      }
      throw PipelineError.stage(name: stage.name, problems: sentences)
    }
  }
}

/// What one command did to one file.
public struct JobReport: Sendable, Codable, Equatable {
  public var input: String
  public var inputBytes: Int
  public var inputParameters: Int
  public var inputMACs: Int
  public var stage: StageReport

  /// The result for a person.
  public func text() -> String {
    var lines = ["\(stage.stage): \(stage.summary)", ""]
    var table = TextTable([("", .left), ("before", .right), ("after", .right)])
    table.add(["file", input, stage.file])
    table.add(["on disk", NumberText.bytes(inputBytes), NumberText.bytes(stage.bytes)])
    table.add([
      "parameters", NumberText.count(inputParameters), NumberText.count(stage.parameters),
    ])
    if inputMACs > 0 {
      table.add(["MACs", NumberText.magnitude(inputMACs), NumberText.magnitude(stage.macs)])
    }
    table.add(["sparsity", "", NumberText.fraction(stage.sparsity)])
    if let evaluation = stage.evaluation {
      table.add([
        "top-1", "",
        "\(NumberText.fraction(evaluation.top1)) (\(NumberText.fraction(evaluation.intervalLow))–"
          + "\(NumberText.fraction(evaluation.intervalHigh)))",
      ])
    }
    if let agreement = stage.agreementWithTeacher {
      table.add(["agreement", "", NumberText.fraction(agreement)])
    }
    if let difference = stage.differenceFromTeacher {
      table.add(["difference", "", NumberText.small(difference)])
    }
    table.add(["time", "", NumberText.seconds(stage.seconds)])
    lines.append(table.text())
    lines.append(stage.layerTable())
    if !stage.warnings.isEmpty {
      lines.append("Warnings\n")
      lines += stage.warnings.map { "- \($0)" }
    }
    return lines.joined(separator: "\n")
  }
}
