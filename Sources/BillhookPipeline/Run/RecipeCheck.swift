internal import BillhookCompression
internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor
internal import Foundation

/// Finds everything that would make a recipe fail, before any work is done.
///
/// All problems are collected, each with its line, so that one look at the recipe is enough.
struct RecipeCheck {
  let file: RecipeFile
  let catalog: PluginCatalog
  /// How who has no recipe names data; a sweep's "--data" is what it evaluates on.
  private static let dataOption = "on the command line --data, of sweep --calibration"
  private let loader = DataLoader()
  private let list = ProblemList()

  init(_ file: RecipeFile, catalog: PluginCatalog) {
    self.file = file
    self.catalog = catalog
  }

  private var recipe: Recipe { file.recipe }

  /// - Throws: ``PipelineError/recipe(name:problems:)`` with every problem.
  func run() throws -> CheckedRecipe {
    let graph = firstNetwork()
    let train = load("train", recipe.data.train, graph)
    let test = load("test", recipe.data.test, graph)
    let calibration = load("calibration", recipe.data.calibration, graph)
    var plugins: [PluginUse?] = []
    for (index, stage) in recipe.stages.enumerated() {
      plugins.append(check(stage, at: index, graph))
    }
    checkOrder()
    checkNames()
    guard list.problems.isEmpty, let graph else {
      throw PipelineError.recipe(name: file.name, problems: list.problems)
    }
    return CheckedRecipe(
      file: file, graph: graph, train: train, test: test, calibration: calibration ?? train,
      plugins: plugins)
  }

  private func note(_ path: String, _ sentence: String) {
    list.add(file.line(of: path), path, sentence)
  }

  // MARK: - The network and the data

  private func firstNetwork() -> Graph? {
    do {
      let graph: Graph
      switch recipe.model {
      case .file(let path): graph = try ModelFile.readGraph(path, for: "a recipe")
      case .new(let network): graph = try network.graph(defaultSeed: recipe.seed)
      }
      try checkRuns(graph)
      return graph
    } catch {
      note("model", "\(error)")
      return nil
    }
  }

  /// Compiling finds forms of operators that do not run, where the samples have a fixed size.
  private func checkRuns(_ graph: Graph) throws {
    if graph.fixesSamples {
      _ = try InferencePlan(graph, batchSize: 1)
    } else {
      _ = try InferenceSession(graph)
    }
  }

  private func load(_ role: String, _ source: DataSource?, _ graph: Graph?) -> LoadedData? {
    guard let source else { return nil }
    do {
      let data = try loader.load(source)
      if let graph {
        try data.dataset.check(against: graph)
        if usesLabels(role) { try checkLabels(data.dataset, graph) }
      }
      return data
    } catch {
      note("data.\(role)", "\(error)")
      return nil
    }
  }

  /// Whether a stage looks at the labels of data: training, evaluation, or a scorer that needs
  /// gradients.
  private func usesLabels(_ role: String) -> Bool {
    if role == "test" { return true }
    if role == "train", recipe.stages.contains(where: \.trains) { return true }
    // Training data stands in where no data for calibration is named.
    guard role == "calibration" || recipe.data.calibration == nil else { return false }
    return recipe.stages.contains { stage in
      guard case .prune(let prune) = stage.work,
        let plugin = try? catalog.plugin(
          prune.scorer.plugin, hook: .scorer, isolation: prune.scorer.isolation,
          onCrash: prune.scorer.onCrash)
      else { return false }
      return !plugin.descriptor.needs.isDisjoint(with: .gradients)
    }
  }

  private func checkLabels(_ data: Dataset, _ graph: Graph) throws {
    guard let labels = data.labels, let classes = try Self.classCount(graph) else { return }
    for (sample, label) in labels.enumerated() where label >= classes {
      throw CompressionError.labelOutOfRange(
        data: data.name, sample: sample, label: Int(label), classes: classes)
    }
  }

  /// The columns of the first output; nil when it is not `[N, C]`.
  static func classCount(_ graph: Graph) throws -> Int? {
    let types = try graph.inferTypes(binding: graph.binding(batchSize: 1))
    guard let output = graph.outputs.first, let shape = types[output.name]?.shape,
      shape.count == 2
    else { return nil }
    return shape[1].size
  }

