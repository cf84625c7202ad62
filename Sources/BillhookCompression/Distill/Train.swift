public import BillhookGraph
public import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor

/// Trains a network by a loss plugin, with or without a teacher.
///
/// The samples of each epoch are shuffled by (seed, epoch); those that do not fill a last batch are
/// left out of that epoch.
///
/// A network with weights of another type is trained in float32, and its weights are rounded to their
/// type at the end.
///
/// - Parameters:
///   - network: The loss sees one of its outputs as rows of logits: a row a sample of `[N, classes]`, a
///     row a position of `[N, positions, classes]` or `[positions, N, classes]`, a row a pixel of
///     `[N, classes, H, W]`.
///   - teacher: Recorded outputs, the rows of a sample and view; nil to train on labels alone.
///   - features: The teacher itself, for a loss that compares tensors inside of the networks.
///   - checkpoints: Keeps the state after each epoch, so that an interrupted run goes on from its last
///     whole epoch and ends with the same bytes.
///   - quantizer: Trains the network as if it was quantized by this plugin already; the weights of the
///     result keep their full precision, to be quantized afterwards.
/// - Throws: ``CompressionError`` when data, labels or teacher do not fit the network, when the
///   loss or a trained weight is not finite, or when a kept zero has changed; `RuntimeError`,
///   `PluginError`.
public func train(
  _ network: Graph, loss: Loss, settings: TrainSettings, data: Dataset,
  teacher: (any TeacherOutputs)? = nil, features: FeatureTeacher? = nil,
  progress: (any ProgressReporting)? = nil, checkpoints: (any TrainingCheckpoints)? = nil,
  quantizer: Quantizer? = nil
) throws -> TrainOutcome {
  try settings.check()
  let graph = try network.inFloat32()
  let rounding = try quantizer.map { try FakeQuantization(graph, quantizer: $0) }
  // The ranges that rounding follows are not in a checkpoint, and the bytes must not depend on one.
  let checkpoints = rounding == nil ? checkpoints : nil
  let given = data
  let data = try given.fitted(to: graph)
  let views = try ViewChoice(settings, data: data, teacher: teacher)
  // A student's weights have been trained before; what is zero in them has been pruned.
  let zeros =
    settings.keepZeros ? KeptZeros(of: graph, keepsWhole: teacher != nil) : KeptZeros()
  let batchSize = graph.fixedBatch ?? min(settings.batchSize, data.count)
  let stepsPerEpoch = data.count / batchSize
  guard stepsPerEpoch > 0 else {
    throw CompressionError.tooFewSamples(
      data: data.name, count: data.count, needed: batchSize, task: "training")
  }
  let compared = try ComparedOutput(graph, settings.output)
  let inner = features?.pairs.map(\.student) ?? []
  let innerAxes = graph.sampleAxes(of: inner)
  let made = Set(graph.nodes.flatMap(\.outputs))
  if let missing = inner.first(where: { !made.contains($0) }) {
    throw RuntimeError.unknownValue(name: missing)
  }
  let plan = try TrainingPlan(
    (rounding?.graph ?? graph).restricted(to: [compared.logits] + inner)
      .fixingInputs(data.shapes(batchSize: batchSize)),
    batchSize: batchSize, optimizer: settings.optimizer,
    keepingZeros: Set(zeros.tensors.map(\.name)), seed: settings.seed,
    features: inner, substitutions: rounding?.substitutions ?? [:])
  try features?.prepare(given)
  let (allSteps, overflows) = settings.epochs.multipliedReportingOverflow(by: stepsPerEpoch)
  if overflows, settings.stepLimit == nil {
    throw CompressionError.settingOutOfRange(
      "number of epochs", "\(settings.epochs)", "at most \(Int.max / stepsPerEpoch)")
  }
  let totalSteps = min(overflows ? .max : allSteps, settings.stepLimit ?? .max)
  var record = TrainRecord(
    epochs: [], batchSize: batchSize, samplesPerEpoch: stepsPerEpoch * batchSize,
    usedTeacher: teacher != nil, views: views.count, keptZeros: zeros.record,
    features: features?.pairs.map { "\($0.student)=\($0.teacher)" },
    roundedValues: rounding?.substitutions.count, output: compared.name)
  let otherTypes = network.otherWeightTypes
  record.weightTypes = otherTypes.isEmpty ? nil : otherTypes.map { "\($0)" }
  var result = graph
  if let latest = checkpoints?.latest(), latest.epochs.count < settings.epochs,
    try plan.restore(latest.state)
  {
    record.epochs = latest.epochs
  }
  // The last epoch may be a part of one.
  let epochs = (totalSteps - 1) / stepsPerEpoch + 1
  for epoch in record.epochs.count..<max(record.epochs.count, epochs) {
    let steps = min(stepsPerEpoch, totalSteps - epoch * stepsPerEpoch)
    progress?.begin(
      "\(teacher == nil ? "train" : "distil"): epoch \(epoch + 1) of \(settings.epochs)",
      total: steps * batchSize, unit: "samples")
    var shuffle = CounterRandom(seed: settings.seed, stream: 0x5F_0000_0000 ^ UInt64(epoch))
    let order = shuffle.permutation(data.count)
    var lossSum = 0.0
    var weightSum = 0.0
    var rate: Float = 0
    for batch in 0..<steps {
      let indices = Array(order[batch * batchSize..<(batch + 1) * batchSize])
      let step = epoch * stepsPerEpoch + batch
      rate = settings.schedule.rate(
        step: step, totalSteps: totalSteps, stepsPerEpoch: stepsPerEpoch)
      let chosen = views.choose(indices, epoch: epoch)
      let inputs = data.batch(
        indices, augmentation: settings.augmentation, seed: views.seed, views: chosen)
      let target = try teacher?.rows(indices, views: chosen).flattened(
        samples: indices.count)
      let labels = data.labels(indices)
      var stepLoss = 0.0
      let taught =
        try features?.values(
          indices, augmentation: settings.augmentation, seed: views.seed, views: chosen) ?? []
      try plan.step(inputs, learningRate: rate) { output, inner, gradient, innerGradients in
        let layout = try compared.layout(output.shape, samples: batchSize)
        record.rowsPerSample =
          layout.rowCount > batchSize ? layout.rowCount / batchSize : nil
        let logits = layout.rows(output)
        try check(logits, target: target, labels: labels, indices: indices, data: data)
        guard logits.hasOnlyFiniteFloats else {
          throw CompressionError.lossNotFinite(
            epoch: epoch + 1, step: batch + 1, loss: "not finite", rate: rate)
        }
        let pairs = try zip(features?.pairs ?? [], zip(inner, taught)).map {
          Feature(
            name: $0.student,
            student: try $1.0.movingAxis(innerAxes[$0.student] ?? 0, to: 0)
              .feature($0.student, rows: layout.rowCount, samples: batchSize),
            teacher: try $1.1.feature($0.teacher, rows: layout.rowCount, samples: batchSize))
        }
        let (sum, weight) = try compute(
          loss, logits, layout, target, labels, pairs, innerAxes, &gradient, &innerGradients,
          step: step, totalSteps: totalSteps)
        stepLoss = weight > 0 ? sum / weight : 0
        guard stepLoss.isFinite else {
          throw CompressionError.lossNotFinite(
            epoch: epoch + 1, step: batch + 1, loss: "\(stepLoss)", rate: rate)
        }
        lossSum += sum
        weightSum += weight
      }
      progress?.advance(
        (batch + 1) * batchSize, detail: "loss \(rounded(stepLoss)), rate \(rounded(Double(rate)))")
    }
    let mean = weightSum > 0 ? lossSum / weightSum : 0
    record.epochs.append(
      .init(epoch: epoch + 1, steps: steps, meanLoss: mean, learningRate: rate))
    progress?.end("mean loss \(rounded(mean))")
    if let checkpoints, epoch + 1 < settings.epochs {
      try checkpoints.keep(TrainingCheckpoint(epochs: record.epochs, state: try plan.state()))
    }
  }
  try plan.store(into: &result)
  try result.requireFinite(since: graph, rate: settings.schedule.base)
  if !otherTypes.isEmpty {
    let trained = result
    result = network
    result.takeConstants(of: trained, since: graph)
    try result.requireFinite(since: network, rate: settings.schedule.base)
  }
  try zeros.check(result)
  return TrainOutcome(graph: result, record: record)
}

