/// How to quantize.
public struct QuantizeSettings: Sendable, Equatable {
  public enum Mode: String, Sendable, Codable, CaseIterable {
    /// Weights and activations; the activations' ranges come from data.
    case `static`
    /// Weights now, activations with ranges found while running.
    case dynamic
    /// Weights only; they become floats again before use.
    case weightOnly = "weight-only"
  }
  public enum Calibration: Sendable, Equatable, Codable {
    /// The smallest and the largest value seen.
    case minMax
    /// The range that holds this percentage of the values, 50...100: the rest is clipped, half of
    /// it on each side.
    case percentile(Double)
  }
  public enum WeightRange: String, Sendable, Codable, CaseIterable {
    /// Seven bits where the sum of two products could leave 16 bits on a CPU without VNNI.
    case auto
    /// Eight bits everywhere.
    case full
  }

  public var mode: Mode
  public var calibration: Calibration
  /// The most samples used for calibration.
  public var samples: Int
  public var batchSize: Int
  public var weightRange: WeightRange
  /// Convolutions that sum fewer products an output stay in float: unfolding costs integer kernels
  /// more there than the products save. Static and dynamic modes, one group only; 0: none stays.
  public var minReduction: Int
  public var layers: LayerFilter
  /// Chooses the calibration samples.
  public var seed: UInt64

  public init(
    mode: Mode = .static, calibration: Calibration = .minMax, samples: Int = 1000,
    batchSize: Int = 100, weightRange: WeightRange = .auto, minReduction: Int = 0,
    layers: LayerFilter = LayerFilter(), seed: UInt64 = 0
  ) {
    self.mode = mode
    self.calibration = calibration
    self.samples = samples
    self.batchSize = batchSize
    self.weightRange = weightRange
    self.minReduction = minReduction
    self.layers = layers
    self.seed = seed
  }
}
