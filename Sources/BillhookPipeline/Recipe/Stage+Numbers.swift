extension Stage {
  /// Checks every number against the range that the recipe format states for it.
  ///
  /// A recipe file is checked while it is read; this is for stages made in code or from a command
  /// line.
  ///
  /// - Throws: ``PipelineError/stage(name:problems:)``.
  public func checkNumbers() throws(PipelineError) {
    guard let section = RecipeVocabulary.stages.first(where: { $0.name == name })?.section else {
      return
    }
    var problems: [String] = []
    for (key, value) in numbers {
      let augmentationKey = RecipeVocabulary.augmentation[key]
      guard let kind = (section[key] ?? augmentationKey)?.kind else { continue }
      switch kind {
      case .integer(let low, _) where value < Double(low):
        problems.append("\"\(key)\" is \(whole(value)), but must be at least \(low).")
      case .integer(_, let high) where value > Double(high):
        problems.append("\"\(key)\" is \(whole(value)), but must be at most \(high).")
      case .number(let range) where !range.contains(value):
        problems.append("\"\(key)\" is \(value), but must be \(range.description).")
      default: break
      }
    }
    guard problems.isEmpty else { throw .stage(name: name, problems: problems) }
  }

  /// A whole number as a person would write it, as far as it is one that an Int can hold.
  private func whole(_ value: Double) -> String {
    Int(exactly: value).map { "\($0)" } ?? "\(value)"
  }

  /// Numbers by their keys in a recipe.
  private var numbers: [(key: String, value: Double)] {
    switch work {
    case .train(let stage): stage.training.numbers
    case .distill(let stage): stage.training.numbers
    case .prune(let stage):
      (stage.pattern == nil ? [("ratio", stage.ratio)] : [])
        + (stage.roundTo.map { [("round_to", Double($0))] } ?? [])
    case .quantize(let stage):
      [
        ("percentile", stage.percentile), ("samples", Double(stage.samples)),
        ("min_reduction", Double(stage.minReduction)),
      ]
    case .evaluate: []
    }
  }
}

extension TrainingOptions {
  fileprivate var numbers: [(key: String, value: Double)] {
    var result: [(key: String, value: Double)] = [
      ("epochs", Double(epochs)), ("batch_size", Double(batchSize)),
      ("learning_rate", effectiveLearningRate), ("momentum", momentum),
      ("weight_decay", weightDecay), ("step_epochs", Double(stepEpochs)),
      ("step_factor", stepFactor), ("final_learning_rate", finalLearningRate),
      ("warmup_steps", Double(warmupSteps)),
    ]
    if let augmentation {
      result.append(("shift", Double(augmentation.shift)))
      if let views = augmentation.views { result.append(("views", Double(views))) }
    }
    return result
  }
}
