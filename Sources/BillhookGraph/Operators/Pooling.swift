internal import BillhookTensor

extension OperatorDefinition {
  static let maxPool = OperatorDefinition(
    "MaxPool", inputs: 1...1,
    attributes: poolAttributes + [AttributeDefinition("storage_order", .int)],
    infer: inferPool,
    evaluate: { (context, types) throws(GraphError) in
      try pool(context, types) { place, image in
        place.taps.map { image[$0.input] }.reduce(-.infinity) { max($0, $1) }
      }
    })

  static let averagePool = OperatorDefinition(
    "AveragePool", inputs: 1...1,
    attributes: poolAttributes + [AttributeDefinition("count_include_pad", .int)],
    infer: inferPool,
    evaluate: { (context, types) throws(GraphError) in
      let countsPadding = try context.flag("count_include_pad")
      return try pool(context, types) { place, image in
        let sum = place.taps.reduce(0) { $0 + image[$1.input] }
        return sum / Double(countsPadding ? place.paddedCount : place.taps.count)
      }
    })

  /// The mean over all spatial axes, which become 1.
  static let globalAveragePool = OperatorDefinition(
    "GlobalAveragePool", inputs: 1...1,
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      guard input.shape.count >= 3, !input.shape[2...].contains(0) else {
        throw context.wrongShape(0, expected: "[N, C, D…] with spatial axes that are not empty")
      }
      return [
        ValueType(
          input.elementType,
          input.shape[..<2] + [Dimension](repeating: 1, count: input.shape.count - 2))
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.numbers(0)
      let shape = try context.tensor(0).shape
      let area = shape[2...].reduce(1, *)
      let means = (0..<shape[0] * shape[1]).map { image in
        x[image * area..<(image + 1) * area].reduce(0, +) / Double(area)
      }
      return [Tensor(rounding: means, shape: types[0].sizes ?? [], types[0].elementType)]
    })
}

private let poolAttributes: [AttributeDefinition] =
  windowAttributes.map {
    AttributeDefinition($0.name, $0.kind, required: $0.name == "kernel_shape")
  } + [AttributeDefinition("ceil_mode", .int)]

@Sendable private func inferPool(_ context: NodeContext) throws(GraphError) -> [ValueType] {
  let input = try context.floatingPoint(0)
  guard (3...5).contains(input.shape.count) else {
    throw context.wrongShape(0, expected: "[N, C, D…] with one to three spatial axes")
  }
  let kernel = context.node.ints("kernel_shape") ?? []
  guard kernel.count == input.shape.count - 2 else {
    throw context.wrongAttribute(
      "kernel_shape", kernel, expected: "\(input.shape.count - 2) integers, one a spatial axis")
  }
  _ = try context.flag("ceil_mode")
  let window = try WindowAttributes(context.node, kernel: kernel)
  let spatial = try window.output(context.node, input: Array(input.shape[2...]))
  return [ValueType(input.elementType, input.shape[..<2] + spatial)]
}

/// Reduces each window of each image with `reduce`.
private func pool(
  _ context: NodeContext, _ types: [ValueType],
  _ reduce: (WindowTaps.Place, ArraySlice<Double>) -> Double
) throws(GraphError) -> [Tensor] {
  let x = try context.numbers(0)
  let shape = try context.tensor(0).shape
  let window = try Window(
    context.node, kernel: context.node.ints("kernel_shape") ?? [], input: Array(shape[2...]))
  let taps = try WindowTaps(window, context)
  let area = window.input.reduce(1, *)
  var y: [Double] = []
  for image in 0..<shape[0] * shape[1] {
    // An array of its own, so that taps count from 0.
    let pixels = ArraySlice(Array(x[image * area..<(image + 1) * area]))
    for place in taps.places { y.append(reduce(place, pixels)) }
  }
  return [Tensor(rounding: y, shape: types[0].sizes ?? [], types[0].elementType)]
}
