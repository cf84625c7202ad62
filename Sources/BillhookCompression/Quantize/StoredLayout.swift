public import BillhookPlugins
internal import BillhookTensor

/// How a tensor of a checkpoint is stored, in a form that a file's metadata holds as JSON.
public struct StoredLayout: Sendable, Codable, Equatable {
  /// What the plugin knew of the layer that the tensor is the weight of.
  public struct Layer: Sendable, Codable, Equatable {
    public var name: String
    public var op: String
    public var outAxis: Int
    public var inAxis: Int
    public var groups: Int
  }

  /// The id of the plugin that wrote the tensor, and that reads it when nobody else can.
  public var plugin: String
  /// The number of the tensor among those that were quantized, which the plugin saw; 0 when nil.
  public var index: Int?
  /// Nil for a tensor of which nothing was known but its name.
  public var layer: Layer?
  /// Of the tensor as float32.
  public var shape: [Int]
  public var formula: QuantizationLayout.Formula
  public var isSigned: Bool
  public var bits: Int
  public var minimum: Int
  public var maximum: Int
  public var isSymmetric: Bool
  /// The axis that has a scale an index or a block; nil for the whole tensor.
  public var axis: Int?
  /// Values that share a scale; nil without blocks.
  public var blockSize: Int?
  public var blockBytes: Int?
  /// Of words, when packed.
  public var wordBits: Int?
  public var isHighFirst: Bool?
  public var bias: Int?
  /// When the bytes are in a form of the plugin's own.
  public var storageID: String?

  init(
    _ layout: QuantizationLayout, plugin: String, index: Int?, layer: Layer? = nil, shape: [Int]
  ) {
    self.plugin = plugin
    self.index = index
    self.layer = layer
    self.shape = shape
    formula = layout.formula
    isSigned = layout.elementType == .int8
    bits = layout.bits
    minimum = layout.minimum
    maximum = layout.maximum
    isSymmetric = layout.isSymmetric
    switch layout.granularity {
    case .tensor: break
    case .axis(let axis): self.axis = axis
    case .block(let axis, let size):
      self.axis = axis
      blockSize = size
    }
    if layout.formula == .opaque { blockBytes = layout.blockBytes }
    switch layout.storage {
    case .natural: break
    case .packed(let wordBits, let isHighFirst, let bias):
      self.wordBits = wordBits
      self.isHighFirst = isHighFirst
      self.bias = bias
    case .custom(let id): storageID = id
    }
  }

  /// What the plugin is told of the layer when it reads the tensor, as when it wrote it.
  ///
  /// - Parameter name: Of the tensor.
  func context(_ name: String) -> LayerContext {
    let index = index ?? 0
    guard let layer else { return .checkpoint(name, index: index) }
    return LayerContext(
      role: .weight, index: index, name: layer.name, op: layer.op, outAxis: layer.outAxis,
      inAxis: layer.inAxis, groups: layer.groups)
  }

  /// The layout; nil when the fields contradict each other or the shape, as in a damaged file.
  public var layout: QuantizationLayout? {
    // No sum or product of the numbers below this limit overflows.
    let sizes = 1...1 << 31
    guard let count = Tensor.elementCount(of: shape, elementType: .float32), count > 0,
      axis.map({ shape.indices.contains($0) }) ?? true, sizes.contains(blockSize ?? 1),
      sizes.contains(blockBytes ?? 1), (0...1 << 31).contains(index ?? 0),
      layer?.isSound(rank: shape.count) ?? true,
      formula == .opaque ? blockBytes != nil && blockSize != nil : (1...8).contains(bits),
      minimum <= maximum, minimum >= -128, maximum <= 255,
      formula != .codebook || minimum == 0, (-255...255).contains(bias ?? 0)
    else { return nil }
    let storage: QuantizationLayout.Storage
    if let storageID {
      storage = .custom(id: storageID)
    } else if let wordBits {
      guard [8, 16, 32].contains(wordBits) else { return nil }
      storage = .packed(wordBits: wordBits, isHighFirst: isHighFirst ?? false, bias: bias ?? 0)
    } else {
      storage = .natural
    }
    return QuantizationLayout(
      formula: formula, elementType: isSigned ? .int8 : .uint8, bits: bits, minimum: minimum,
      maximum: maximum, isSymmetric: isSymmetric,
      granularity: blockSize.map { .block(axis: axis, size: $0) } ?? axis.map { .axis($0) }
        ?? .tensor,
      blockBytes: blockBytes ?? 0, storage: storage, claims: [])
  }
}

extension StoredLayout.Layer {
  init(_ context: LayerContext) {
    self.init(
      name: context.name, op: context.op, outAxis: context.outAxis, inAxis: context.inAxis,
      groups: context.groups)
  }

  fileprivate func isSound(rank: Int) -> Bool {
    let axes = -1..<rank
    return axes.contains(outAxis) && axes.contains(inAxis) && (1...1 << 31).contains(groups)
  }
}

extension QuantizationLayout {
  /// The bits that an integer takes in natural storage.
  var naturalBits: Int { [1, 2, 4, 8].first { $0 >= bits } ?? 8 }

  /// How integers lie in a file; nil for one byte each, and for the plugin's own form.
  var packing: (bits: BitPacking, bias: Int)? {
    switch storage {
    case .natural:
      naturalBits == 8
        ? nil : (BitPacking(bits: naturalBits), elementType == .int8 ? 1 << (naturalBits - 1) : 0)
    case .packed(let wordBits, let isHighFirst, let bias):
      (BitPacking(bits: bits, wordBits: wordBits, isHighFirst: isHighFirst), bias)
    case .custom: nil
    }
  }

  /// What integers stand for by the formula; of an affine or codebook layout.
  func values(_ integers: Tensor, _ parameters: QuantizationParameters) -> Tensor {
    let index = scaleIndex(integers.shape)
    let scales = parameters.scale.floats()
    let zeros = (parameters.zeroPoint.integers() ?? []).map { Int32($0) }
    let table = parameters.table?.floats()
    let numbers = (integers.integers() ?? []).map { Int32($0) }
    var result = Tensor(zeros: integers.shape)
    result.withUnsafeMutableElements(of: Float.self) { out in
      // Only used while the pieces run; each writes its own range.
      nonisolated(unsafe) let out = out
      _ = ParallelPieces.map(count: numbers.count, grain: 1 << 16) { range in
        for i in range {
          let scale = index[i]
          let number =
            table.map { $0[Int(numbers[i])] }
            ?? Float(numbers[i] - (zeros.isEmpty ? 0 : zeros[scale]))
          out[i] = number * scales[scale]
        }
        return 0
      }
    }
    return result
  }
}
