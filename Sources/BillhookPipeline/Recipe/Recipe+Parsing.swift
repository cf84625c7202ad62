extension Recipe {
  /// Nil, or a value not to be used, when problems were found.
  init?(_ tree: RecipeValue, _ problems: ProblemList) {
    let reader = SectionReader(tree, RecipeVocabulary.recipe, path: "", problems: problems)
    if let version = reader.integer("version"), version != Self.formatVersion {
      reader.note(
        "version",
        "The recipe is written in version \(version) of the format, but this Billhook reads "
          + "version \(Self.formatVersion). Use a Billhook that knows it, or rewrite the recipe.")
    }
    var data = RecipeData()
    if let value = reader["data"] {
      let section = SectionReader(value, RecipeVocabulary.data, path: "data", problems: problems)
      data = RecipeData(
        train: section.dataSource("train"), test: section.dataSource("test"),
        calibration: section.dataSource("calibration"))
    }
    let model = Self.model(reader, problems)
    let stages = Self.stages(reader, problems)
    guard let model, let output = reader.text("output") else { return nil }
    self.init(
      model: model, data: data, seed: UInt64(reader.integer("seed") ?? 0), output: output,
      stages: stages)
  }

  private static func model(_ reader: SectionReader, _ problems: ProblemList) -> ModelOrigin? {
    guard let value = reader["model"],
      case .textOrSection(let section)? = reader.section["model"]?.kind
    else { return nil }
    if case .scalar(let path, _) = value.content, !path.isEmpty { return .file(path) }
    let outer = SectionReader(value, section, path: "model", problems: problems)
    guard let new = outer["new"],
      case .textOrSection(let newSection) = RecipeVocabulary.newNetwork.kind
    else { return nil }
    if case .scalar(let text, _) = new.content, !text.isEmpty {
      guard let name = outer.word("new", of: RecipeVocabulary.architectures) else { return nil }
      return .new(NewNetwork(architecture: name))
    }
    let inner = SectionReader(new, newSection, path: "model.new", problems: problems)
    guard let name = inner.word("architecture", of: RecipeVocabulary.architectures) else {
      return nil
    }
    return .new(
      NewNetwork(
        architecture: name, width: inner.integer("width"), channels: inner.integer("channels"),
        classes: inner.integer("classes") ?? 10, image: inner.integer("image") ?? 28,
        seed: inner.integer("seed").map { UInt64($0) }))
  }

  private static func stages(_ reader: SectionReader, _ problems: ProblemList) -> [Stage] {
    guard let value = reader["stages"] else { return [] }
    guard case .sequence(let items) = value.content else {
      reader.note("stages", "Found \(value.kindName), but a list of stages is needed.")
      return []
    }
    if items.isEmpty {
      let names = RecipeVocabulary.stages.map(\.name).joined(separator: ", ")
      reader.note("stages", "The list of stages is empty; add at least one of \(names).")
    }
    return items.enumerated().compactMap { index, item in
      Stage(item, path: "stages.\(index)", problems: problems)
    }
  }
}

extension Stage {
  init?(_ item: RecipeValue, path: String, problems: ProblemList) {
    let names = RecipeVocabulary.stages.map(\.name)
    var name: String
    var body = RecipeValue(content: .mapping([]))
    body.line = item.line
    switch item.content {
    case .scalar(let word, _): name = word
    case .mapping(let entries) where entries.count == 1:
      name = entries[0].key
      body = entries[0].value
    default:
      problems.add(
        item.line, path,
        "Found \(item.kindName), but a stage is one key: \(names.joined(separator: ", ")).")
      return nil
    }
    guard let section = RecipeVocabulary.stages.first(where: { $0.name == name })?.section else {
      problems.add(
        item.line, path,
        "There is no stage \"\(name)\".\(suggestion(for: name, in: names)) "
          + "Stages: \(names.joined(separator: ", ")).")
      return nil
    }
    let reader = SectionReader(body, section, path: "\(path).\(name)", problems: problems)
    guard let work = Work(name, reader, problems) else { return nil }
    self.init(work, save: reader.text("save"))
    if let save,
      save.contains("/") || save.hasPrefix(".") || save == "report.json" || save == "report.txt"
    {
      reader.note(
        "save",
        "The name \"\(save)\" must be a plain file name in the output folder, such as "
          + "\"student.onnx\".")
    }
  }
}

