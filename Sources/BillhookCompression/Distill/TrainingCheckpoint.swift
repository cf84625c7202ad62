public import BillhookRuntime

/// A training run after a whole epoch.
public struct TrainingCheckpoint: Sendable {
  /// The epochs done, from the first.
  public var epochs: [TrainRecord.Epoch]
  public var state: TrainingState

  public init(epochs: [TrainRecord.Epoch], state: TrainingState) {
    self.epochs = epochs
    self.state = state
  }
}

/// Where a training run keeps its state; one place belongs to one graph, data set and settings.
public protocol TrainingCheckpoints {
  /// What was kept last; nil when there is nothing, or nothing that can be read.
  func latest() -> TrainingCheckpoint?

  /// Replaces what was kept.
  func keep(_ checkpoint: TrainingCheckpoint) throws
}
