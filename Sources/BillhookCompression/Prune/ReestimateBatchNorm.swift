internal import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor

/// Estimates the batch-norm statistics of a network again, as the plain mean over its batches.
///
/// Pruning changes what flows into a batch norm; with the old statistics most of the lost accuracy
/// is lost for no reason.
///
/// Source: Li, Wu, Su and Wang, *EagleEye: Fast Sub-net Evaluation for Efficient Neural Network
/// Pruning*, ECCV 2020, section 3.3 (adaptive batch normalization). Our deviation: a cumulative mean
/// instead of a running one.
///
/// - Returns: The number of samples used; 0 when the network has no batch norm in
///   a type that its weights have.
func reestimateBatchNorm(
  _ network: inout Graph, data: Dataset, settings: PruneSettings,
  progress: (any ProgressReporting)?
) throws -> Int {
  // Training computes in float32, and measures in it.
  let graph = try network.inFloat32()
  let data = try data.fitted(to: graph)
  let isMeasurable = graph.nodes.contains { node in
    node.op == "BatchNormalization"
      && node.input(1).flatMap { graph.constant($0) }?.elementType == .float32
  }
  guard isMeasurable else { return 0 }
  let indices = data.sampleIndices(settings.samples, seed: settings.seed)
  let batchSize = graph.fixedBatch ?? min(settings.batchSize, indices.count)
  let batches = indices.count / batchSize
  guard batches > 0 else { return 0 }
  let plan = try TrainingPlan(
    graph.fixingInputs(data.shapes(batchSize: batchSize)), batchSize: batchSize, optimizer: .sgd())
  progress?.begin("batch-norm statistics", total: batches * batchSize, unit: "samples")
  // The samples are drawn in ascending order; a batch takes every so many of them, so that data that
  // is sorted by class does not give batches of one class.
  for batch in 0..<batches {
    let chosen = (0..<batchSize).map { indices[$0 * batches + batch] }
    try plan.updateStatistics(
      data.batch(chosen), momentum: Float(Double(batch) / Double(batch + 1)))
    progress?.advance((batch + 1) * batchSize, detail: "")
  }
  var measured = graph
  try plan.store(into: &measured)
  network.takeConstants(of: measured, since: graph)
  progress?.end("")
  return batches * batchSize
}
