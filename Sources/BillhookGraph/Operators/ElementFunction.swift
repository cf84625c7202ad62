internal import BillhookTensor

/// A function of one number, for every element type: fractions as 64-bit floats that are rounded
/// once, integers in their own type.
protocol UnaryFunction: SendableMetatype {
  static func apply(_ x: Double) -> Double
  static func apply<T: IntegerElement>(_ x: T) -> T
}

/// A function of two numbers, for every element type. Integers wrap around; what an integer type
/// cannot say, such as a division by zero, is 0.
protocol BinaryFunction: SendableMetatype {
  static func apply(_ x: Double, _ y: Double) -> Double
  static func apply<T: IntegerElement>(_ x: T, _ y: T) -> T
}

/// A comparison of two numbers, for every element type; bool compares as 0 and 1.
protocol Comparison: SendableMetatype {
  static func holds<T: Comparable>(_ x: T, _ y: T) -> Bool
}

extension Tensor {
  /// Applies a function to each element.
  func mapped<F: UnaryFunction>(_ function: F.Type) -> Tensor {
    func integral<T: IntegerElement>(_ type: T.Type) -> Tensor {
      Tensor(elements(of: type).map { F.apply($0) }, shape: shape)
    }
    if let type = elementType.integerType { return integral(type) }
    return Tensor(rounding: numbers().map { F.apply($0) }, shape: shape, elementType)
  }

  /// Applies a function to the pairs that two tensors of one type spread to.
  func combined<F: BinaryFunction>(
    _ other: Tensor, _ function: F.Type, shape: [Int]
  ) -> Tensor {
    let pairs = Pairs(self.shape, other.shape, to: shape)
    func integral<T: IntegerElement>(_ type: T.Type) -> Tensor {
      Tensor(
        pairs.map(elements(of: type), other.elements(of: type)) { F.apply($0, $1) }, shape: shape)
    }
    if let type = elementType.integerType { return integral(type) }
    return Tensor(
      rounding: pairs.map(numbers(), other.numbers()) { F.apply($0, $1) }, shape: shape,
      elementType)
  }

  /// Compares the pairs that two tensors of one type spread to.
  func compared<C: Comparison>(_ other: Tensor, _ comparison: C.Type, shape: [Int]) -> Tensor {
    let pairs = Pairs(self.shape, other.shape, to: shape)
    func integral<T: IntegerElement>(_ type: T.Type) -> Tensor {
      Tensor(
        pairs.map(elements(of: type), other.elements(of: type)) { C.holds($0, $1) }, shape: shape)
    }
    if let type = elementType.integerType { return integral(type) }
    return Tensor(pairs.map(numbers(), other.numbers()) { C.holds($0, $1) }, shape: shape)
  }
}

/// The pairs of elements of two tensors under NumPy's broadcasting.
struct Pairs {
  private let left: [Int]?
  private let right: [Int]?
  private let count: Int

  /// - Parameter shape: What both shapes spread to.
  init(_ leftShape: [Int], _ rightShape: [Int], to shape: [Int]) {
    // Equal shapes are by far the most frequent, and need no list.
    left = leftShape == shape ? nil : Broadcast(leftShape, to: shape).source
    right = rightShape == shape ? nil : Broadcast(rightShape, to: shape).source
    count = shape.reduce(1, *)
  }

  func map<T, R>(_ x: [T], _ y: [T], _ body: (T, T) -> R) -> [R] {
    (0..<count).map { body(x[left?[$0] ?? $0], y[right?[$0] ?? $0]) }
  }
}
