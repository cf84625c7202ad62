internal import BillhookSDK
public import BillhookTensor

/// How a quantizer stores a tensor; the fields of `bh_qlayout`, checked.
public struct QuantizationLayout: Sendable, Equatable {
  /// What a stored integer stands for.
  public enum Formula: String, Sendable, Codable, CaseIterable {
    /// `(q − zero point) · scale`.
    case affine
    /// `table[q] · scale`.
    case codebook
    /// Blocks of bytes that the plugin alone can read.
    case opaque
  }

  /// How many scales a tensor has.
  public enum Granularity: Sendable, Equatable {
    case tensor
    case axis(Int)
    /// A scale for `size` values along an axis, or along the whole tensor, row by row, when it is
    /// nil. The last block may be shorter.
    case block(axis: Int?, size: Int)
  }

  /// How a file without operators holds the integers.
  public enum Storage: Sendable, Equatable {
    /// In 1, 2, 4 or 8 bits each, low bits first.
    case natural
    /// In words of 8, 16 or 32 bits, without gaps; each row of the first axis begins a word.
    case packed(wordBits: Int, isHighFirst: Bool, bias: Int)
    /// In a form of the plugin's own.
    case custom(id: String)
  }

  /// What the plugin says of its arithmetic; checked at each export.
  public struct Claims: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// The formula in float32 is the plugin's `dequantize`.
    public static let dequantizeExact = Claims(rawValue: BH_QEXPORT_DEQUANT_EXACT)
    /// ONNX's QuantizeLinear is the plugin's `quantize`.
    public static let quantizeExact = Claims(rawValue: BH_QEXPORT_QUANT_EXACT)
  }

  public var formula: Formula
  /// int8 or uint8: what holds an integer in memory, a byte each.
  public var elementType: ElementType
  /// Bits of a stored integer, 1...8; 0 when opaque.
  public var bits: Int
  public var minimum: Int
  public var maximum: Int
  /// True when every zero point is 0.
  public var isSymmetric: Bool
  public var granularity: Granularity
  /// Bytes of a block; 0 unless opaque.
  public var blockBytes: Int
  public var storage: Storage
  public var claims: Claims

  public init(
    formula: Formula = .affine, elementType: ElementType, bits: Int = 8, minimum: Int,
    maximum: Int, isSymmetric: Bool, granularity: Granularity, blockBytes: Int = 0,
    storage: Storage = .natural, claims: Claims = [.dequantizeExact, .quantizeExact]
  ) {
    self.formula = formula
    self.elementType = elementType
    self.bits = bits
    self.minimum = minimum
    self.maximum = maximum
    self.isSymmetric = isSymmetric
    self.granularity = granularity
    self.blockBytes = blockBytes
    self.storage = storage
    self.claims = claims
  }

  /// The shape of the scales of a tensor of this shape; `[0]` when there are none.
  public func scaleShape(_ shape: [Int]) -> [Int] {
    if formula == .opaque { return [0] }
    switch granularity {
    case .tensor: return []
    case .axis(let axis): return shape.indices.contains(axis) ? [shape[axis]] : []
    case .block(let axis?, let size):
      var result = shape
      result[axis] = (shape[axis] + size - 1) / size
      return result
    case .block(nil, let size): return [(shape.reduce(1, *) + size - 1) / size]
    }
  }

  /// The shape of the zero points; `[0]` when there are none.
  public func zeroPointShape(_ shape: [Int]) -> [Int] {
    formula == .affine ? scaleShape(shape) : [0]
  }

  /// The shape of what `quantize` makes of a tensor of this shape.
  public func integerShape(_ shape: [Int]) -> [Int] {
    guard formula == .opaque, case .block(_, let size) = granularity else { return shape }
    return [(shape.reduce(1, *) + size - 1) / size, blockBytes]
  }

  /// Which scale each run of neighbouring elements has.
  public func scaleIndex(_ shape: [Int]) -> ScaleIndex { ScaleIndex(granularity, shape) }
}

/// Finds the scale of an element by its flat index.
public struct ScaleIndex: Sendable {
  private enum Rule {
    case one
    case axis(inner: Int, count: Int)
    case block(inner: Int, size: Int, count: Int, blocks: Int)
    case flat(size: Int)
  }
  private let rule: Rule

  init(_ granularity: QuantizationLayout.Granularity, _ shape: [Int]) {
    func inner(_ axis: Int) -> Int { max(shape[(axis + 1)...].reduce(1, *), 1) }
    switch granularity {
    case .tensor: rule = .one
    case .axis(let axis): rule = .axis(inner: inner(axis), count: max(shape[axis], 1))
    case .block(let axis?, let size):
      rule = .block(
        inner: inner(axis), size: size, count: max(shape[axis], 1),
        blocks: max((shape[axis] + size - 1) / size, 1))
    case .block(nil, let size): rule = .flat(size: size)
    }
  }

  public subscript(_ element: Int) -> Int {
    switch rule {
    case .one: return 0
    case .axis(let inner, let count): return element / inner % count
    case .flat(let size): return element / size
    case .block(let inner, let size, let count, let blocks):
      let row = element / inner
      return (row / count * blocks + row % count / size) * inner + element % inner
    }
  }
}

/// What a layout's formula needs beside the integers.
public struct QuantizationParameters: Sendable {
  /// float32, of the layout's scale shape; `[0]` when opaque.
  public var scale: Tensor
  /// The layout's element type, shape of `scale`; `[0]` unless affine.
  public var zeroPoint: Tensor
  /// float32 `[maximum + 1]` of a codebook.
  public var table: Tensor?

  public init(scale: Tensor, zeroPoint: Tensor, table: Tensor? = nil) {
    self.scale = scale
    self.zeroPoint = zeroPoint
    self.table = table
  }
}
