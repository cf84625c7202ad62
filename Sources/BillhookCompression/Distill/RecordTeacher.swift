public import BillhookGraph
public import BillhookTensor

/// Runs a teacher over data and hands its outputs over, batch by batch.
///
/// With an augmentation that has `views`, view 0 of every sample comes first, then view 1 of every
/// sample, and so on: row `view · count + sample` belongs to that view of that sample.
///
/// - Parameters:
///   - output: The name of the output; nil for the first that is floating-point.
///   - append: Gets logits in order, float32: `[n, classes]`, or `[n, rows, classes]` where a sample has
///     several rows.
/// - Throws: ``CompressionError`` when the data does not fit, no axis of the output is known to
///   be that of the samples or the augmentation states no number of views; `RuntimeError`.
public func recordTeacher(
  _ graph: Graph, on data: Dataset, augmentation: Augmentation? = nil, seed: UInt64 = 0,
  batchSize: Int = 250,
  output: String? = nil, progress: (any ProgressReporting)? = nil,
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
  let compared = try ComparedOutput(graph, output)
  let runner = BatchRunner(graph.restricted(to: [compared.logits]), batchSize: batchSize)
  progress?.begin("record the teacher", total: data.count * views, unit: "samples")
  var done = 0
  for view in 0..<views {
    try runner.run(
      data, Array(0..<data.count), augmentation: augmentation, seed: seed, view: view
    ) { indices, outputs in
      let logits = outputs[compared.logits]!
      let layout = try compared.layout(logits.shape, samples: indices.count)
      let each = layout.rowCount / indices.count
      let rows = layout.rows(logits)
      try append(
        each == 1 ? rows : rows.reshaped([indices.count, each, layout.columnCount]))
      done += indices.count
      progress?.advance(done, detail: "")
    }
  }
  progress?.end("")
}
