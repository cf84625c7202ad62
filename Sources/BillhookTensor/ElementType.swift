/// What one element of a ``Tensor`` is.
///
/// The raw values are the data types of ONNX, so that no second numbering exists.
public enum ElementType: Int32, Sendable, CaseIterable {
  case float32 = 1
  case uint8 = 2
  case int8 = 3
  case uint16 = 4
  case int16 = 5
  case int32 = 6
  case int64 = 7
  case bool = 9
  case float16 = 10
  case float64 = 11
  case uint32 = 12
  case uint64 = 13
  case bfloat16 = 16

  /// The size of one element in bytes.
  public var byteCount: Int {
    switch self {
    case .int8, .uint8, .bool: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  /// True for the types that hold fractions.
  public var isFloatingPoint: Bool {
    switch self {
    case .float16, .bfloat16, .float32, .float64: true
    default: false
    }
  }
}

extension ElementType: CustomStringConvertible {
  public var description: String {
    switch self {
    case .float32: "float32"
    case .uint8: "uint8"
    case .int8: "int8"
    case .uint16: "uint16"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .bool: "bool"
    case .float16: "float16"
    case .float64: "float64"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .bfloat16: "bfloat16"
    }
  }
}

/// A Swift type whose values are the elements of a tensor.
public protocol TensorElement: BitwiseCopyable, Sendable {
  /// The element type that this Swift type stores.
  static var elementType: ElementType { get }
}

extension Float: TensorElement {
  public static var elementType: ElementType { .float32 }
}
extension Double: TensorElement {
  public static var elementType: ElementType { .float64 }
}
extension Float16: TensorElement {
  public static var elementType: ElementType { .float16 }
}
extension Int8: TensorElement {
  public static var elementType: ElementType { .int8 }
}
extension UInt8: TensorElement {
  public static var elementType: ElementType { .uint8 }
}
extension Int16: TensorElement {
  public static var elementType: ElementType { .int16 }
}
extension UInt16: TensorElement {
  public static var elementType: ElementType { .uint16 }
}
extension Int32: TensorElement {
  public static var elementType: ElementType { .int32 }
}
extension UInt32: TensorElement {
  public static var elementType: ElementType { .uint32 }
}
extension Int64: TensorElement {
  public static var elementType: ElementType { .int64 }
}
extension UInt64: TensorElement {
  public static var elementType: ElementType { .uint64 }
}
extension Bool: TensorElement {
  public static var elementType: ElementType { .bool }
}
