internal import BillhookTensor

extension OperatorDefinition {
  /// Between real numbers and integers with a scale and a zero point.
  static let quantizationFamily: [OperatorDefinition] = [
    quantizeLinear, dequantizeLinear, dynamicQuantizeLinear,
  ]

  /// `saturate(round(x / scale) + zero_point)`, halves rounded to even.
  private static let quantizeLinear = OperatorDefinition(
    "QuantizeLinear", inputs: 2...3,
    attributes: [
      .int("axis"), .int("block_size"), .int("output_dtype"), .int("precision"), .int("saturate"),
    ],
    infer: { (context) throws(GraphError) in
      let input = try context.type(
        0, in: [.float32, .float16, .bfloat16, .int32], expected: "float32, float16 or int32")
      try checkQuantization(context, input)
      var type = ElementType.uint8
      if context.optionalType(2) != nil {
        type = try context.type(
          2, in: [.uint8, .int8, .uint16, .int16], expected: "uint8, int8, uint16 or int16"
        ).elementType
      } else if let code = outputCode(context) {
        guard let stated = ElementType(rawValue: Int32(truncatingIfNeeded: code)),
          [.uint8, .int8, .uint16, .int16].contains(stated)
        else {
          throw context.wrongAttribute(
            "output_dtype", code, expected: "2 (uint8), 3 (int8), 4 (uint16) or 5 (int16)")
        }
        type = stated
      }
      return [ValueType(type, input.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.tensor(0).floats()
      let scale = try context.tensor(1).floats()
      let zeroPoint = context.optionalTensor(2)?.integers()
      let shape = types[0].sizes ?? []
      let channel = try quantizationChannels(context, shape: shape)
      let limits = types[0].elementType.integerRange
      let q = x.indices.map { index -> Int in
        let c = channel(index)
        let rounded = (x[index] / scale[c]).rounded(.toNearestOrEven)
        guard rounded == rounded else { return zeroPoint?[c] ?? 0 }
        // Within ±2³¹ before the conversion, which traps beyond the range of integers.
        let near = Int(min(max(rounded, -0x1p31), 0x1p31)) + (zeroPoint?[c] ?? 0)
        return min(max(near, limits.lowerBound), limits.upperBound)
      }
      return [Tensor(truncating: q, shape: shape, types[0].elementType)]
    })

  /// `(x − zero_point) · scale`.
  private static let dequantizeLinear = OperatorDefinition(
    "DequantizeLinear", inputs: 2...3,
    attributes: [.int("axis"), .int("block_size"), .int("output_dtype")],
    infer: { (context) throws(GraphError) in
      let input = try context.type(
        0, in: [.uint8, .int8, .uint16, .int16, .int32],
        expected: "uint8, int8, uint16, int16 or int32")
      try checkQuantization(context, input)
      if context.optionalType(2) != nil { _ = try context.sameElements(2) }
      var type = try context.type(1).elementType
      if outputCode(context) != nil, let stated = try context.statedType("output_dtype") {
        type = stated
      }
      return [ValueType(type, input.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.tensor(0).integers() ?? []
      let scale = try context.tensor(1).floats()
      let zeroPoint = context.optionalTensor(2)?.integers()
      let shape = types[0].sizes ?? []
      let channel = try quantizationChannels(context, shape: shape)
      let y = x.indices.map { index -> Double in
        let c = channel(index)
        return Double(Float(x[index] - (zeroPoint?[c] ?? 0)) * scale[c])
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })
}

extension ElementType {
  /// The integers that an 8- to 32-bit integer type holds.
  var integerRange: ClosedRange<Int> {
    switch self {
    case .int8: -128...127
    case .uint8: 0...255
    case .int16: -32768...32767
    case .uint16: 0...65535
    case .uint32: 0...Int(UInt32.max)
    default: Int(Int32.min)...Int(Int32.max)
    }
  }
}

private func outputCode(_ context: NodeContext) -> Int? {
  let code = context.node.int("output_dtype", default: 0)
  return code == 0 ? nil : code
}

/// Scale and zero point are scalars, vectors along `axis`, or one a block of `block_size` elements
/// along `axis`.
private func checkQuantization(_ context: NodeContext, _ input: ValueType) throws(GraphError) {
  let block = context.node.int("block_size", default: 0)
  let scale = try context.floatingPoint(1)
  if context.optionalType(2) != nil {
    let zeroPoint = try context.type(2)
    // Exporters mix scalars and vectors of one element, and runtimes take both.
    let isOne = [scale, zeroPoint].allSatisfy { $0.shape.isEmpty || $0.shape == [1] }
    let isSame =
      zeroPoint.shape.count == scale.shape.count
      && zip(zeroPoint.shape, scale.shape).allSatisfy { !$0.contradicts($1) }
    guard isOne || isSame else { throw context.incompatible(1, 2, expected: "the same shape") }
  }
  let rank = input.shape.count
  if block != 0 {
    guard block > 0, rank > 0 else {
      throw context.wrongAttribute("block_size", block, expected: "0 or more")
    }
    let axis = try context.axis(default: 1, rank: rank)
    var expected = input.shape
    expected[axis] =
      input.shape[axis].size.map { .fixed($0 / block + ($0 % block == 0 ? 0 : 1)) }
      ?? .symbolic("")
    guard scale.shape.count == rank,
      zip(scale.shape, expected).allSatisfy({ !$0.contradicts($1) })
    else { throw context.wrongShape(1, expected: "one scale a block, \(expected)") }
    return
  }
  if scale.shape.isEmpty || scale.shape == [1] { return }
  guard scale.shape.count == 1, rank > 0 else {
    throw context.wrongShape(1, expected: "a scalar or a vector")
  }
  let axis = try context.axis(default: 1, rank: rank)
  try context.vector(1, count: input.shape[axis])
}

/// Which scale an element takes.
func quantizationChannels(
  _ context: NodeContext, shape: [Int]
) throws(GraphError) -> (Int) -> Int {
  let block = context.node.int("block_size", default: 0)
  let count = try context.tensor(1).count
  guard count > 1 else { return { _ in 0 } }
  let axis = try context.axis(default: 1, rank: shape.count)
  let inner = shape[(axis + 1)...].reduce(1, *)
  guard block > 0 else { return { $0 / inner % count } }
  let (size, blocks) = (shape[axis], try context.sizes(1)[axis])
  return { ($0 / (inner * size) * blocks + $0 / inner % size / block) * inner + $0 % inner }
}