  // MARK: - Stages

  private func check(_ stage: Stage, at index: Int, _ graph: Graph?) -> PluginUse? {
    let path = "stages.\(index).\(stage.name)"
    let resolved = stage.plugin.flatMap { resolve($0.choice, $0.hook, key: $0.key, path) }
    if let graph { checkOutput(stage.networkOutput, path, graph) }
    switch stage.work {
    case .train(let stage):
      checkTraining(stage.training, path, task: "train", graph)
      checkLoss(resolved, path, hasTeacher: false, features: [])
      if let source = recipe.data.train, let data = try? loader.load(source),
        !data.dataset.isLabelled
      {
        note(path, "The training data \"\(source)\" has no labels, which train needs. Use distill.")
      }
    case .distill(let stage):
      checkTraining(stage.training, path, task: "distill", graph)
      checkTeacher(stage, path, graph)
      checkLoss(resolved, path, hasTeacher: true, features: stage.features)
      checkFeatures(stage, path, graph)
      if let quantizer = stage.quantizer {
        _ = resolve(quantizer, .quantizer, key: "quantizer", path)
      }
    case .prune(let stage): check(stage, path, resolved, graph)
    case .quantize(let stage):
      if stage.mode == .static, recipe.data.calibration ?? recipe.data.train == nil {
        note(
          path,
          "Static quantization needs data for the ranges of activations: set "
            + "data.calibration or data.train (\(Self.dataOption)), or use the mode dynamic or "
            + "weight-only.")
      }
      checkPatterns(stage.include, stage.exclude, path, graph)
    case .evaluate:
      if recipe.data.test == nil { note(path, "There is nothing to evaluate on: set data.test.") }
    }
    return resolved?.use
  }

  private func resolve(
    _ choice: PluginChoice, _ hook: PluginDescriptor.Hook, key: String, _ path: String
  ) -> ResolvedPlugin? {
    let plugin: Plugin
    do {
      plugin = try catalog.plugin(
        choice.plugin, hook: hook, isolation: choice.isolation, onCrash: choice.onCrash)
    } catch {
      note("\(path).\(key)", error.description)
      return nil
    }
    do {
      return try ResolvedPlugin(choice, plugin)
    } catch {
      note("\(path).parameters", error.description)
      return nil
    }
  }

  private func checkTraining(
    _ training: TrainingOptions, _ path: String, task: String, _ graph: Graph?
  ) {
    guard let source = recipe.data.train else {
      note(path, "There is no data to learn from: set data.train.")
      return
    }
    if let data = try? loader.load(source), training.batchSize > data.dataset.count {
      note(
        "\(path).batch_size",
        "A batch of \(training.batchSize) is more than the \(data.dataset.count) samples of "
          + "\"\(source)\". Set batch_size to at most \(data.dataset.count) (on the command line "
          + "--batch-size), or name more data.")
    }
    guard let augmentation = training.augmentation else { return }
    let changes = augmentation.shift > 0 || augmentation.flip
    if !changes {
      note(
        "\(path).augmentation", "Nothing is changed: set shift above 0, or flip: true.")
    } else if task == "distill", augmentation.views == nil {
      note(
        "\(path).augmentation",
        "The teacher is recorded, so it must know which changed images will come: set views to how "
          + "many changed versions of each image to record, such as views: 8.")
    }
    if changes, let graph, graph.inputs.first?.shape?.count != 4 {
      note(
        "\(path).augmentation",
        "Shift and flip are for images [N, C, H, W], which this network does not take.")
    }
  }

  private func checkTeacher(_ stage: DistillStage, _ path: String, _ graph: Graph?) {
    guard case .file(let name) = stage.teacher else { return }
    do {
      let teacher = try ModelFile.readGraph(name, for: "a teacher")
      try checkRuns(teacher)
      if let source = recipe.data.train, let data = try? loader.load(source) {
        try data.dataset.check(against: teacher)
      }
      if let graph, let own = try Self.classCount(graph), let its = try Self.classCount(teacher),
        own != its
      {
        note(
          "\(path).teacher",
          "The teacher tells \(its) classes apart, but the network \(own); both need the same.")
      }
    } catch {
      note("\(path).teacher", "\(error)")
    }
  }

