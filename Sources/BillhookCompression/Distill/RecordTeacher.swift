public import BillhookGraph
public import BillhookTensor

/// Runs a teacher over data and hands its outputs over, batch by batch.
///
/// With an augmentation that has `views`, view 0 of every sample comes first, then view 1 of every
/// sample, and so on: row `view · count + sample` belongs to that view of that sample.
///
/// - Parameters:
///   - append: Gets logits `[n, classes]`, float32, in order.
/// - Throws: ``CompressionError`` when the data does not fit, the first output is not
///   `[batch, classes]` or the augmentation states no number of views; `RuntimeError`.
public func recordTeacher(
  _ graph: Graph, on data: Dataset, augmentation: Augmentation? = nil, seed: UInt64 = 0,
  batchSize: Int = 250, progress: (any ProgressReporting)? = nil,
  append: (Tensor) throws -> Void
) throws {
  let data = try data.fitted(to: graph)
  var views = 1
  if let augmentation {
    guard let stated = augmentation.views, stated >= 1 else {
      throw CompressionError.recordWithoutViews
    }
    views = stated
  }
  let runner = BatchRunner(graph, batchSize: batchSize)
  progress?.begin("record the teacher", total: data.count * views, unit: "samples")
  var done = 0
  for view in 0..<views {
    try runner.run(
      data, Array(0..<data.count), augmentation: augmentation, seed: seed, view: view
    ) { indices, outputs in
      try append(graph.logits(outputs))
      done += indices.count
      progress?.advance(done, detail: "")
    }
  }
  progress?.end("")
}
