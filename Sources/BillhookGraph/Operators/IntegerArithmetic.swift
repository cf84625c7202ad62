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
      let (a, b) = (try context.bytes(0).shape, try context.bytes(1).shape)
      let shape = try context.matrixProduct(0, 1)
      try context.checkZeroPoint(2, of: 0, count: a.count < 2 ? nil : a[a.count - 2])
      try context.checkZeroPoint(3, of: 1, count: b.last)
      return [ValueType(.int32, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (aShape, bShape) = (try context.sizes(0), try context.sizes(1))
      let a = try context.shifted(0, zeroPoint: 2, inner: aShape.last ?? 1)
      let b = try context.shifted(1, zeroPoint: 3, inner: 1)
      let sums = MatrixProduct(aShape, bShape).map(a, b, zero: 0) { $0 &+ $1 &* $2 }
      return [Tensor(truncating: sums, shape: types[0].sizes ?? [], .int32)]
    })

  /// MatMul of quantized matrices to a quantized one.
  static let qLinearMatMul = OperatorDefinition(
    "QLinearMatMul", inputs: 8...8,
    infer: { (context) throws(GraphError) in
      let (a, b) = (try context.bytes(0).shape, try context.bytes(3).shape)
      let shape = try context.matrixProduct(0, 3)
      let (rows, columns) = (a.count < 2 ? nil : a[a.count - 2], b.last)
      try context.checkScale(1, zeroPoint: 2, of: 0, count: rows)
      try context.checkScale(4, zeroPoint: 5, of: 3, count: columns)
      try context.checkScale(6, zeroPoint: 7, of: nil, count: nil)
      return [ValueType(try context.bytes(7).elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (aShape, bShape) = (try context.sizes(0), try context.sizes(3))
      let a = try context.shifted(0, zeroPoint: 2, inner: aShape.last ?? 1)
      let b = try context.shifted(3, zeroPoint: 5, inner: 1)
      let sums = MatrixProduct(aShape, bShape).map(a, b, zero: 0) { $0 &+ $1 &* $2 }
      let (left, right) = (try context.numbers(1), try context.numbers(4))
      let (rows, columns) = (aShape.dropLast().last ?? 1, bShape.last ?? 1)
      return [
        try context.requantized(sums, types[0], scale: 6, zeroPoint: 7) { index in
          left[index / columns % rows % left.count] * right[index % columns % right.count]
        }
      ]
    })

  /// Conv of 8-bit integers less their zero points, with 32-bit sums; padding counts as zero.
  static let convInteger = OperatorDefinition(
    "ConvInteger", inputs: 2...4, attributes: windowAttributes + [.int("group")],
    infer: { (context) throws(GraphError) in
      _ = try context.bytes(0)
      let weight = try context.bytes(1).shape
      let shape = try context.convolved(0, weight: 1, bias: nil)
      try context.checkZeroPoint(2, of: 0, count: nil)
      try context.checkZeroPoint(3, of: 1, count: weight[0])
      return [ValueType(.int32, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let weightShape = try context.sizes(1)
      let x = try context.shifted(0, zeroPoint: 2, inner: .max)
      let w = try context.shifted(1, zeroPoint: 3, inner: weightShape[1...].reduce(1, *))
      let shape = types[0].sizes ?? []
      let sums = try context.convolutionSums(x, try context.sizes(0), w, weightShape, shape)
      return [Tensor(truncating: sums, shape: shape, .int32)]
    })

  /// Conv of a quantized image with quantized weights to a quantized image; the bias is in units of
  /// both scales' product.
  static let qLinearConv = OperatorDefinition(
    "QLinearConv", inputs: 8...9, attributes: windowAttributes + [.int("group")],
    infer: { (context) throws(GraphError) in
      _ = try context.bytes(0)
      let weight = try context.bytes(3).shape
      let shape = try context.convolved(0, weight: 3, bias: 8)
      if context.optionalType(8) != nil {
        _ = try context.type(8, in: [.int32], expected: "int32")
      }
      try context.checkScale(1, zeroPoint: 2, of: 0, count: nil)
      try context.checkScale(4, zeroPoint: 5, of: 3, count: weight[0])
      try context.checkScale(6, zeroPoint: 7, of: nil, count: nil)
      return [ValueType(try context.bytes(7).elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let weightShape = try context.sizes(3)
      let x = try context.shifted(0, zeroPoint: 2, inner: .max)
      let w = try context.shifted(3, zeroPoint: 5, inner: weightShape[1...].reduce(1, *))
      let shape = types[0].sizes ?? []
      var sums = try context.convolutionSums(x, try context.sizes(0), w, weightShape, shape)
      let (outer, inner) = (try context.numbers(1)[0], try context.numbers(4))
      let area = shape[2...].reduce(1, *)
      if let bias = context.optionalTensor(8)?.integers() {
        for index in sums.indices { sums[index] &+= bias[index / area % shape[1]] }
      }
      return [
        try context.requantized(sums, types[0], scale: 6, zeroPoint: 7) { index in
          outer * inner[index / area % shape[1] % inner.count]
        }
      ]
    })
}

extension NodeContext {
  /// Input `index`, which must hold 8-bit integers.
  fileprivate func bytes(_ index: Int) throws(GraphError) -> ValueType {
    try type(index, in: [.uint8, .int8], expected: "uint8 or int8")
  }

  /// An optional zero point: a scalar, or one a channel of which there are `count`.
  fileprivate func checkZeroPoint(
    _ index: Int, of operand: Int, count: Dimension?
  ) throws(GraphError) {
    guard optionalType(index) != nil else { return }
    let expected = try type(operand).elementType
    _ = try type(index, in: [expected], expected: "\(expected) as input \(operand) does")
    try checkScalar(index, orCount: count)
  }

  /// A scale and the zero point of the same shape.
  fileprivate func checkScale(
    _ scale: Int, zeroPoint: Int, of operand: Int?, count: Dimension?
  ) throws(GraphError) {
    _ = try floatingPoint(scale)
    try checkScalar(scale, orCount: count)
    if let operand {
      try checkZeroPoint(zeroPoint, of: operand, count: count)
    } else {
      try checkScalar(zeroPoint, orCount: count)
    }
  }

  private func checkScalar(_ index: Int, orCount count: Dimension?) throws(GraphError) {
    let shape = try type(index).shape
    if shape.isEmpty || shape == [1] { return }
    guard let count else { throw wrongShape(index, expected: "a scalar") }
    if shape.count == 2, shape[1] == 1, !shape[0].contradicts(count) { return }
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

  /// The exact sums of a convolution of integers.
  fileprivate func convolutionSums(
    _ x: [Int], _ inShape: [Int], _ w: [Int], _ weightShape: [Int], _ shape: [Int]
  ) throws(GraphError) -> [Int] {
    let window = try Window(node, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
    let taps = try WindowTaps(window, self)
    let outPerGroup = weightShape[0] / node.int("group", default: 1)
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
    return sums
  }

  /// Sums as 8-bit integers: `saturate(round(sum · factor / scale) + zero point)`.
  fileprivate func requantized(
    _ sums: [Int], _ type: ValueType, scale: Int, zeroPoint: Int, factor: (Int) -> Double
  ) throws(GraphError) -> Tensor {
    guard let scale = try numbers(scale).first, let zero = try integers(zeroPoint).first else {
      throw wrongShape(scale, expected: "one element")
    }
    let limits = type.elementType.integerRange
    let q = sums.enumerated().map { index, sum in
      let rounded = (Double(sum) * factor(index) / scale).rounded(.toNearestOrEven)
      guard rounded == rounded else { return zero }
      let near = Int(min(max(rounded, -0x1p31), 0x1p31)) + zero
      return min(max(near, limits.lowerBound), limits.upperBound)
    }
    return Tensor(truncating: q, shape: type.sizes ?? [], type.elementType)
  }
}
