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
  static let dataOption = "on the command line --data, of sweep --calibration"
  let loader = DataLoader()
  let list = ProblemList()

  init(_ file: RecipeFile, catalog: PluginCatalog) {
    self.file = file
    self.catalog = catalog
  }

  var recipe: Recipe { file.recipe }

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

  func note(_ path: String, _ sentence: String) {
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
  func checkRuns(_ graph: Graph) throws {
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
    guard let labels = data.labels, let columns = try Self.columnCount(graph) else { return }
    let classes = max(columns, 2)  // a single column is the chance of yes
    for (sample, label) in labels.enumerated() where label >= classes {
      throw CompressionError.labelOutOfRange(
        data: data.name, sample: sample, label: Int(label), classes: classes)
    }
  }

  /// The columns of the first output; nil when it is not `[N, C]`.
  static func columnCount(_ graph: Graph) throws -> Int? {
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
      if let graph, resolved != nil, !list.holds(path) {
        attempt(path) {
          try checkQuantization(graph, settings: stage.settings(seed: recipe.seed))
        }
      }
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
          if graph.fixesSamples {
            _ = try TrainingPlan(graph.inFloat32(), batchSize: 1, optimizer: .sgd())
          }
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
    // Stages before this one change weights and take channels away, but no layer.
    if let graph, let resolved, !list.holds(path) {
      attempt(path) {
        try checkPruning(
          graph, scorer: resolved.plugin.makeScorer(resolved.values, seed: recipe.seed),
          settings: stage.settings(seed: recipe.seed))
      }
    }
  }

  private func attempt(_ path: String, _ body: () throws -> Void) {
    do { try body() } catch { note(path, "\(error)") }
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
      if ModelFile.isCheckpoint(save), stage.packing == nil {
        note(
          "stages.\(index).\(stage.name).save",
          "The name \"\(save)\" is that of a checkpoint, but the stage's result is a network; "
            + "choose one that ends in .onnx. Only quantize with mode weight-only stores weights "
            + "alone.")
      }
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
