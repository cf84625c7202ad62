public import BillhookGraph
public import BillhookPlugins

/// What pruning did.
public struct PruneRecord: Sendable, Codable, Equatable {
  public struct Layer: Sendable, Codable, Equatable {
    public var name: String
    public var op: String
    /// The tensor that holds the layer's weight.
    public var weight: String
    public var shapeBefore: [Int]
    public var shapeAfter: [Int]
    /// Elements before, and zeros among the elements afterwards.
    public var elements: Int
    public var zeros: Int
    /// Elements that this stage pruned: set to zero or cut out.
    public var pruned: Int
    /// `zeros` divided by the elements that are left, 0...1.
    public var sparsity: Double
    /// Why the layer was left alone, or nil.
    public var skipped: String?
  }

  /// One coupling group.
  public struct Group: Sendable, Codable, Equatable {
    public var name: String
    /// The layers whose output channels are the group's units.
    public var producers: [String]
    /// The layers that read the units.
    public var consumers: [String]
    /// The layers whose scores were combined, each with what was scored.
    public var scored: [String]
    /// How they were combined.
    public var reduce: String
    public var unitsBefore: Int
    public var unitsAfter: Int
    /// The units that were removed, ascending, in the numbering before pruning.
    public var removed: [Int]
    /// Why nothing was removed, or nil.
    public var frozen: String?
  }

  /// The comparison of the network with zeroed channels and the network without them.
  public struct Equivalence: Sendable, Codable, Equatable {
    /// The largest absolute difference of any output.
    public var maximumDifference: Double
    /// The largest minus the smallest output of the network with zeroed channels.
    public var outputRange: Double
    public var samples: Int
    /// "data" or "random inputs".
    public var inputs: String
  }

  public var granularity: String
  /// The size of a block; nil unless blocks were pruned.
  public var block: BlockShape?
  /// Such as "2:4"; nil when a ratio was pruned.
  public var pattern: String?
  public var scope: String
  public var ratio: Double
  /// What the ratio or pattern made of all that could be pruned: elements, blocks or units.
  public var prunable: Int
  public var pruned: Int
  public var layers: [Layer]
  public var groups: [Group]
  public var equivalence: Equivalence?
  /// Samples behind the scorer's statistics; 0 for a scorer that needs none.
  public var statisticsSamples: Int
  /// Samples from which batch-norm statistics were estimated again; 0 when they were not.
  public var reestimatedSamples: Int
  public var notes: [String]
}

/// A pruned network and what was done to it.
public struct PruneOutcome: Sendable {
  public var graph: Graph
  public var record: PruneRecord

  public init(graph: Graph, record: PruneRecord) {
    self.graph = graph
    self.record = record
  }
}
