public import BillhookTensor

/// What a plugin is told of the layer it works on.
public struct LayerContext: Sendable {
  public enum Role: UInt32, Sendable { case weight = 0, activation = 1, bias = 2 }
  public var role: Role
  /// Position among the layers of the stage: also the layer's key for random numbers.
  public var index: Int
  public var name: String
  public var op: String
  /// Which axis of the tensor holds output and input channels; -1 for none.
  public var outAxis: Int
  public var inAxis: Int
  public var groups: Int

  public init(role: Role, index: Int, name: String, op: String, outAxis: Int, inAxis: Int, groups: Int) {
    self.role = role
    self.index = index
    self.name = name
    self.op = op
    self.outAxis = outAxis
    self.inAxis = inAxis
    self.groups = groups
  }
}

/// Statistics of a layer over the calibration data; nil where nobody needs them.
public struct LayerStatistics: Sendable {
  /// Mean |x| a input channel, `[I]`.
  public var inputAbsMean: Tensor?
  /// Sum of x² a input channel, `[I]`.
  public var inputSquaredNorm: Tensor?
  /// Mean |y| a output channel at the layer's activation output, `[O]`.
  public var outputAbsMean: Tensor?
  /// Share of zeros a output channel at the layer's activation output, `[O]`.
  public var outputZeroFraction: Tensor?
  public var sampleCount: UInt64

  public init(
    inputAbsMean: Tensor? = nil, inputSquaredNorm: Tensor? = nil, outputAbsMean: Tensor? = nil,
    outputZeroFraction: Tensor? = nil, sampleCount: UInt64 = 0
  ) {
    self.inputAbsMean = inputAbsMean
    self.inputSquaredNorm = inputSquaredNorm
    self.outputAbsMean = outputAbsMean
    self.outputZeroFraction = outputZeroFraction
    self.sampleCount = sampleCount
  }
}

/// An instance of a scorer plugin.
public final class Scorer {
  public let descriptor: PluginDescriptor
  init(descriptor: PluginDescriptor) { self.descriptor = descriptor }

  /// Scores a layer's weight; higher means keep.
  ///
  /// - Parameters:
  ///   - weight: float32, row-major, the layer's own shape (`[O, I, ...]`).
  ///   - mask: 1 = keep, 0 = already pruned, shape of `weight`; nil on the first step.
  /// - Returns: Finite float32 scores in the shape that the granularity fixes: the weight's, `[O]`
  ///   or `[I]`; nil when the plugin skips the layer.
  public func score(
    _ layer: LayerContext, granularity: Granularity, weight: Tensor, mask: Tensor? = nil,
    statistics: LayerStatistics = .init()
  ) throws(PluginError) -> Tensor? { fatalError("skeleton") }

  /// Element scores piece by piece, never stored as a whole: for plugins with the CHUNKED flag.
  ///
  /// `consume` gets each piece's first element index and its scores, on several threads at once,
  /// each piece exactly once. Pieces do not depend on the number of threads.
  public func scoreChunks(
    _ layer: LayerContext, weight: Tensor, statistics: LayerStatistics = .init(),
    consume: @Sendable (_ firstElement: Int, _ weights: UnsafeBufferPointer<Float>, _ scores: UnsafeBufferPointer<Float>) -> Void
  ) throws(PluginError) { fatalError("skeleton") }

  /// True when ``scoreChunks`` may be used: the plugin declares CHUNKED and CONCURRENT.
  public var isChunked: Bool { fatalError("skeleton") }
}

/// An instance of a loss plugin.
public final class Loss {
  public let descriptor: PluginDescriptor
  init(descriptor: PluginDescriptor) { self.descriptor = descriptor }

  /// Loss and gradient of one batch.
  ///
  /// - Parameters:
  ///   - student: Logits `[N, C]`, float32.
  ///   - teacher: Logits of the same shape; nil when there is no teacher.
  ///   - labels: `[N]`, int32, -100 = ignore; nil for unlabelled data.
  ///   - gradient: Overwritten with d(mean loss)/d student.
  /// - Returns: The sum of the samples' losses and of their weights.
  public func compute(
    student: Tensor, teacher: Tensor?, labels: Tensor?, gradient: inout Tensor, step: Int,
    totalSteps: Int
  ) throws(PluginError) -> (lossSum: Double, weightSum: Double) { fatalError("skeleton") }
}

/// How a quantizer stores a tensor.
public struct QuantizationLayout: Sendable, Equatable {
  public enum Granularity: Sendable, Equatable { case tensor, axis(Int) }
  /// int8 or uint8 (more later).
  public var elementType: ElementType
  public var minimum: Int
  public var maximum: Int
  public var isSymmetric: Bool
  public var granularity: Granularity

  public init(elementType: ElementType, minimum: Int, maximum: Int, isSymmetric: Bool, granularity: Granularity) {
    self.elementType = elementType
    self.minimum = minimum
    self.maximum = maximum
    self.isSymmetric = isSymmetric
    self.granularity = granularity
  }
}

/// Scale and zero point: scalars, or one a channel.
public struct QuantizationParameters: Sendable {
  /// float32, `[]` or `[D]`.
  public var scale: Tensor
  /// The layout's element type, shape of `scale`.
  public var zeroPoint: Tensor

  public init(scale: Tensor, zeroPoint: Tensor) {
    self.scale = scale
    self.zeroPoint = zeroPoint
  }
}

/// An instance of a quantizer plugin.
public final class Quantizer {
  public let descriptor: PluginDescriptor
  init(descriptor: PluginDescriptor) { self.descriptor = descriptor }

  /// How a tensor of this shape will be stored.
  ///
  /// - Parameter weightBits: The most bits that a weight's integers may use, 2...8; the host lowers
  ///   it to 7 where a pair sum could saturate.
  public func layout(
    _ layer: LayerContext, shape: [Int], weightBits: Int
  ) throws(PluginError) -> QuantizationLayout { fatalError("skeleton") }

  /// Scale and zero point from the values (a weight), or from a range `[minimum, maximum]` given as
  /// the two-element tensor that stands for an activation.
  public func calibrate(
    _ layer: LayerContext, _ layout: QuantizationLayout, values: Tensor
  ) throws(PluginError) -> QuantizationParameters { fatalError("skeleton") }

  /// Integers in the layout's element type, shape of `values`.
  public func quantize(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    values: Tensor
  ) throws(PluginError) -> Tensor { fatalError("skeleton") }

  /// float32 values, shape of `integers`.
  public func dequantize(
    _ layer: LayerContext, _ layout: QuantizationLayout, _ parameters: QuantizationParameters,
    integers: Tensor
  ) throws(PluginError) -> Tensor { fatalError("skeleton") }
}