extension Stage.Work {
  init?(_ name: String, _ reader: SectionReader, _ problems: ProblemList) {
    switch name {
    case "train":
      self = .train(
        TrainStage(
          loss: reader.plugin("loss", standard: TrainStage.labelLoss),
          training: TrainingOptions(reader, problems)))
    case "distill":
      let teacher = reader.text("teacher") ?? "original"
      var distill = DistillStage(
        teacher: teacher == "original" ? .original : .file(teacher),
        loss: reader.plugin("loss", standard: PluginChoice(PluginChoice.defaultLoss)),
        training: TrainingOptions(reader, problems))
      distill.features = reader.pairs("features").map { FeaturePair(student: $0, teacher: $1) }
      if let quantizer = reader.text("quantizer") {
        distill.quantizer = reader.plugin(
          "quantizer", parameters: "quantizer_parameters", standard: PluginChoice(quantizer))
      }
      self = .distill(distill)
    case "prune":
      // Both are read before either is missed, so that the problems of both are noted.
      let granularity = reader.choice("granularity", of: PruneStage.Granularity.self)
      let ratio = reader.number("ratio")
      let pattern = reader.text("pattern")
      guard let granularity else { return nil }
      var prune = PruneStage(
        scorer: reader.plugin("scorer", standard: PluginChoice(PluginChoice.defaultScorer)),
        granularity: granularity, ratio: ratio ?? 0,
        scope: reader.choice("scope", of: PruneStage.Scope.self))
      prune.pattern = pattern
      prune.block = reader.sizes("block", count: 2)
      if let problem = prune.shapeProblem(hasRatio: reader["ratio"] != nil) {
        reader.note(problem.key, problem.sentence)
      }
      prune.maskOnly = reader.boolean("mask_only") ?? prune.maskOnly
      prune.groupReduce =
        reader.choice("group_reduce", of: PruneStage.GroupReduce.self) ?? prune.groupReduce
      prune.roundTo = reader.integer("round_to")
      prune.include = reader.texts("include")
      prune.exclude = reader.texts("exclude")
      prune.reestimateStatistics =
        reader.boolean("reestimate_statistics") ?? prune.reestimateStatistics
      self = .prune(prune)
    case "quantize":
      var quantize = QuantizeStage(
        quantizer: reader.plugin(
          "quantizer", standard: PluginChoice(PluginChoice.defaultQuantizer)))
      quantize.mode = reader.choice("mode", of: QuantizeStage.Mode.self) ?? quantize.mode
      quantize.calibration =
        reader.choice("calibration", of: QuantizeStage.Calibration.self) ?? quantize.calibration
      quantize.percentile = reader.number("percentile") ?? quantize.percentile
      quantize.samples = reader.integer("samples") ?? quantize.samples
      quantize.weightRange =
        reader.choice("weight_range", of: QuantizeStage.WeightRange.self) ?? quantize.weightRange
      quantize.minReduction = reader.integer("min_reduction") ?? quantize.minReduction
      quantize.include = reader.texts("include")
      quantize.exclude = reader.texts("exclude")
      self = .quantize(quantize)
    default:
      self = .evaluate
    }
  }
}

extension TrainingOptions {
  init(_ reader: SectionReader, _ problems: ProblemList) {
    self.init()
    epochs = reader.integer("epochs") ?? epochs
    batchSize = reader.integer("batch_size") ?? batchSize
    optimizer = reader.choice("optimizer", of: OptimizerName.self) ?? optimizer
    learningRate = reader.number("learning_rate")
    momentum = reader.number("momentum") ?? momentum
    weightDecay = reader.number("weight_decay") ?? weightDecay
    schedule = reader.choice("schedule", of: Schedule.self) ?? schedule
    stepEpochs = reader.integer("step_epochs") ?? stepEpochs
    stepFactor = reader.number("step_factor") ?? stepFactor
    finalLearningRate = reader.number("final_learning_rate") ?? finalLearningRate
    warmupSteps = reader.integer("warmup_steps") ?? warmupSteps
    networkOutput = reader.text("network_output")
    if let value = reader["augmentation"] {
      let section = SectionReader(
        value, RecipeVocabulary.augmentation, path: reader.join("augmentation"), problems: problems)
      augmentation = AugmentationOptions(
        shift: section.integer("shift") ?? 0, flip: section.boolean("flip") ?? false,
        views: section.integer("views"))
    }
  }
}
