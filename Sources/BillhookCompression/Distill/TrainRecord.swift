public import BillhookGraph

/// What training did. Times are not in it: the same training gives the same record.
public struct TrainRecord: Sendable, Codable, Equatable {
  public struct Epoch: Sendable, Codable, Equatable {
    /// From 1.
    public var epoch: Int
    public var steps: Int
    public var meanLoss: Double
    /// Of the epoch's last step.
    public var learningRate: Float

    public init(epoch: Int, steps: Int, meanLoss: Double, learningRate: Float) {
      self.epoch = epoch
      self.steps = steps
      self.meanLoss = meanLoss
      self.learningRate = learningRate
    }
  }
  /// A tensor with pruned elements.
  public struct KeptZeros: Sendable, Codable, Equatable {
    public var tensor: String
    public var zeros: Int
  }

  public var epochs: [Epoch]
  public var batchSize: Int
  public var samplesPerEpoch: Int
  public var usedTeacher: Bool
  /// The number of views of each sample that were drawn from; nil for a new one each epoch.
  public var views: Int?
  /// Tensors whose zeros were kept, and checked afterwards.
  public var keptZeros: [KeptZeros]
  /// Pairs of inner tensors that the loss compared, as "student=teacher"; nil when there were none.
  public var features: [String]?
  /// The number of weights and activations that were rounded while training; nil without a quantizer.
  public var roundedValues: Int?
  /// The output that the loss looked at.
  public var output: String?
  /// The types other than float32 of the weights, which were trained in float32 and rounded to their
  /// type at the end; nil when there are none.
  public var weightTypes: [String]?
  /// Rows that the loss saw of each sample; nil for one.
  public var rowsPerSample: Int?
}

/// A trained network and what was done to it.
public struct TrainOutcome: Sendable {
  public var graph: Graph
  public var record: TrainRecord

  public init(graph: Graph, record: TrainRecord) {
    self.graph = graph
    self.record = record
  }
}
