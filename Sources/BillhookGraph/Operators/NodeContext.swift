internal import BillhookTensor

/// A node together with what is known about its inputs.
struct NodeContext {
  let node: Node
  let opset: Int
  /// By position; nil where an optional input is left out.
  let inputs: [ValueType?]
  /// The inputs that are constant; in an evaluation, all of them.
  let constants: [Tensor?]

  var name: String { node.displayName }
  var op: String { node.op }

  /// The name of input `index`, for messages.
  func valueName(_ index: Int) -> String { node.input(index) ?? "" }

  func type(_ index: Int) throws(GraphError) -> ValueType {
    guard let type = optionalType(index) else {
      throw .missingInput(op: op, node: name, index: index)
    }
    return type
  }

  func optionalType(_ index: Int) -> ValueType? { index < inputs.count ? inputs[index] : nil }

  func optionalTensor(_ index: Int) -> Tensor? { index < constants.count ? constants[index] : nil }

  /// The elements of input `index`; an input that is there but computed later is an error.
  func tensor(_ index: Int) throws(GraphError) -> Tensor {
    if let tensor = optionalTensor(index) { return tensor }
    guard optionalType(index) != nil else {
      throw .missingInput(op: op, node: name, index: index)
    }
    throw .notConstant(op: op, node: name, value: valueName(index))
  }

  /// The elements of input `index` as exact or widened numbers.
  func numbers(_ index: Int) throws(GraphError) -> [Double] { try tensor(index).numbers() }
}

// MARK: - Checks

extension NodeContext {
  /// Input `index`, which must hold one of `types`.
  func type(
    _ index: Int, in types: [ElementType], expected: String
  ) throws(GraphError) -> ValueType {
    let type = try type(index)
    guard types.contains(type.elementType) else {
      throw .wrongElementType(
        op: op, node: name, value: valueName(index), found: type.elementType, expected: expected)
    }
    return type
  }

  /// Input `index`, which must hold floating-point numbers.
  func floatingPoint(_ index: Int) throws(GraphError) -> ValueType {
    try type(
      index, in: [.float32, .float16, .float64, .bfloat16], expected: "floating-point numbers")
  }

  /// Input `index`, which must hold what input 0 holds.
  func sameElements(_ index: Int) throws(GraphError) -> ValueType {
    let expected = try type(0).elementType
    return try type(index, in: [expected], expected: "\(expected) as input 0 does")
  }

  func wrongShape(_ index: Int, expected: String) -> GraphError {
    .wrongShape(
      op: op, node: name, value: valueName(index), found: optionalType(index)?.shape ?? [],
      expected: expected)
  }

  func incompatible(_ left: Int, _ right: Int, expected: String) -> GraphError {
    .incompatibleShapes(
      op: op, node: name, left: valueName(left), leftShape: optionalType(left)?.shape ?? [],
      right: valueName(right), rightShape: optionalType(right)?.shape ?? [], expected: expected)
  }

  /// Input `index`, which must be a vector of `count` elements.
  func vector(_ index: Int, count: Dimension) throws(GraphError) {
    let shape = try type(index).shape
    guard shape.count == 1, !shape[0].contradicts(count) else {
      throw wrongShape(index, expected: "[\(count)]")
    }
  }

  func wrongAttribute(_ key: String, _ found: some Any, expected: String) -> GraphError {
    .wrongAttributeValue(
      op: op, node: name, attribute: key, found: "\(found)", expected: expected)
  }

  /// An axis attribute in `-rank..<rank`, or up to `rank` when `allowingEnd`, counted from the
  /// front.
  func axis(
    default value: Int, rank: Int, allowingEnd: Bool = false
  ) throws(GraphError) -> Int {
    let found = node.int("axis", default: value)
    let end = allowingEnd ? rank : rank - 1
    guard found >= -rank, found <= end else {
      throw wrongAttribute("axis", found, expected: "\(-rank)...\(end) for a value of rank \(rank)")
    }
    return found < 0 ? found + rank : found
  }

  /// An attribute that is a switch.
  func flag(_ key: String) throws(GraphError) -> Bool {
    let found = node.int(key, default: 0)
    guard found == 0 || found == 1 else { throw wrongAttribute(key, found, expected: "0 or 1") }
    return found == 1
  }
}

// MARK: - Numbers

extension Tensor {
  /// The elements as 64-bit floats, whatever the tensor holds.
  func numbers() -> [Double] {
    switch elementType {
    case .float64: elements(of: Double.self)
    case .int64: elements(of: Int64.self).map { Double($0) }
    case .uint64: elements(of: UInt64.self).map { Double($0) }
    case .int32: elements(of: Int32.self).map { Double($0) }
    case .uint32: elements(of: UInt32.self).map { Double($0) }
    default: floats().map { Double($0) }
    }
  }

  /// Makes a floating-point tensor from numbers, each rounded once.
  ///
  /// - Parameter type: A floating-point type; shape inference has checked it.
  init(rounding numbers: [Double], shape: [Int], _ type: ElementType) {
    switch type {
    case .float64: self.init(numbers, shape: shape)
    case .float32: self.init(numbers.map { Float($0) }, shape: shape)
    case .float16: self.init(numbers.map { Float16($0) }, shape: shape)
    default:
      let floats = Tensor(numbers.map { Float($0) }, shape: shape)
      guard let rounded = floats.asFloatingPoint(type) else {
        preconditionFailure("\(type) is not a floating-point type")
      }
      self = rounded
    }
  }

  /// Makes an integer tensor, keeping the low bits of each number.
  ///
  /// - Parameter type: An integer type or bool; shape inference has checked it.
  init(truncating numbers: [Int], shape: [Int], _ type: ElementType) {
    switch type {
    case .int8: self.init(numbers.map { Int8(truncatingIfNeeded: $0) }, shape: shape)
    case .uint8: self.init(numbers.map { UInt8(truncatingIfNeeded: $0) }, shape: shape)
    case .int16: self.init(numbers.map { Int16(truncatingIfNeeded: $0) }, shape: shape)
    case .uint16: self.init(numbers.map { UInt16(truncatingIfNeeded: $0) }, shape: shape)
    case .int32: self.init(numbers.map { Int32(truncatingIfNeeded: $0) }, shape: shape)
    case .uint32: self.init(numbers.map { UInt32(truncatingIfNeeded: $0) }, shape: shape)
    case .int64: self.init(numbers.map { Int64($0) }, shape: shape)
    case .uint64: self.init(numbers.map { UInt64(truncatingIfNeeded: $0) }, shape: shape)
    case .bool: self.init(numbers.map { $0 != 0 }, shape: shape)
    default: preconditionFailure("\(type) is not an integer type")
    }
  }
}