  private func check(
    _ stage: PruneStage, _ path: String, _ resolved: ResolvedPlugin?, _ graph: Graph?
  ) {
    if let descriptor = resolved?.plugin.descriptor {
      // A block's score can be made from its elements'.
      let scoresBlocks =
        stage.granularity == .block && descriptor.granularities.contains(.block)
      let needed: Granularity =
        scoresBlocks ? .block : stage.granularity == .channel ? .outputChannel : .element
      if !descriptor.granularities.contains(needed) {
        let offered = Granularity.allCases.filter(descriptor.granularities.contains)
        note(
          "\(path).granularity",
          "The scorer \"\(descriptor.id)\" does not score by \(needed.rawValue), only by "
            + "\(offered.map(\.rawValue).joined(separator: ", ")).")
      }
      let needs = descriptor.needs.subtracting(.previousMask)
      if !needs.isEmpty, recipe.data.calibration ?? recipe.data.train == nil {
        note(
          "\(path).scorer",
          "The scorer \"\(descriptor.id)\" needs \(needs.names.joined(separator: ", ")), which take "
            + "data to measure: set data.calibration or data.train (\(Self.dataOption)).")
      }
      if let graph, !needs.isDisjoint(with: .gradients) {
        do {
          if graph.fixesSamples { _ = try TrainingPlan(graph, batchSize: 1, optimizer: .sgd()) }
        } catch {
          note(
            "\(path).scorer",
            "The scorer \"\(descriptor.id)\" needs gradients. \(error)")
        }
      }
    }
    if stage.granularity != .channel {
      if stage.roundTo != nil {
        note("\(path).round_to", "Numbers of channels can be rounded, numbers of elements cannot.")
      }
      if stage.maskOnly {
        note("\(path).mask_only", "Elements always stay in place; mask_only is for channels.")
      }
    }
    checkPatterns(stage.include, stage.exclude, path, graph)
  }

  /// Whether a loss gets what it declares that it needs.
  private func checkLoss(
    _ resolved: ResolvedPlugin?, _ path: String, hasTeacher: Bool, features: [FeaturePair]
  ) {
    guard let descriptor = resolved?.plugin.descriptor else { return }
    let needs = descriptor.needs
    if needs.contains(.teacher), !hasTeacher {
      note("\(path).loss", "The loss \"\(descriptor.id)\" needs a teacher, which only distill has.")
    }
    if needs.contains(.labels), let source = recipe.data.train,
      let data = try? loader.load(source), !data.dataset.isLabelled
    {
      note(
        "\(path).loss",
        "The loss \"\(descriptor.id)\" needs labels, which the training data \"\(source)\" does not "
          + "have: set data.train to labelled data (\(Self.dataOption)).")
    }
    if hasTeacher, needs.isDisjoint(with: [.labels, .features]) {
      checkWithoutLabels(resolved, path)
    }
    if needs.contains(.features), features.isEmpty {
      note(
        "\(path).features",
        "The loss \"\(descriptor.id)\" compares tensors inside of student and teacher: name them, "
          + (hasTeacher
            ? "as features: {STUDENT: TEACHER} (on the command line --feature STUDENT=TEACHER)."
            : "which only distill can."))
    }
  }

  /// Asks the loss about one sample as training will ask it where there are no labels: parameters
  /// may need what the plugin as a whole does not.
  private func checkWithoutLabels(_ resolved: ResolvedPlugin?, _ path: String) {
    guard let resolved, let source = recipe.data.train, let data = try? loader.load(source),
      !data.dataset.isLabelled
    else { return }
    let logits = Tensor(zeros: [1, 2])
    var gradient = Tensor(zeros: [1, 2])
    do {
      let loss = try resolved.plugin.makeLoss(resolved.values, seed: recipe.seed)
      _ = try loss.compute(
        student: logits, teacher: logits, labels: nil, gradient: &gradient, step: 0, totalSteps: 1)
    } catch {
      note("\(path).parameters", error.description)
    }
  }

