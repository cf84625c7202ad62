/// A number that a plain function takes or returns by value, or that it points at.
enum PlainType: String, Sendable, CaseIterable {
  case float, double
  case int8 = "int8_t"
  case int16 = "int16_t"
  case int32 = "int32_t"
  case int64 = "int64_t"
  case uint8 = "uint8_t"
  case uint16 = "uint16_t"
  case uint32 = "uint32_t"
  case uint64 = "uint64_t"
  case int, unsigned
  case size = "size_t"

  var byteCount: Int {
    switch self {
    case .int8, .uint8: 1
    case .int16, .uint16: 2
    case .float, .int32, .uint32, .int, .unsigned: 4
    case .double, .int64, .uint64, .size: 8
    }
  }

  var isFloatingPoint: Bool { self == .float || self == .double }

  var isSigned: Bool {
    switch self {
    case .float, .double, .int8, .int16, .int32, .int64, .int: true
    case .uint8, .uint16, .uint32, .uint64, .unsigned, .size: false
    }
  }

  /// Integers that the type holds, as far as they fit a 64-bit signed one; every one for fractions.
  var integers: ClosedRange<Int> {
    guard !isFloatingPoint, byteCount < 8 else { return isSigned ? Int.min...Int.max : 0...Int.max }
    let bits = byteCount * 8
    return isSigned ? -(1 << (bits - 1))...(1 << (bits - 1)) - 1 : 0...(1 << bits) - 1
  }

  /// True when both are the same bits: `int` and `int32_t`.
  func isSame(as other: PlainType) -> Bool {
    byteCount == other.byteCount && isFloatingPoint == other.isFloatingPoint
      && isSigned == other.isSigned
  }
}

/// One parameter of a plain function.
struct PlainParameter: Sendable, Equatable {
  enum Kind: Sendable, Equatable {
    case value(PlainType)
    /// A pointer; nil points at bytes (`void`).
    case pointer(PlainType?, isConstant: Bool)
  }
  var kind: Kind
  /// As declared, or `argument 1` and so on.
  var name: String

  var text: String {
    switch kind {
    case .value(let type): type.rawValue
    case .pointer(let type, let isConstant):
      "\(isConstant ? "const " : "")\(type?.rawValue ?? "void")*"
    }
  }
}

/// What a plain function takes and returns.
struct PlainSignature: Sendable, Equatable, CustomStringConvertible {
  /// Nil for `void`.
  var result: PlainType?
  var symbol: String
  var parameters: [PlainParameter]
  /// False when the parameters were written without names.
  var isNamed: Bool

  /// In one spelling, whatever white space it was written with.
  var description: String {
    let list = parameters.map { isNamed ? "\($0.text) \($0.name)" : $0.text }
    return "\(result?.rawValue ?? "void") \(symbol)(\(list.joined(separator: ", ")))"
  }
}
