public import BillhookPlugins

/// What to prune and how much.
public struct PruneSettings: Sendable {
  public enum Granularity: String, Sendable, Codable, CaseIterable {
    case element, block, channel
  }
  public enum Scope: String, Sendable, Codable, CaseIterable {
    /// One ranking over everything.
    case global
    /// The same ratio in each layer (elements) or coupling group (channels).
    case layer
  }
  /// How the scores of the layers of a coupling group become one score a unit.
  public enum GroupReduce: String, Sendable, Codable, CaseIterable {
    /// Mean over the producers; over producers and consumers when consumers are scored.
    case mean
    case sum
    case max
    /// The first producer alone.
    case first
  }

  public var granularity: Granularity
  /// The size of a block, for `block` alone.
  public var block: BlockShape?
  /// Prunes all but some of each few neighbours along the input axis, elements or blocks, in place
  /// of a ratio.
  public var pattern: SparsityPattern?
  /// The fraction removed, 0..<1: of the elements, the blocks or the channels. A pattern has its own.
  public var ratio: Double
  /// Nil is `global` for elements and blocks when the scorer's scores compare across layers, else
  /// `layer`;
  /// `layer` for channels.
  public var scope: Scope?
  /// Sets pruned channels to zero and keeps every shape. Elements are always kept in place.
  public var maskOnly: Bool
  public var groupReduce: GroupReduce
  /// Whether the scores of the layers that read a group's channels count too, where the scorer can
  /// score input channels.
  public var scoreConsumers: Bool
  /// The number of channels kept is made a multiple of this, upwards; nil for any number.
  public var roundTo: Int?
  public var layers: LayerFilter
  /// Whether batch-norm statistics are estimated again after pruning, when there is data.
  public var reestimateStatistics: Bool
  /// The most samples used for statistics and for the comparison of masked and shrunk network.
  public var samples: Int
  public var batchSize: Int
  public var seed: UInt64
  /// Where what a scorer observed is kept from run to run; nil to observe anew.
  public var observations: (any ObservationStore)?

  public init(
    granularity: Granularity = .element, block: BlockShape? = nil,
    pattern: SparsityPattern? = nil, ratio: Double, scope: Scope? = nil,
    maskOnly: Bool = false, groupReduce: GroupReduce = .mean, scoreConsumers: Bool = false,
    roundTo: Int? = nil, layers: LayerFilter = LayerFilter(), reestimateStatistics: Bool = true,
    samples: Int = 2000, batchSize: Int = 100, seed: UInt64 = 0
  ) {
    self.granularity = granularity
    self.block = block
    self.pattern = pattern
    self.ratio = pattern?.ratio ?? ratio
    self.scope = scope
    self.maskOnly = maskOnly
    self.groupReduce = groupReduce
    self.scoreConsumers = scoreConsumers
    self.roundTo = roundTo
    self.layers = layers
    self.reestimateStatistics = reestimateStatistics
    self.samples = samples
    self.batchSize = batchSize
    self.seed = seed
  }
}
