internal import BillhookCompression
internal import BillhookRuntime

extension TrainingOptions {
  /// The same wishes in the words of the training loop.
  func settings(seed: UInt64) -> TrainSettings {
    TrainSettings(
      epochs: epochs, batchSize: batchSize, optimizer: runtimeOptimizer,
      schedule: LearningRateSchedule(
        base: Float(effectiveLearningRate), shape: scheduleShape, warmupSteps: warmupSteps),
      augmentation: augmentation?.augmentation, stepLimit: steps, seed: seed, output: networkOutput)
  }

  private var runtimeOptimizer: Optimizer {
    let decay = Float(weightDecay)
    return switch optimizer {
    case .sgd: .sgd(momentum: Float(momentum), weightDecay: decay)
    case .adam: .adam(weightDecay: decay)
    case .adamw: .adam(weightDecay: decay, decoupledDecay: true)
    }
  }

  private var scheduleShape: LearningRateSchedule.Shape {
    switch schedule {
    case .constant: .constant
    case .step: .step(everyEpochs: stepEpochs, factor: Float(stepFactor))
    case .cosine: .cosine(final: Float(finalLearningRate))
    }
  }
}

extension AugmentationOptions {
  var augmentation: Augmentation { Augmentation(shift: shift, flip: flip, views: views) }
}

extension PruneStage {
  func settings(seed: UInt64) -> PruneSettings {
    PruneSettings(
      granularity: wantedGranularity, block: blockShape,
      pattern: pattern.flatMap { SparsityPattern($0) }, ratio: ratio,
      scope: scope.map { $0 == .global ? .global : .layer }, maskOnly: maskOnly,
      groupReduce: reduce, roundTo: roundTo,
      layers: LayerFilter(include: include, exclude: exclude),
      reestimateStatistics: reestimateStatistics, seed: seed)
  }

  private var wantedGranularity: PruneSettings.Granularity {
    switch granularity {
    case .element: .element
    case .block: .block
    case .channel: .channel
    }
  }

  private var reduce: PruneSettings.GroupReduce {
    switch groupReduce {
    case .mean: .mean
    case .sum: .sum
    case .max: .max
    case .first: .first
    }
  }
}

extension QuantizeStage {
  func settings(seed: UInt64) -> QuantizeSettings {
    let mode: QuantizeSettings.Mode =
      switch self.mode {
      case .static: .static
      case .dynamic: .dynamic
      case .weightOnly: .weightOnly
      }
    return QuantizeSettings(
      mode: mode, calibration: calibration == .minMax ? .minMax : .percentile(percentile),
      samples: samples, weightRange: weightRange == .auto ? .auto : .full,
      minReduction: minReduction,
      layers: LayerFilter(include: include, exclude: exclude), seed: seed)
  }
}
