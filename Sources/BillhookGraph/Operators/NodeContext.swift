internal import BillhookTensor
internal import OrderedCollections

/// A node together with what is known about its inputs.
struct NodeContext {
  let node: Node
  let opset: Int
  /// By position; nil where an optional input is left out.
  let inputs: [ValueType?]
  /// The inputs that are constant; in an evaluation, all of them.
  let constants: [Tensor?]
  /// What subgraphs of the node can see.
  let scope: ValueScope
  /// What is known of the elements of inputs that are not constant, by value name.
  var known: [String: [Dimension]] = [:]
  /// Runs the node's subgraphs in place of their definitions.
  var runSubgraph: ReferenceEvaluator.SubgraphRunner?

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

  /// Input `index`, which must hold numbers, not bool.
  func numeric(_ index: Int) throws(GraphError) -> ValueType {
    try type(index, in: ElementType.allCases.filter { $0 != .bool }, expected: "numbers")
  }

  /// Input `index`, which must hold int32 or int64.
  func indices(_ index: Int) throws(GraphError) -> ValueType {
    try type(index, in: [.int32, .int64], expected: "int32 or int64")
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

  /// An error about an attribute, or about the input that has its place in later operator sets.
  func wrongAttribute(_ key: String, _ found: some Any, expected: String) -> GraphError {
    if node.attributes[key] == nil, let index = Self.inputIndex(of: key, op: op),
      let value = node.input(index)
    {
      return .wrongInputValue(
        op: op, node: name, value: value, role: key, found: "\(found)", expected: expected)
    }
    return .wrongAttributeValue(
      op: op, node: name, attribute: key, found: "\(found)", expected: expected)
  }

  private static func inputIndex(of key: String, op: String) -> Int? {
    switch key {
    case "pads", "repeats", "split", "starts", "k": 1
    case "delta", "ends": 2
    case "axes": ["Pad", "Slice"].contains(op) ? 3 : 1
    case "steps": 4
    case "axis": op == "CumSum" ? 1 : op == "DFT" ? 2 : nil
    case "trip count": 0
    default: nil
    }
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

  /// An axis from anywhere, in `-rank..<rank`, counted from the front.
  func axis(_ found: Int, rank: Int, of what: String = "axes") throws(GraphError) -> Int {
    guard found >= -rank, found < rank else {
      throw wrongAttribute(
        what, found, expected: "\(-rank)...\(rank - 1) for a value of rank \(rank)")
    }
    return found < 0 ? found + rank : found
  }

  /// Different axes, counted from the front, in the given order.
  func axes(_ found: [Int], rank: Int, of what: String = "axes") throws(GraphError) -> [Int] {
    var result: [Int] = []
    for axis in found { result.append(try self.axis(axis, rank: rank, of: what)) }
    guard Set(result).count == result.count else {
      throw wrongAttribute(what, found, expected: "each axis once")
    }
    return result
  }

  /// The integers of the attribute `key`, or of input `index` where later versions have them; nil
  /// when neither is there.
  func integers(_ index: Int, or key: String) throws(GraphError) -> [Int]? {
    if optionalType(index) != nil { return try integers(index) }
    return node.ints(key)
  }

  /// The elements of input `index`, which must hold integers and be constant.
  func integers(_ index: Int) throws(GraphError) -> [Int] {
    let type = try type(index).elementType
    guard let found = try tensor(index).integers() else {
      throw .wrongElementType(
        op: op, node: name, value: valueName(index), found: type, expected: "integers")
    }
    return found
  }

  /// The one element of input `index`, an integer; nil when it is left out.
  func optionalInteger(_ index: Int) throws(GraphError) -> Int? {
    guard optionalType(index) != nil else { return nil }
    guard let found = try integers(index).first else {
      throw wrongShape(index, expected: "one element")
    }
    return found
  }

  /// The sizes of input `index`, which is there.
  func sizes(_ index: Int) throws(GraphError) -> [Int] { try tensor(index).shape }

  /// Input `index` with at least `rank` axes.
  func type(_ index: Int, rank: ClosedRange<Int>) throws(GraphError) -> ValueType {
    let type = try type(index)
    guard rank.contains(type.shape.count) else {
      let count = rank.upperBound == .max ? "\(rank.lowerBound) or more" : "\(rank)"
      throw wrongShape(
        index, expected: rank.count == 1 ? "\(rank.lowerBound) axes" : "\(count) axes")
    }
    return type
  }

  /// `left + right`, which must fit an integer.
  func sum(_ left: Int, _ right: Int) throws(GraphError) -> Int {
    let (result, overflow) = left.addingReportingOverflow(right)
    guard !overflow else { throw overflowed(left, right) }
    return result
  }

  /// `left · right`, which must fit an integer.
  func product(_ left: Int, _ right: Int) throws(GraphError) -> Int {
    let (result, overflow) = left.multipliedReportingOverflow(by: right)
    guard !overflow else { throw overflowed(left, right) }
    return result
  }

  private func overflowed(_ left: Int, _ right: Int) -> GraphError {
    .shapeOverflow(
      node: name, value: node.outputs.first ?? "", shape: [.fixed(left), .fixed(right)])
  }

  /// An attribute that is a switch.
  func flag(_ key: String) throws(GraphError) -> Bool {
    let found = node.int(key, default: 0)
    guard found == 0 || found == 1 else { throw wrongAttribute(key, found, expected: "0 or 1") }
    return found == 1
  }
}
