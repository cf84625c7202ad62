extension Tensor {
  /// The elements as 32-bit floats, whatever the tensor holds.
  public func floats() -> [Float] {
    func convert<Element: TensorElement>(_ type: Element.Type) -> [Float] {
      withUnsafeElements(of: type) { $0.map { Float($0.number) } }
    }
    return elementType == .float32 ? elements(of: Float.self) : convert(elementType.swiftType)
  }

  /// The elements as 64-bit floats, whatever the tensor holds.
  public func numbers() -> [Double] {
    func convert<Element: TensorElement>(_ type: Element.Type) -> [Double] {
      withUnsafeElements(of: type) { $0.map(\.number) }
    }
    // Compiled for the type that nearly all tensors have; the others go through their protocol.
    return elementType == .float32 ? convert(Float.self) : convert(elementType.swiftType)
  }

  /// The elements as integers, or nil when the tensor holds floating-point numbers; uint64 keeps its
  /// bits.
  public func integers() -> [Int]? {
    func convert<Element: TensorElement>(_ type: Element.Type) -> [Int] {
      withUnsafeElements(of: type) { $0.map(\.integer) }
    }
    if elementType == .int64 { return convert(Int64.self) }
    return elementType.isFloatingPoint ? nil : convert(elementType.swiftType)
  }

  /// Makes a tensor from numbers, each rounded once; see ``TensorElement/init(number:)``.
  public init(rounding numbers: [Double], shape: [Int], _ type: ElementType) {
    func convert<Element: TensorElement>(_ type: Element.Type) -> Tensor {
      Tensor(numbers.map { Element(number: $0) }, shape: shape)
    }
    self = type == .float32 ? convert(Float.self) : convert(type.swiftType)
  }

  /// Makes a tensor from integers, keeping the low bits of each; see ``TensorElement/init(integer:)``.
  public init(truncating integers: [Int], shape: [Int], _ type: ElementType) {
    func convert<Element: TensorElement>(_ type: Element.Type) -> Tensor {
      Tensor(integers.map { Element(integer: $0) }, shape: shape)
    }
    self = convert(type.swiftType)
  }

  /// The same numbers in another element type; the tensor itself when it has that type.
  ///
  /// Integers and bool go over exactly where the type holds them, and keep their low bits where it
  /// does not; numbers are rounded once.
  public func converted(to type: ElementType) -> Tensor {
    func convert<Source: TensorElement, Target: TensorElement>(
      _ source: Source.Type, _ target: Target.Type
    ) -> Tensor {
      let isIntegral = !elementType.isFloatingPoint && !type.isFloatingPoint
      let result = withUnsafeElements(of: source) { elements in
        isIntegral
          ? elements.map { Target(integer: $0.integer) }
          : elements.map { Target(number: $0.number) }
      }
      return Tensor(result, shape: shape)
    }
    return type == elementType ? self : convert(elementType.swiftType, type.swiftType)
  }

  /// The same numbers as 32-bit floats; the tensor itself when it holds them already.
  public func asFloat32() -> Tensor { converted(to: .float32) }

  /// The numbers rounded to another floating-point type.
  ///
  /// - Returns: nil when `type` is not a floating-point type.
  public func asFloatingPoint(_ type: ElementType) -> Tensor? {
    type.isFloatingPoint ? converted(to: type) : nil
  }

  /// The same bytes under another element type of the same size.
  public func reinterpreted(as type: ElementType) -> Tensor {
    precondition(type.byteCount == elementType.byteCount)
    // The bytes are there and the size is unchanged, so the checked initialiser cannot fail.
    return try! Tensor(storage: storage, byteOffset: byteOffset, shape: shape, type)
  }
}