/// Calls the plugin with gradients of the rows' shapes, whatever shapes the tensors have.
private func compute(
  _ loss: Loss, _ logits: Tensor, _ layout: ComparedOutput.Layout, _ target: Tensor?,
  _ labels: Tensor?, _ features: [Feature], _ featureAxes: [String: Int],
  _ gradient: inout Tensor, _ featureGradients: inout [Tensor], step: Int, totalSteps: Int
) throws(PluginError) -> (Double, Double) {
  var flat = layout.isPlain ? gradient.reshaped(logits.shape) : Tensor(zeros: logits.shape)
  let shapes = featureGradients.map(\.shape)
  var flatFeatures = zip(featureGradients, features).map { $0.reshaped($1.student.shape) }
  // What the plugin writes must have one reference only, or it would be copied.
  gradient = Tensor(zeros: [0])
  featureGradients = []
  defer {
    gradient = layout.gradient(ofRows: flat)
    featureGradients = zip(flatFeatures, zip(features, shapes)).map {
      $0.withSamples(along: featureAxes[$1.0.name] ?? 0, shape: $1.1)
    }
  }
  return try loss.compute(
    student: logits, teacher: target, labels: labels, features: features, gradient: &flat,
    featureGradients: &flatFeatures, step: step, totalSteps: totalSteps)
}

