internal import BillhookSDK

/// A loss's instance, with the case and the batch that a test asks it about and changes step by
/// step.
struct LossProbe {
  let plugin: ProbePlugin
  var item = LossCase(12, 10)
  var batch: LossCase.Batch
  private let instance: ProbeInstance

  init(_ subject: Subject) throws {
    plugin = try subject.plugin()
    batch = item.batch(Numbers(seed: plugin.seed), plugin)
    instance = try ProbeInstance(plugin)
  }

  func end() { instance.end() }

  /// A batch of the case as it is now.
  func newBatch() -> LossCase.Batch {
    item.batch(Numbers(seed: plugin.seed), plugin)
  }

  /// What the loss says of a batch, else of its own.
  func answer(_ other: LossCase.Batch? = nil) throws -> Observation {
    try item.compute(instance, other ?? batch, Surroundings())
  }

  /// - Throws: ``NotApplicable`` where the loss fails; other tests report that.
  func ordinaryAnswer() throws -> Observation {
    let observation = try answer()
    guard observation.status == BH_OK else {
      throw NotApplicable("an ordinary batch returned \(observation.described)")
    }
    return observation
  }
}
