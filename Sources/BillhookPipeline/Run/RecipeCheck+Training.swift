internal import BillhookCompression
internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor

/// What stages need that train: data, a teacher, a loss, and outputs and tensors to compare.
extension RecipeCheck {
  func checkTraining(
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

  func checkTeacher(_ stage: DistillStage, _ path: String, _ graph: Graph?) {
    guard case .file(let name) = stage.teacher else { return }
    do {
      let teacher = try ModelFile.readGraph(name, for: "a teacher")
      try checkRuns(teacher)
      if let source = recipe.data.train, let data = try? loader.load(source) {
        try data.dataset.check(against: teacher)
      }
      if let graph, let own = try Self.columnCount(graph), let its = try Self.columnCount(teacher),
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

  /// Whether a loss gets what it declares that it needs.
  func checkLoss(
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
  func checkFeatures(_ stage: DistillStage, _ path: String, _ graph: Graph?) {
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

  /// Whether the network has the output that a loss is to look at. Stages before this one keep the
  /// names of outputs.
  func checkOutput(_ name: String?, _ path: String, _ graph: Graph) {
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
}
