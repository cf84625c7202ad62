internal import BillhookTensor
internal import Foundation

// The functions behind the arithmetic operators, each for fractions and for integers.

enum Sum: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x + y }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { x &+ y }
}

enum Difference: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x - y }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { x &- y }
}

enum Product: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x * y }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { x &* y }
}

enum Quotient: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x / y }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T {
    y == 0 ? 0 : x.dividedReportingOverflow(by: y).partialValue
  }
}

enum TruncatedRemainder: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { fmod(x, y) }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T {
    y == 0 ? 0 : x.remainderReportingOverflow(dividingBy: y).partialValue
  }
}

enum FlooredRemainder: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double {
    let remainder = fmod(x, y)
    return remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder
  }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T {
    let remainder = TruncatedRemainder.apply(x, y)
    return remainder != 0 && (remainder < 0) != (y < 0) ? remainder &+ y : remainder
  }
}

enum Power: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { pow(x, y) }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T {
    // 1 / xⁿ is a fraction but for ±1.
    if y < 0 { return x == 1 ? 1 : x == 0 &- 1 ? (y & 1 == 0 ? 1 : x) : 0 }
    var (result, base, exponent) = (T(1), x, y)
    while exponent > 0 {
      if exponent & 1 == 1 { result = result &* base }
      base = base &* base
      exponent >>= 1
    }
    return result
  }
}

enum Maximum: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x.isNaN || x > y ? x : y }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { max(x, y) }
}

enum Minimum: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x.isNaN || x < y ? x : y }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { min(x, y) }
}

/// A shift by fewer places than 0 is out of range like one by too many: nothing but zeros is left.
enum LeftShift: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { y < 0 ? 0 : x << y }
}

/// Out of range, only copies of the sign bit are left.
enum RightShift: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T {
    y < 0 ? (x < 0 ? ~0 : 0) : x >> y
  }
}

enum BitAnd: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { x & y }
}

enum BitOr: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { x | y }
}

enum BitXor: BinaryFunction {
  static func apply(_ x: Double, _ y: Double) -> Double { x }
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T { x ^ y }
}

enum BitNot: UnaryFunction {
  static func apply(_ x: Double) -> Double { x }
  static func apply<T: IntegerElement>(_ x: T) -> T { ~x }
}

enum Magnitude: UnaryFunction {
  static func apply(_ x: Double) -> Double { abs(x) }
  static func apply<T: IntegerElement>(_ x: T) -> T { x < 0 ? 0 &- x : x }
}

enum Negation: UnaryFunction {
  static func apply(_ x: Double) -> Double { -x }
  static func apply<T: IntegerElement>(_ x: T) -> T { 0 &- x }
}

enum Signum: UnaryFunction {
  static func apply(_ x: Double) -> Double { x > 0 ? 1 : x < 0 ? -1 : x }
  static func apply<T: IntegerElement>(_ x: T) -> T { x.signum() }
}

enum Ramp: UnaryFunction {
  static func apply(_ x: Double) -> Double { x.isNaN || x > 0 ? x : 0 }
  static func apply<T: IntegerElement>(_ x: T) -> T { max(x, 0) }
}
