/// A Swift type whose values are the elements of a tensor.
public protocol TensorElement: BitwiseCopyable, Sendable, Equatable {
  /// The element type that this Swift type stores.
  static var elementType: ElementType { get }

  /// The value as a 64-bit float: exact but for 64-bit integers above 2⁵³.
  var number: Double { get }
  /// Rounds a number to the type.
  ///
  /// Integers cut fractions off towards zero; what is out of their range keeps its low bits, what is
  /// out of 64 bits becomes the nearest end of the range, and NaN becomes 0. Any number but 0 is true.
  init(number: Double)

  /// The value as an integer; uint64 keeps its bits, fractions are cut off towards zero.
  var integer: Int { get }
  /// Keeps the low bits of an integer; fractional types round it.
  init(integer: Int)
}

/// An element that is an integer.
public protocol IntegerElement: TensorElement, FixedWidthInteger {}

extension IntegerElement {
  public var number: Double { Double(self) }
  public init(number: Double) {
    guard number == number else {
      self = 0
      return
    }
    let whole = number.rounded(.towardZero)
    if let exact = Self(exactly: whole) {
      self = exact
    } else if abs(whole) < 0x1p63 {
      self.init(truncatingIfNeeded: Int(whole))
    } else {
      self = whole < 0 ? .min : .max
    }
  }
  public var integer: Int { Int(truncatingIfNeeded: self) }
  public init(integer: Int) { self.init(truncatingIfNeeded: integer) }
}

/// An element that holds fractions.
public protocol FloatingElement: TensorElement {}

extension FloatingElement {
  public var integer: Int { Int(Int64(number: number)) }
  public init(integer: Int) { self.init(number: Double(integer)) }
}

extension Float: FloatingElement {
  public static var elementType: ElementType { .float32 }
  public var number: Double { Double(self) }
  public init(number: Double) { self.init(number) }
}
extension Double: FloatingElement {
  public static var elementType: ElementType { .float64 }
  public var number: Double { self }
  public init(number: Double) { self = number }
}
extension Float16: FloatingElement {
  public static var elementType: ElementType { .float16 }
  public var number: Double { Double(self) }
  public init(number: Double) { self.init(number) }
}
extension Int8: IntegerElement {
  public static var elementType: ElementType { .int8 }
}
extension UInt8: IntegerElement {
  public static var elementType: ElementType { .uint8 }
}
extension Int16: IntegerElement {
  public static var elementType: ElementType { .int16 }
}
extension UInt16: IntegerElement {
  public static var elementType: ElementType { .uint16 }
}
extension Int32: IntegerElement {
  public static var elementType: ElementType { .int32 }
}
extension UInt32: IntegerElement {
  public static var elementType: ElementType { .uint32 }
}
extension Int64: IntegerElement {
  public static var elementType: ElementType { .int64 }
}
extension UInt64: IntegerElement {
  public static var elementType: ElementType { .uint64 }
}
extension Bool: TensorElement {
  public static var elementType: ElementType { .bool }
  public var number: Double { self ? 1 : 0 }
  public init(number: Double) { self = number != 0 }
  public var integer: Int { self ? 1 : 0 }
  public init(integer: Int) { self = integer != 0 }
}

/// A float32 cut to its upper 16 bits.
public struct BFloat16: FloatingElement {
  public var bitPattern: UInt16

  public static var elementType: ElementType { .bfloat16 }
  public var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }
  public var number: Double { Double(float) }
  public init(number: Double) { self.init(Float(number)) }

  /// Rounds to nearest, halves to even; NaN keeps its quiet bit.
  public init(_ value: Float) {
    let bits = value.bitPattern
    bitPattern =
      value.isNaN
      ? UInt16(truncatingIfNeeded: bits >> 16) | 0x40
      : UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
  }
}
