internal import BillhookTensor

extension OperatorDefinition {
  /// uint8 with a scale and a zero point that the values themselves fix: outputs are the integers,
  /// the scale and the zero point.
  static let dynamicQuantizeLinear = OperatorDefinition(
    "DynamicQuantizeLinear", inputs: 1...1, outputs: 3...3,
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, in: [.float32], expected: "float32")
      return [ValueType(.uint8, input.shape), ValueType(.float32, []), ValueType(.uint8, [])]
    },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.tensor(0).floats()
      // Zero belongs to the range, so that it is exact; NaN does not count.
      let low = x.reduce(Float(0)) { $1 < $0 ? $1 : $0 }
      let high = x.reduce(Float(0)) { $1 > $0 ? $1 : $0 }
      let scale = high > low ? (high - low) / 255 : 1
      func clamped(_ value: Float) -> Float { value == value ? min(max(value, 0), 255) : 0 }
      let zeroPoint = clamped((-low / scale).rounded(.toNearestOrEven))
      let q = x.map { UInt8(clamped(($0 / scale).rounded(.toNearestOrEven) + zeroPoint)) }
      return [
        Tensor(q, shape: types[0].sizes ?? []), Tensor(scalar: scale),
        Tensor(scalar: UInt8(zeroPoint)),
      ]
    })

  /// MatMul of 8-bit integers less their zero points, with 32-bit sums.
  static let matMulInteger = OperatorDefinition(
    "MatMulInteger", inputs: 2...4,
    infer: { (context) throws(GraphError) in
      let a = try context.integers(0).shape
      let b = try context.integers(1).shape
      guard a.count >= 2 else { throw context.wrongShape(0, expected: "at least two axes") }
      guard b.count == 2 else { throw context.wrongShape(1, expected: "a matrix") }
      guard !a[a.count - 1].contradicts(b[0]) else {
        throw context.incompatible(
          0, 1, expected: "\(a[a.count - 1]) columns on the left to meet \(b[0]) rows on the right")
      }
      try context.zeroPoint(2, of: 0, count: nil)
      try context.zeroPoint(3, of: 1, count: b[1])
      return [ValueType(.int32, a.dropLast() + [b[1]])]
    },
    evaluate: { (context, types) throws(GraphError) in
      let a = try context.shifted(0, zeroPoint: 2, inner: 1)
      let b = try context.shifted(1, zeroPoint: 3, inner: 1)
      let bShape = try context.tensor(1).shape
      let (depth, columns) = (bShape[0], bShape[1])
      let shape = types[0].sizes ?? []
      let rows = columns == 0 ? 0 : shape.reduce(1, *) / columns
      var sums = [Int](repeating: 0, count: rows * columns)
      for row in 0..<rows {
        for k in 0..<depth {
          for column in 0..<columns {
            sums[row * columns + column] &+= a[row * depth + k] &* b[k * columns + column]
          }
        }
      }
      return [Tensor(truncating: sums, shape: shape, .int32)]
    })

  /// Conv of 8-bit integers less their zero points, with 32-bit sums; padding counts as zero.
  static let convInteger = OperatorDefinition(
    "ConvInteger", inputs: 2...4,
    attributes: windowAttributes + [AttributeDefinition("group", .int)],
    infer: { (context) throws(GraphError) in
      let input = try context.integers(0).shape
      let weight = try context.integers(1)
      guard (3...5).contains(input.count) else {
        throw context.wrongShape(0, expected: "[N, C, D…] with one to three spatial axes")
      }
      guard weight.shape.count == input.count, let sizes = weight.sizes else {
        throw context.wrongShape(1, expected: "fixed sizes [M, C/group, K…] with \(input.count) axes")
      }
      let group = context.node.int("group", default: 1)
      guard group >= 1, group <= max(sizes[0], 1), sizes[0] % group == 0 else {
        throw context.wrongAttribute(
          "group", group, expected: "a divisor of the \(sizes[0]) output channels")
      }
      let (channels, overflow) = sizes[1].multipliedReportingOverflow(by: group)
      guard !overflow, !input[1].contradicts(.fixed(channels)) else {
        throw context.incompatible(
          0, 1, expected: "\(sizes[1]) × \(group) (weight axis 1 × group) input channels")
      }
      try context.zeroPoint(2, of: 0, count: nil)
      try context.zeroPoint(3, of: 1, count: .fixed(sizes[0]))
      let window = try WindowAttributes(context.node, kernel: Array(sizes[2...]))
      let spatial = try window.output(context.node, input: Array(input[2...]))
      return [ValueType(.int32, [input[0], .fixed(sizes[0])] + spatial)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let inShape = try context.tensor(0).shape
      let weightShape = try context.tensor(1).shape
      let filterCount = weightShape[1...].reduce(1, *)
      let x = try context.shifted(0, zeroPoint: 2, inner: 1)
      let w = try context.shifted(1, zeroPoint: 3, inner: filterCount)
      let shape = types[0].sizes ?? []
      let window = try Window(
        context.node, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
      let taps = try WindowTaps(window, context)
      let outPerGroup = weightShape[0] / context.node.int("group", default: 1)
      let inArea = window.input.reduce(1, *)
      let kernelArea = window.kernel.reduce(1, *)
      var sums: [Int] = []
      sums.reserveCapacity(shape.reduce(1, *))
      for n in 0..<shape[0] {
        for m in 0..<weightShape[0] {
          let firstChannel = m / outPerGroup * weightShape[1]
          for place in taps.places {
            var sum = 0
            for c in 0..<weightShape[1] {
              let image = (n * inShape[1] + firstChannel + c) * inArea
              let filter = (m * weightShape[1] + c) * kernelArea
              for tap in place.taps { sum &+= x[image + tap.input] &* w[filter + tap.kernel] }
            }
            sums.append(sum)
          }
        }
      }
      return [Tensor(truncating: sums, shape: shape, .int32)]
    })

  /// The same numbers in another type; fractions are cut off towards zero.
  static let cast = OperatorDefinition(
    "Cast", inputs: 1...1,
    attributes: [AttributeDefinition("to", .int, required: true), AttributeDefinition("saturate", .int)],
    infer: { (context) throws(GraphError) in
      let code = context.node.int("to", default: 0)
      guard let type = ElementType(rawValue: Int32(truncatingIfNeeded: code)),
        Int(type.rawValue) == code
      else {
        throw context.wrongAttribute(
          "to", code, expected: "the code of a number type, such as 1 (float32)")
      }
      return [ValueType(type, try context.type(0).shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let source = try context.tensor(0)
      let type = types[0].elementType
      if type == .bool {
        return [Tensor(source.numbers().map { $0 != 0 }, shape: source.shape)]
      }
      if type.isFloatingPoint {
        return [Tensor(rounding: source.numbers(), shape: source.shape, type)]
      }
      let integers =
        source.integers()
        ?? source.numbers().map { number in
          // What does not fit an integer has no defined result; it must not trap.
          number == number ? Int(min(max(number, -0x1p62), 0x1p62)) : 0
        }
      return [Tensor(truncating: integers, shape: source.shape, type)]
    })
}

extension NodeContext {
  /// Input `index`, which must hold 8-bit integers.
  fileprivate func integers(_ index: Int) throws(GraphError) -> ValueType {
    try type(index, in: [.uint8, .int8], expected: "uint8 or int8")
  }

  /// An optional zero point: a scalar, or one a channel of which there are `count`.
  fileprivate func zeroPoint(
    _ index: Int, of operand: Int, count: Dimension?
  ) throws(GraphError) {
    guard let zeroPoint = optionalType(index) else { return }
    let expected = try type(operand).elementType
    _ = try type(index, in: [expected], expected: "\(expected) as input \(operand) does")
    if zeroPoint.shape.isEmpty || zeroPoint.shape == [1] { return }
    guard let count else { throw wrongShape(index, expected: "a scalar") }
    try vector(index, count: count)
  }

  /// An operand less its zero point; of a vector of zero points each holds for `inner` elements.
  fileprivate func shifted(
    _ index: Int, zeroPoint: Int, inner: Int
  ) throws(GraphError) -> [Int] {
    let values = try tensor(index).integers() ?? []
    guard let points = optionalTensor(zeroPoint)?.integers(), !points.isEmpty else { return values }
    return values.enumerated().map { $1 - points[$0 / max(inner, 1) % points.count] }
  }
}
