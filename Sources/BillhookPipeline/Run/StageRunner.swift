internal import BillhookCompression
internal import BillhookGraph
internal import BillhookPlugins

/// What a stage works with beside its network.
struct StageContext {
  var catalog: PluginCatalog
  var seed: UInt64
  var train: LoadedData?
  /// The training data when no other was named.
  var calibration: LoadedData?
  /// The network that a distillation learns from when it names none of its own.
  var original: Graph?
  var teachers: TeacherStore
  /// Where training keeps its state after each epoch; nil for short trainings.
  var checkpoint: CheckpointFile?
  var progress: (any ProgressReporting)?
}

/// What a stage made.
struct StageResult {
  var graph: Graph
  var record: StageRecord
  var plugins: [PluginUse]
  var warnings: [String] = []
  /// True when a distillation found its teacher recorded already.
  var teacherWasRecorded = false
}

/// Does the work of one stage: a network in, a network and a record out.
struct StageRunner {
  let context: StageContext

  func run(_ stage: Stage, on graph: Graph) throws -> StageResult {
    switch stage.work {
    case .train(let stage): try train(stage, graph)
    case .prune(let stage): try prune(stage, graph)
    case .distill(let stage): try distill(stage, graph)
    case .quantize(let stage): try quantize(stage, graph)
    case .evaluate: StageResult(graph: graph, record: .none, plugins: [])
    }
  }

  private func trainingData(for task: String) throws(PipelineError) -> LoadedData {
    guard let data = context.train else { throw .dataMissing(task: task, role: "train") }
    return data
  }

  private func train(_ stage: TrainStage, _ graph: Graph) throws -> StageResult {
    let plugin = try ResolvedPlugin(stage.loss, .loss, in: context.catalog)
    let data = try trainingData(for: "train")
    let outcome = try BillhookCompression.train(
      graph, loss: plugin.plugin.makeLoss(plugin.values, seed: context.seed),
      settings: stage.training.settings(seed: context.seed),
      data: data.dataset.fitted(to: graph), progress: context.progress,
      checkpoints: context.checkpoint)
    return StageResult(
      graph: outcome.graph, record: .train(outcome.record), plugins: [plugin.use],
      warnings: Self.notes(outcome.record, of: graph))
  }

  private func prune(_ stage: PruneStage, _ graph: Graph) throws -> StageResult {
    let plugin = try ResolvedPlugin(stage.scorer, .scorer, in: context.catalog)
    var settings = stage.settings(seed: context.seed)
    if let data = context.calibration, plugin.plugin.descriptor.stateVersion != nil {
      settings.observations = try ObservationFile(
        folder: context.teachers.folder, graph: graph, data: data, plugin: plugin.use,
        settings: settings)
    }
    let outcome = try BillhookCompression.prune(
      graph, scorer: plugin.plugin.makeScorer(plugin.values, seed: context.seed),
      settings: settings,
      data: context.calibration?.dataset.fitted(to: graph), progress: context.progress)
    return StageResult(
      graph: outcome.graph, record: .prune(outcome.record), plugins: [plugin.use],
      warnings: outcome.record.notes)
  }

  private func distill(_ stage: DistillStage, _ graph: Graph) throws -> StageResult {
    let plugin = try ResolvedPlugin(stage.loss, .loss, in: context.catalog)
    let data = try trainingData(for: "distill")
    let teacherGraph =
      switch stage.teacher {
      case .original: context.original ?? graph
      case .file(let path): try ModelFile.readGraph(path, for: "a teacher")
      }
    let (teacher, isReused) = try context.teachers.teacher(
      teacherGraph, on: data, augmentation: stage.training.augmentation?.augmentation,
      seed: context.seed, output: stage.training.networkOutput, progress: context.progress)
    let pairs = stage.features.map {
      FeatureTeacher.Pair(student: $0.student, teacher: $0.teacher)
    }
    let quantizer = try stage.quantizer.map {
      try ResolvedPlugin($0, .quantizer, in: context.catalog)
    }
    let outcome = try BillhookCompression.train(
      graph, loss: plugin.plugin.makeLoss(plugin.values, seed: context.seed),
      settings: stage.training.settings(seed: context.seed), data: data.dataset, teacher: teacher,
      features: pairs.isEmpty ? nil : FeatureTeacher(teacherGraph, pairs: pairs),
      progress: context.progress, checkpoints: context.checkpoint,
      quantizer: quantizer.map { try $0.plugin.makeQuantizer($0.values, seed: context.seed) })
    return StageResult(
      graph: outcome.graph, record: .distill(outcome.record),
      plugins: [plugin.use] + (quantizer.map { [$0.use] } ?? []),
      warnings: Self.notes(outcome.record, of: graph), teacherWasRecorded: isReused)
  }

  /// Says which of several outputs was looked at, and which weights were rounded.
  private static func notes(_ record: TrainRecord, of graph: Graph) -> [String] {
    let rounded = (record.weightTypes ?? []).map {
      "The weights in \($0) were trained in float32, and rounded to \($0) at the end."
    }
    guard graph.outputs.count > 1, let output = record.output else { return rounded }
    let others = graph.outputs.map(\.name).filter { $0 != output }.map { "\"\($0)\"" }
    return rounded + [
      "The loss looked at the output \"\(output)\" alone. --network-output (in a recipe "
        + "network_output) chooses another one: \(others.joined(separator: ", "))."
    ]
  }

  private func quantize(_ stage: QuantizeStage, _ graph: Graph) throws -> StageResult {
    let plugin = try ResolvedPlugin(stage.quantizer, .quantizer, in: context.catalog)
    let outcome = try BillhookCompression.quantize(
      graph, quantizer: plugin.plugin.makeQuantizer(plugin.values, seed: context.seed),
      settings: stage.settings(seed: context.seed),
      data: stage.mode == .static ? context.calibration?.dataset.fitted(to: graph) : nil,
      progress: context.progress)
    return StageResult(
      graph: outcome.graph, record: .quantize(outcome.record), plugins: [plugin.use],
      warnings: outcome.record.warnings)
  }
}
