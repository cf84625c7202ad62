internal import BillhookTensor

/// Values with more elements than this are no shapes.
private let largestShapeCount = 64

/// What is known of the elements of a small integer value before anything is computed.
///
/// Exporters compute shapes from shapes: a Gather takes the batch from a Shape, a Concat puts it in
/// front of sizes that are constant. Such a value is no constant, but each of its elements is a number
/// (`.fixed`, which may be negative here), a size with a name, or unknown (`.symbolic("")`).
extension OperatorDefinition {
  /// Operators that only move the elements of their first input, or of all inputs.
  private static let moving: Set<String> = [
    "Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze",
  ]

  /// The elements of the one output; nil when it is no small integer value or nothing is known.
  func knownElements(
    _ context: NodeContext, _ types: [ValueType]
  ) throws(GraphError) -> [Dimension]? {
    guard context.node.outputs.count == 1, let type = types.first,
      [.int32, .int64].contains(type.elementType), type.shape.count <= 1,
      let count = type.sizes?.reduce(1, *), count <= largestShapeCount
    else { return nil }
    switch name {
    case "Shape":
      let shape = try context.type(0).shape
      return Array(shape[context.shapeRange(shape.count)])
    case "Add", "Sub", "Mul", "Div": return try arithmetic(context, count: count)
    case let op where Self.moving.contains(op): return try moved(context, types)
    default: return nil
    }
  }

  /// Moves numbers that stand for the elements, and looks up what arrived where.
  private func moved(
    _ context: NodeContext, _ types: [ValueType]
  ) throws(GraphError) -> [Dimension]? {
    var known: [Dimension] = []
    var constants = context.constants
    for index in context.inputs.indices where index == 0 || name == "Concat" {
      guard let elements = try context.elements(index), let type = context.optionalType(index),
        let sizes = type.sizes
      else { return nil }
      let places = Array(known.count..<known.count + elements.count)
      constants[index] = Tensor(truncating: places, shape: sizes, type.elementType)
      known += elements
    }
    guard zip(context.inputs, constants).allSatisfy({ $0 == nil || $1 != nil }) else { return nil }
    let stand = NodeContext(
      node: context.node, opset: context.opset, inputs: context.inputs, constants: constants,
      scope: context.scope)
    guard let places = try evaluate(stand, types).first?.integers() else { return nil }
    return places.map { known.indices.contains($0) ? known[$0] : .symbolic("") }
  }

  private func arithmetic(
    _ context: NodeContext, count: Int
  ) throws(GraphError) -> [Dimension]? {
    guard let left = try context.elements(0), let right = try context.elements(1),
      [left.count, right.count].allSatisfy({ $0 == 1 || $0 == count })
    else { return nil }
    return (0..<count).map {
      result(left[left.count == 1 ? 0 : $0], right[right.count == 1 ? 0 : $0])
    }
  }

  private func result(_ left: Dimension, _ right: Dimension) -> Dimension {
    if let left = left.size, let right = right.size {
      let (value, overflow) =
        switch name {
        case "Add": left.addingReportingOverflow(right)
        case "Sub": left.subtractingReportingOverflow(right)
        case "Mul": left.multipliedReportingOverflow(by: right)
        default: left.dividedReportingOverflow(by: right)
        }
      return overflow ? .symbolic("") : .fixed(value)
    }
    switch (name, left, right) {
    case ("Add", .fixed(0), _), ("Mul", .fixed(1), _): return right
    case ("Add", _, .fixed(0)), ("Sub", _, .fixed(0)), ("Mul", _, .fixed(1)), ("Div", _, .fixed(1)):
      return left
    default: return .symbolic("")
    }
  }
}

extension NodeContext {
  /// What is known of the elements of input `index`; nil when it is left out, no small integer value,
  /// or its number of elements is not known.
  func elements(_ index: Int) throws(GraphError) -> [Dimension]? {
    if let tensor = optionalTensor(index) { return tensor.integers()?.map { .fixed($0) } }
    guard let type = optionalType(index), [.int32, .int64].contains(type.elementType),
      type.shape.count <= 1, let count = type.sizes?.reduce(1, *), count <= largestShapeCount
    else { return nil }
    return known[valueName(index)] ?? [Dimension](repeating: .symbolic(""), count: count)
  }
}
