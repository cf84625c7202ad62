/// A dense, row-major array of numbers with a shape.
///
/// A value type: copies share their bytes until one of them is written. Views onto rows and mapped
/// files share the ``Storage`` without copying.
public struct Tensor: Sendable {
  /// What one element is.
  public let elementType: ElementType
  /// The size of each axis; empty for a scalar.
  public let shape: [Int]
  private(set) var storage: Storage
  /// Where the first element is, in bytes from the start of the storage.
  let byteOffset: Int

  /// The number of elements.
  public let count: Int
  /// The size of the elements in bytes.
  public var byteCount: Int { count * elementType.byteCount }
  /// The number of axes.
  public var rank: Int { shape.count }

  /// Makes a tensor of zeros.
  ///
  /// The shape must be one that ``elementCount(of:elementType:)`` accepts; shapes that come from
  /// outside are checked there first.
  public init(zeros shape: [Int], _ elementType: ElementType = .float32) {
    self.init(shape, elementType, filledWith: 0)
  }

  /// Makes a float32 tensor of NaN, in which an element that nobody writes can be seen.
  ///
  /// The shape must be one that ``elementCount(of:elementType:)`` accepts.
  public init(unwritten shape: [Int]) {
    // Bits that are all one are a quiet NaN, and one byte to repeat is the fastest to write.
    self.init(shape, .float32, filledWith: 0xFF)
  }

  private init(_ shape: [Int], _ elementType: ElementType, filledWith byte: UInt8) {
    guard let count = Self.elementCount(of: shape, elementType: elementType) else {
      preconditionFailure("shape \(shape) of \(elementType) cannot be addressed")
    }
    self.elementType = elementType
    self.shape = shape
    self.count = count
    storage = Storage(byteCount: count * elementType.byteCount, filledWith: byte)
    byteOffset = 0
  }

  /// Makes a tensor from its elements in row-major order.
  public init<Element: TensorElement>(_ elements: [Element], shape: [Int]) {
    self.init(zeros: shape, Element.elementType)
    precondition(elements.count == count, "\(elements.count) elements for shape \(shape)")
    withUnsafeMutableElements(of: Element.self) { target in
      _ = target.initialize(from: elements)
    }
  }

  /// Makes a vector from its elements.
  public init<Element: TensorElement>(_ elements: [Element]) {
    self.init(elements, shape: [elements.count])
  }

  /// Makes a scalar.
  public init<Element: TensorElement>(scalar element: Element) {
    self.init([element], shape: [])
  }

  /// Looks at bytes that are already there, as in a mapped file.
  ///
  /// - Parameters:
  ///   - byteOffset: Where the elements start; any alignment, `withUnsafeElements` copies when the
  ///     element type needs a better one.
  /// - Throws: ``TensorError/wrongElementCount(shape:expected:found:)`` (counts in bytes) when the
  ///   storage is too short, ``TensorError/shapeOverflow(_:)``.
  public init(
    storage: Storage, byteOffset: Int, shape: [Int], _ elementType: ElementType
  ) throws(TensorError) {
    guard let count = Self.elementCount(of: shape, elementType: elementType), byteOffset >= 0
    else { throw .shapeOverflow(shape) }
    let available = storage.byteCount - byteOffset
    guard available >= count * elementType.byteCount else {
      throw .wrongElementCount(
        shape: shape, expected: count * elementType.byteCount, found: available)
    }
    self.elementType = elementType
    self.shape = shape
    self.count = count
    self.storage = storage
    self.byteOffset = byteOffset
  }

  private init(_ other: Tensor, shape: [Int], count: Int, byteOffset: Int) {
    elementType = other.elementType
    self.shape = shape
    self.count = count
    storage = other.storage
    self.byteOffset = byteOffset
  }

  /// The block of bytes that the elements are in. Whoever keeps it keeps the elements as they are:
  /// a tensor that is written then moves to a block of its own.
  public var sharedStorage: Storage { storage }

