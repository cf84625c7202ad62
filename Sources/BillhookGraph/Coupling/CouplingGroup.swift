/// Channels of several tensors that can only be removed together.
///
/// A *unit* is the smallest thing that can be removed: one channel of every producer in the group, or
/// several that are tied (a gate and what it lets through, one in each group of a convolution, a head),
/// with what follows it (batch-norm parameters) and what reads it (input channels, or the block of
/// input columns that a Flatten makes of a channel).
///
/// Source: Fang, Ma, Song, Mi and Wang, *DepGraph: Towards Any Structural Pruning*, CVPR 2023,
/// section 3. Our deviation: coupling is found for single channels by union-find over the values of
/// the graph, not for whole layers by tracing gradients.
public struct CouplingGroup: Sendable, Equatable {
  /// What a tensor has to do with the group's channels.
  public enum Role: String, Sendable {
    /// Its rows make the channels: a weight's output axis, a bias.
    case producer
    /// Its columns read the channels: a weight's input axis.
    case consumer
    /// It carries one number a channel on the way: batch-norm parameters.
    case follower
  }

  /// Where the units lie in one tensor.
  public struct Slice: Sendable, Equatable {
    /// Index and display name of the node that reads the tensor.
    public var nodeIndex: Int
    public var node: String
    public var tensor: String
    public var axis: Int
    public var role: Role
    /// `positions[u]`: the indices along `axis` that belong to unit `u`, ascending; empty when the
    /// tensor holds only some of the group's units, as behind a Concat or a Split.
    public var positions: [[Int]]

    public init(
      nodeIndex: Int, node: String, tensor: String, axis: Int, role: Role, positions: [[Int]]
    ) {
      self.nodeIndex = nodeIndex
      self.node = node
      self.tensor = tensor
      self.axis = axis
      self.role = role
      self.positions = positions
    }
  }

  /// Some of the units, of which one has to stay because a value has no other channels.
  public struct Part: Sendable, Equatable {
    /// The first value that holds these units alone, such as an output of a Split.
    public var value: String
    /// Ascending, not all of the group's.
    public var units: [Int]

    public init(value: String, units: [Int]) {
      self.value = value
      self.units = units
    }
  }

  /// The display name of the first producing node.
  public var name: String
  public var unitCount: Int
  public var slices: [Slice]
  public var parts: [Part]
  /// Why no unit of the group may be removed (a graph output, an operator that mixes channels), or
  /// nil when they may.
  public var frozenReason: String?

  public init(
    name: String, unitCount: Int, slices: [Slice], parts: [Part] = [], frozenReason: String?
  ) {
    self.name = name
    self.unitCount = unitCount
    self.slices = slices
    self.parts = parts
    self.frozenReason = frozenReason
  }
}
