public import BillhookRuntime

/// How to train.
public struct TrainSettings: Sendable, Equatable {
  /// Passes over the data, at least 1.
  public var epochs: Int
  /// Samples a step. The samples of an epoch that do not fill a last batch are left out of that
  /// epoch (which ones differs from epoch to epoch).
  public var batchSize: Int
  public var optimizer: Optimizer
  public var schedule: LearningRateSchedule
  public var augmentation: Augmentation?
  /// Training ends after this many steps, if the epochs have more; nil for all.
  public var stepLimit: Int?
  /// Of shuffling, augmentation and Dropout.
  public var seed: UInt64
  /// Whether elements that are exactly zero before training stay so: those of layer weights, and
  /// those of vectors (biases, batch norm) in which some elements are zero and others are not. A
  /// vector of zeros only is one that has not been trained yet.
  public var keepZeros: Bool
  /// The name of the network's output that the loss looks at; nil for the first that is
  /// floating-point.
  public var output: String?

  public init(
    epochs: Int, batchSize: Int = 128, optimizer: Optimizer = .sgd(),
    schedule: LearningRateSchedule, augmentation: Augmentation? = nil,
    stepLimit: Int? = nil, seed: UInt64 = 0, keepZeros: Bool = true,
    output: String? = nil
  ) {
    self.epochs = epochs
    self.batchSize = batchSize
    self.optimizer = optimizer
    self.schedule = schedule
    self.augmentation = augmentation
    self.stepLimit = stepLimit
    self.seed = seed
    self.keepZeros = keepZeros
    self.output = output
  }
}