  /// The number of elements of a shape, or nil when an axis is negative or the bytes would not fit
  /// an address.
  public static func elementCount(of shape: [Int], elementType: ElementType) -> Int? {
    var bytes = elementType.byteCount
    if shape.contains(where: { $0 < 0 }) { return nil }
    if shape.contains(0) { return 0 }
    for size in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: size)
      guard !overflow, product < 1 << 48 else { return nil }
      bytes = product
    }
    return bytes / elementType.byteCount
  }
}

// MARK: - Views

extension Tensor {
  /// The same elements under another shape of the same size.
  public func reshaped(_ shape: [Int]) -> Tensor {
    let newCount = Self.elementCount(of: shape, elementType: elementType)
    precondition(newCount == count, "cannot view \(self.shape) as \(shape)")
    return Tensor(self, shape: shape, count: count, byteOffset: byteOffset)
  }

  /// Rows `range` of the first axis, without a copy.
  public func rows(_ range: Range<Int>) -> Tensor {
    precondition(rank > 0 && range.lowerBound >= 0 && range.upperBound <= shape[0])
    let rowCount = shape[0] == 0 ? 0 : count / shape[0]
    return Tensor(
      self, shape: [range.count] + shape.dropFirst(), count: range.count * rowCount,
      byteOffset: byteOffset + range.lowerBound * rowCount * elementType.byteCount)
  }

  /// Tells the system that a mapped file's bytes under this tensor are not needed for now.
  public func discardPages() {
    storage.discard(byteOffset..<byteOffset + byteCount)
  }
}

// MARK: - Access

extension Tensor {
  /// The bytes of the elements, for reading.
  public func withUnsafeBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try body(UnsafeRawBufferPointer(start: storage.base + byteOffset, count: byteCount))
  }

  /// The bytes of the elements, for writing; copies first when they are shared.
  public mutating func withUnsafeMutableBytes<R, E: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    if storage.isReadOnly || !isKnownUniquelyReferenced(&storage) { self = copied() }
    return try body(
      UnsafeMutableRawBufferPointer(start: storage.base + byteOffset, count: byteCount))
  }

  /// The elements, for reading. `Element` must be the tensor's own type.
  public func withUnsafeElements<Element: TensorElement, R, E: Error>(
    of type: Element.Type, _ body: (UnsafeBufferPointer<Element>) throws(E) -> R
  ) throws(E) -> R {
    precondition(type.elementType == elementType, "\(elementType) read as \(type.elementType)")
    let start = storage.base + byteOffset
    if Int(bitPattern: start) % MemoryLayout<Element>.alignment != 0 {
      return try copied().withUnsafeElements(of: type, body)
    }
    return try body(
      UnsafeBufferPointer(start: start.assumingMemoryBound(to: type), count: count))
  }

  /// The elements, for writing; copies first when they are shared.
  public mutating func withUnsafeMutableElements<Element: TensorElement, R, E: Error>(
    of type: Element.Type, _ body: (UnsafeMutableBufferPointer<Element>) throws(E) -> R
  ) throws(E) -> R {
    precondition(type.elementType == elementType, "\(elementType) written as \(type.elementType)")
    let count = count
    return try withUnsafeMutableBytes { (bytes) throws(E) -> R in
      try body(
        UnsafeMutableBufferPointer(
          start: bytes.baseAddress?.assumingMemoryBound(to: type), count: count))
    }
  }

  /// The elements as an array. `Element` must be the tensor's own type.
  public func elements<Element: TensorElement>(of type: Element.Type = Element.self) -> [Element] {
    withUnsafeElements(of: type) { Array($0) }
  }

  /// A copy in memory of its own.
  public func copied() -> Tensor {
    var copy = Tensor(zeros: shape, elementType)
    withUnsafeBytes { source in
      copy.withUnsafeMutableBytes { $0.copyMemory(from: source) }
    }
    return copy
  }
}

extension Tensor: Equatable {
  /// True when type, shape and every byte are equal (so NaN equals the same NaN, and 0 is not −0).
  public static func == (left: Tensor, right: Tensor) -> Bool {
    guard left.elementType == right.elementType, left.shape == right.shape else { return false }
    return left.withUnsafeBytes { l in right.withUnsafeBytes { r in l.elementsEqual(r) } }
  }
}
