/// What one element of a ``Tensor`` is.
///
/// The raw values are the data types of ONNX, so that no second numbering exists.
public enum ElementType: Int32, Sendable, CaseIterable, Codable {
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

extension ElementType {
  /// The Swift type of one element.
  ///
  /// Passing it to a generic function is the one way to get from an element type that is known
  /// while running to code that is compiled for it.
  public var swiftType: any TensorElement.Type {
    switch self {
    case .int8: Int8.self
    case .uint8: UInt8.self
    case .int16: Int16.self
    case .uint16: UInt16.self
    case .int32: Int32.self
    case .uint32: UInt32.self
    case .int64: Int64.self
    case .uint64: UInt64.self
    case .bool: Bool.self
    case .float16: Float16.self
    case .bfloat16: BFloat16.self
    case .float32: Float.self
    case .float64: Double.self
    }
  }

  /// The Swift type of one element when it is an integer; nil for fractions and bool.
  public var integerType: (any IntegerElement.Type)? { swiftType as? any IntegerElement.Type }
}
