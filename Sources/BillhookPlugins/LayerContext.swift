internal import BillhookSDK
public import BillhookTensor

/// What a plugin is told of the layer it works on.
public struct LayerContext: Sendable {
  public enum Role: UInt32, Sendable {
    case weight = 0
    case activation = 1
  }
  public var role: Role
  /// Position among the layers of the stage: also the layer's key for random numbers.
  public var index: Int
  public var name: String
  public var op: String
  /// Which axis of the tensor holds output and input channels; -1 for none.
  public var outAxis: Int
  public var inAxis: Int
  /// With more than one, the in axis counts the channels of one group, as in ONNX Conv.
  public var groups: Int
  /// Of `observe`: the samples that the instance saw before this batch, and those that it sees in
  /// all.
  var samples: (before: Int, total: Int) = (0, 0)

  public init(
    role: Role, index: Int, name: String, op: String, outAxis: Int, inAxis: Int, groups: Int
  ) {
    self.role = role
    self.index = index
    self.name = name
    self.op = op
    self.outAxis = outAxis
    self.inAxis = inAxis
    self.groups = groups
  }

  /// The number of output channels of a weight of this shape, or nil without such an axis.
  func outputCount(_ shape: [Int]) -> Int? {
    shape.indices.contains(outAxis) ? shape[outAxis] : nil
  }

  /// The number of input channels of a weight of this shape, or nil without such an axis.
  func inputCount(_ shape: [Int]) -> Int? {
    shape.indices.contains(inAxis) ? shape[inAxis] * groups : nil
  }

  /// The weights of one output channel, or nil without such channels: with groups, those of one group.
  func rowCount(_ shape: [Int]) -> Int? {
    guard let outputs = outputCount(shape), outputs > 0 else { return nil }
    return shape.reduce(1, *) / outputs
  }

  /// The layer as plugins see it, for as long as `memory` lives.
  func cLayer(shape: [Int], in memory: CallMemory) -> UnsafePointer<bh_layer> {
    let sizes = memory.allocate(8 * shape.count).bindMemory(to: Int64.self, capacity: shape.count)
    for axis in shape.indices { sizes[axis] = Int64(shape[axis]) }
    var layer = bh_layer()
    layer.struct_size = UInt32(MemoryLayout<bh_layer>.size)
    layer.role = role.rawValue
    layer.index = UInt64(index)
    layer.name = memory.text(name)
    layer.op = memory.text(op)
    layer.out_axis = Int32(outAxis)
    layer.in_axis = Int32(inAxis)
    layer.groups = Int64(groups)
    layer.ndim = Int64(shape.count)
    layer.shape = shape.isEmpty ? nil : UnsafePointer(sizes)
    layer.sample_begin = Int64(samples.before)
    layer.sample_total = Int64(samples.total)
    return UnsafePointer(memory.place(layer))
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
  /// Sum of x xᵀ over the inputs that one output channel multiplies with its weights,
  /// `[groups, K, K]`.
  public var inputGram: Tensor?
  /// d(mean loss)/d weight, shape of the weight.
  public var weightGradient: Tensor?
  public var sampleCount: UInt64

  public init(
    inputAbsMean: Tensor? = nil, inputSquaredNorm: Tensor? = nil, outputAbsMean: Tensor? = nil,
    outputZeroFraction: Tensor? = nil, inputGram: Tensor? = nil, weightGradient: Tensor? = nil,
    sampleCount: UInt64 = 0
  ) {
    self.inputAbsMean = inputAbsMean
    self.inputSquaredNorm = inputSquaredNorm
    self.outputAbsMean = outputAbsMean
    self.outputZeroFraction = outputZeroFraction
    self.inputGram = inputGram
    self.weightGradient = weightGradient
    self.sampleCount = sampleCount
  }
}

/// A copy of a string for C; the caller deallocates it.
func cString(_ text: String) -> UnsafeMutablePointer<CChar> {
  let bytes = text.utf8CString
  let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
  _ = bytes.withUnsafeBufferPointer {
    UnsafeMutableBufferPointer(start: copy, count: bytes.count).update(from: $0)
  }
  return copy
}
