public import BillhookTensor

/// What is known about a value before anything is computed.
public struct ValueType: Sendable, Equatable {
  public var elementType: ElementType
  public var shape: [Dimension]

  public init(_ elementType: ElementType = .float32, _ shape: [Dimension]) {
    self.elementType = elementType
    self.shape = shape
  }

  /// The type of a tensor that is there.
  public init(of tensor: Tensor) {
    self.init(tensor.elementType, tensor.shape.map { .fixed($0) })
  }

  /// The size of each axis, or nil when one of them is symbolic.
  public var sizes: [Int]? {
    let known = shape.compactMap(\.size)
    return known.count == shape.count ? known : nil
  }

  /// True when no fixed size contradicts another type's.
  func isCompatible(with other: ValueType) -> Bool {
    elementType == other.elementType && shape.count == other.shape.count
      && zip(shape, other.shape).allSatisfy { left, right in
        guard let left = left.size, let right = right.size else { return true }
        return left == right
      }
  }
}

extension ValueType: CustomStringConvertible {
  public var description: String { "\(elementType) \(shape)" }
}

extension Dimension {
  /// True when both are certainly the same size.
  func isSame(as other: Dimension) -> Bool {
    switch (self, other) {
    case (.fixed(let left), .fixed(let right)): left == right
    case (.symbolic(let left), .symbolic(let right)): left == right && !left.isEmpty
    default: false
    }
  }

  /// True when both are certainly different.
  func contradicts(_ other: Dimension) -> Bool {
    guard let left = size, let right = other.size else { return false }
    return left != right
  }

  /// The size of two axes that must be equal: the one that says more.
  func merged(with other: Dimension) -> Dimension {
    if size != nil { return self }
    if other.size != nil || self == .symbolic("") { return other }
    return self
  }
}

/// A product of sizes, some of which are symbols.
///
/// It is what Reshape and Flatten need to know that `[N, 64, 7, 7]` has `3136 · N` elements.
struct DimensionProduct: Equatable {
  /// Nil when the product does not fit an integer.
  private(set) var coefficient: Int? = 1
  private(set) var symbols: [String] = []

  init(_ dimensions: some Sequence<Dimension>) {
    for dimension in dimensions {
      switch dimension {
      case .fixed(let size):
        let (product, overflow) = (coefficient ?? 0).multipliedReportingOverflow(by: size)
        coefficient = overflow || coefficient == nil ? nil : product
      case .symbolic(let name): symbols.append(name)
      }
    }
    symbols.sort()
  }

  /// The product as one axis; what one axis cannot say becomes an unknown size.
  var dimension: Dimension {
    guard let coefficient else { return .symbolic("") }
    if symbols.isEmpty || coefficient == 0 { return .fixed(coefficient) }
    return symbols.count == 1 && coefficient == 1 ? .symbolic(symbols[0]) : .symbolic("")
  }

  /// What remains after division, or nil when `divisor` is certainly no divisor.
  func divided(by divisor: DimensionProduct) -> Dimension? {
    guard let total = coefficient, let part = divisor.coefficient else { return .symbolic("") }
    var rest = symbols
    for symbol in divisor.symbols {
      guard !symbol.isEmpty, let index = rest.firstIndex(of: symbol) else { return .symbolic("") }
      rest.remove(at: index)
    }
    guard part != 0 else { return nil }
    if total % part != 0 { return rest.isEmpty ? nil : .symbolic("") }
    var quotient = DimensionProduct([.fixed(total / part)])
    quotient.symbols = rest
    return quotient.dimension
  }
}
