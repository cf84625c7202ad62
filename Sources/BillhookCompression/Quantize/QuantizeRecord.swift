public import BillhookGraph

/// What quantization did.
public struct QuantizeRecord: Sendable, Codable, Equatable {
  public struct Layer: Sendable, Codable, Equatable {
    public var name: String
    public var op: String
    public var weight: String
    /// Such as "int8 symmetric per axis 0".
    public var scheme: String?
    /// Bits of the weight's integers: 8, or 7 where a pair sum could saturate.
    public var bits: Int?
    public var smallestScale: Float?
    public var largestScale: Float?
    /// Power of the weights over power of the rounding error, in decibels; nil without error.
    public var signalToNoise: Double?
    /// True when the sum of two products of the eight-bit integers could leave 16 bits.
    public var saturationRisk: Bool
    /// The calibrated range of the layer's input.
    public var inputRange: [Float]?
    /// Why the layer was left alone, or nil.
    public var skipped: String?
    /// How a checkpoint holds the weight; nil in a network.
    public var stored: StoredLayout?
  }

  /// A quantized activation.
  public struct Activation: Sendable, Codable, Equatable {
    public var value: String
    public var minimum: Float
    public var maximum: Float
    public var scale: Float
    public var zeroPoint: Int
  }

  public var mode: String
  public var calibration: String
  public var calibrationSamples: Int
  public var weightRange: String
  public var layers: [Layer]
  public var activations: [Activation]
  /// Batch-norm nodes that were folded into the layer in front of them.
  public var foldedBatchNorms: [String]
  /// The operator set before and after, when it had to be raised.
  public var opsetBefore: Int
  public var opsetAfter: Int
  /// Layers that keep eight bits although a pair sum could saturate, and the like.
  public var warnings: [String]
}

extension QuantizeRecord {
  /// How a checkpoint holds its quantized tensors, by name.
  public var layouts: [String: StoredLayout] {
    var result: [String: StoredLayout] = [:]
    for layer in layers { result[layer.name] = layer.stored }
    return result
  }
}

/// A quantized network and what was done to it.
public struct QuantizeOutcome: Sendable {
  public var graph: Graph
  public var record: QuantizeRecord

  public init(graph: Graph, record: QuantizeRecord) {
    self.graph = graph
    self.record = record
  }
}