  /// Whether the tensors of features exist. The student may be changed by stages before this one, but
  /// keeps its tensors' names.
  private func checkFeatures(_ stage: DistillStage, _ path: String, _ graph: Graph?) {
    guard !stage.features.isEmpty else { return }
    var teacher = graph
    if case .file(let name) = stage.teacher {
      teacher = try? ModelFile.readGraph(name, for: "a teacher")
    }
    for (side, network) in [("student", graph), ("teacher", teacher)] {
      guard let network else { continue }
      let names = network.nodes.flatMap(\.outputs).filter { !$0.isEmpty }
      for pair in stage.features {
        let name = side == "student" ? pair.student : pair.teacher
        guard !names.contains(name) else { continue }
        note(
          "\(path).features",
          "The \(side) has no tensor \"\(name)\".\(suggestion(for: name, in: names)) "
            + "Names are those of the values in the ONNX file, such as \"\(names.last ?? "")\".")
      }
    }
  }

  private func checkPatterns(
    _ include: [String], _ exclude: [String], _ path: String, _ graph: Graph?
  ) {
    let patterns = include + exclude
    guard let graph, !patterns.isEmpty else { return }
    let names = graph.nodes.filter { ["Conv", "Gemm", "MatMul"].contains($0.op) }
      .map(\.displayName)
    let unmatched = patterns.filter { !names.contains(where: LayerFilter(include: [$0]).matches) }
    for pattern in unmatched {
      note(
        path,
        "The pattern \"\(pattern)\" matches no layer. Layers: \(names.joined(separator: ", ")).")
    }
    // Subgraphs may hold more layers than these.
    guard unmatched.isEmpty, graph.nodes.allSatisfy(\.subgraphs.isEmpty),
      !names.contains(where: LayerFilter(include: include, exclude: exclude).matches)
    else { return }
    let error = CompressionError.everythingExcluded(
      include: include, exclude: exclude, names: names)
    note(path, error.description)
  }

  /// Whether the network has the output that a loss is to look at. Stages before this one keep the
  /// names of outputs.
  private func checkOutput(_ name: String?, _ path: String, _ graph: Graph) {
    guard let name else { return }
    guard let output = graph.outputs.first(where: { $0.name == name }) else {
      let error = CompressionError.unknownOutput(output: name, known: graph.outputs.map(\.name))
      return note("\(path).network_output", error.description)
    }
    if !output.elementType.isFloatingPoint {
      note(
        "\(path).network_output", CompressionError.outputsNotFloating([name]).description)
    }
  }

  // MARK: - The whole

  private func checkOrder() {
    guard
      let quantized = recipe.stages.firstIndex(where: {
        if case .quantize = $0.work { true } else { false }
      })
    else { return }
    for index in recipe.stages.indices where index > quantized {
      let stage = recipe.stages[index]
      if case .evaluate = stage.work { continue }
      note(
        "stages.\(index)",
        "\"\(stage.name)\" comes after \"quantize\" (stage \(quantized)), but integers can neither "
          + "be trained, pruned nor quantized again. Put quantize last.")
    }
  }

  private func checkNames() {
    var users: [String: Int] = [:]
    for (index, stage) in recipe.stages.enumerated() {
      guard let save = stage.save else { continue }
      if let first = users[save] {
        note(
          "stages.\(index).\(stage.name).save",
          "Stage \(first) saves under \"\(save)\" already; choose another name.")
      }
      users[save] = index
      if case .file(let path) = recipe.model {
        let target = "\(recipe.output)/\(save)"
        if URL(fileURLWithPath: path).standardizedFileURL
          == URL(fileURLWithPath: target).standardizedFileURL
        {
          note(
            "stages.\(index).\(stage.name).save",
            "\"\(target)\" is the recipe's model, which is never overwritten; choose another name.")
        }
      }
    }
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: recipe.output, isDirectory: &isFolder),
      !isFolder.boolValue
    {
      note("output", "\"\(recipe.output)\" is a file, but the output must be a folder.")
    }
  }
}
