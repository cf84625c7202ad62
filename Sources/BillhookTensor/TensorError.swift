/// A reason why a tensor cannot be made or read as asked.
public enum TensorError: Error, Equatable, CustomStringConvertible {
  case cannotMap(path: String, reason: String)
  case wrongElementType(found: ElementType, expected: ElementType)
  case wrongElementCount(shape: [Int], expected: Int, found: Int)
  case shapeOverflow([Int])

  public var description: String {
    switch self {
    case .cannotMap(let path, let reason):
      "Cannot read \"\(path)\": \(reason). Check the path and its permissions."
    case .wrongElementType(let found, let expected):
      "A tensor holds \(found) but \(expected) is needed; convert it first."
    case .wrongElementCount(let shape, let expected, let found):
      "Shape \(shape) has \(expected) elements but \(found) were given."
    case .shapeOverflow(let shape):
      "Shape \(shape) is negative or has more elements than can be addressed."
    }
  }
}