extension Tensor {
  /// `[n, C]` as it is, `[n, rows, C]` as `[n · rows, C]`.
  fileprivate func flattened(samples: Int) -> Tensor {
    rank == 3 ? reshaped([samples * shape[1], shape[2]]) : self
  }

  /// A feature whose first axis is that of the rows.
  fileprivate func feature(
    _ name: String, rows: Int, samples: Int
  ) throws(CompressionError) -> Tensor {
    var leading = 1
    for axis in shape.indices {
      leading *= shape[axis]
      if leading == rows {
        return axis == 0 ? self : reshaped([rows] + Array(shape[(axis + 1)...]))
      }
    }
    throw .featureRows(feature: name, shape: shape, rows: rows / samples, samples: samples)
  }
}

/// Three decimals, or scientific for small numbers; the same text on every machine.
private func rounded(_ value: Double) -> String {
  guard value.isFinite else { return "\(value)" }
  if abs(value) >= 0.01 || value == 0 { return "\((value * 1000).rounded() / 1000)" }
  return "\((value * 1_000_000).rounded() / 1_000_000)"
}

/// Checks that teacher and labels speak of the network's classes.
private func check(
  _ logits: Tensor, target: Tensor?, labels: Tensor?, indices: [Int], data: Dataset
) throws(CompressionError) {
  if let target, target.shape != logits.shape {
    throw .teacherShape(teacher: target.shape, student: logits.shape)
  }
  guard let labels else { return }
  guard logits.shape[0] == indices.count else {
    throw .labelsOfRows(data: data.name, rows: logits.shape[0] / indices.count)
  }
  let classes = logits.shape[1]
  for (index, label) in zip(indices, labels.elements(of: Int32.self))
  where label != -100 && (label < 0 || label >= Int32(clamping: classes)) {
    throw .labelOutOfRange(
      data: data.name, sample: index, label: Int(label), classes: classes)
  }
}

/// Which view of each sample an epoch sees.
private struct ViewChoice {
  /// Of the augmentation.
  let seed: UInt64
  /// The number of views to draw from; nil for a new one each epoch.
  let count: Int?
  private let chooser: UInt64
  private let isAugmented: Bool

  init(
    _ settings: TrainSettings, data: Dataset, teacher: (any TeacherOutputs)?
  ) throws(CompressionError) {
    chooser = settings.seed
    isAugmented = settings.augmentation != nil
    guard let teacher else {
      seed = settings.seed
      count = isAugmented ? settings.augmentation?.views : 1
      return
    }
    guard teacher.count == data.count else {
      throw .teacherCount(data: data.name, samples: data.count, teacher: teacher.count)
    }
    seed = teacher.augmentationSeed
    count = isAugmented ? teacher.views : 1
    guard let wanted = settings.augmentation else { return }
    guard let recorded = teacher.augmentation else { throw .teacherWithoutViews }
    guard recorded.shift == wanted.shift, recorded.flip == wanted.flip,
      wanted.views == nil || wanted.views == teacher.views
    else { throw .teacherOtherViews(recorded: recorded, wanted: wanted) }
  }

  /// The view of each sample of a batch.
  func choose(_ indices: [Int], epoch: Int) -> [Int] {
    guard isAugmented, let count else {
      return [Int](repeating: isAugmented ? epoch : 0, count: indices.count)
    }
    if count == 1 { return [Int](repeating: 0, count: indices.count) }
    return indices.map { index in
      var random = CounterRandom(
        seed: chooser, stream: 0x71E_0000_0000_0000 ^ UInt64(epoch) << 32 ^ UInt64(index))
      return random.integer(below: count)
    }
  }
}

extension TrainSettings {
  fileprivate func check() throws(CompressionError) {
    guard epochs >= 1 else { throw .settingOutOfRange("epochs", "\(epochs)", "at least 1") }
    guard batchSize >= 1 else {
      throw .settingOutOfRange("batch size", "\(batchSize)", "at least 1")
    }
    if let stepLimit, stepLimit < 1 {
      throw .settingOutOfRange("number of steps", "\(stepLimit)", "at least 1")
    }
    guard schedule.base > 0, schedule.base.isFinite else {
      throw .settingOutOfRange("learning rate", "\(schedule.base)", "greater than 0, such as 0.05")
    }
    guard schedule.warmupSteps >= 0 else {
      throw .settingOutOfRange("warm-up", "\(schedule.warmupSteps)", "at least 0 steps")
    }
  }
}
