internal import BillhookTensor

let windowAttributes: [AttributeDefinition] = [
  .string("auto_pad"), .ints("dilations"),
  .ints("kernel_shape"), .ints("pads"),
  .ints("strides"),
]

extension OperatorDefinition {
  /// Convolutions and what inverts them.
  static let convolutionFamily: [OperatorDefinition] = [
    conv, convTranspose, convInteger, qLinearConv, col2Im, deformConv,
  ]

  /// Convolution of `[N, C, D…]` with a weight `[M, C/group, K…]`, one to three spatial axes.
  private static let conv = OperatorDefinition(
    "Conv", inputs: 2...3, attributes: windowAttributes + [.int("group")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      _ = try context.sameElements(1)
      if context.optionalType(2) != nil { _ = try context.sameElements(2) }
      return [ValueType(input.elementType, try context.convolved(0, weight: 1, bias: 2))]
    },
    evaluate: evaluateConv)
}

extension NodeContext {
  /// The shape that a convolution of two inputs makes, after all were checked.
  ///
  /// - Parameter bias: An input that may be left out: one element an output channel.
  func convolved(_ input: Int, weight: Int, bias: Int?) throws(GraphError) -> [Dimension] {
    let image = try type(input).shape
    let filter = try type(weight)
    guard (3...5).contains(image.count) else {
      throw wrongShape(input, expected: "[N, C, D…] with one to three spatial axes")
    }
    guard filter.shape.count == image.count, let sizes = filter.sizes else {
      throw wrongShape(weight, expected: "fixed sizes [M, C/group, K…] with \(image.count) axes")
    }
    let group = node.int("group", default: 1)
    guard group >= 1, group <= max(sizes[0], 1), sizes[0] % group == 0 else {
      throw wrongAttribute(
        "group", group, expected: "a divisor of the \(sizes[0]) output channels")
    }
    let (channels, overflow) = sizes[1].multipliedReportingOverflow(by: group)
    guard !overflow, !image[1].contradicts(.fixed(channels)) else {
      throw incompatible(
        input, weight, expected: "\(sizes[1]) × \(group) (weight axis 1 × group) input channels")
    }
    if let bias, optionalType(bias) != nil { try vector(bias, count: .fixed(sizes[0])) }
    let window = try WindowAttributes(node, kernel: Array(sizes[2...]))
    let spatial = try window.output(node, input: Array(image[2...]))
    return [image[0], .fixed(sizes[0])] + spatial
  }
}

@Sendable private func evaluateConv(
  _ context: NodeContext, _ types: [ValueType]
) throws(GraphError) -> [Tensor] {
  let x = try context.numbers(0)
  let w = try context.numbers(1)
  let bias = context.optionalTensor(2)?.numbers()
  let inShape = try context.tensor(0).shape
  let weightShape = try context.tensor(1).shape
  let outShape = types[0].sizes ?? []
  let window = try Window(
    context.node, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
  let group = context.node.int("group", default: 1)
  let outPerGroup = weightShape[0] / group
  let taps = try WindowTaps(window, context)
  let inArea = window.input.reduce(1, *)
  let kernelArea = window.kernel.reduce(1, *)
  var y: [Double] = []
  y.reserveCapacity(outShape.reduce(1, *))
  for n in 0..<outShape[0] {
    for m in 0..<weightShape[0] {
      let firstChannel = m / outPerGroup * weightShape[1]
      for place in taps.places {
        var sum = bias?[m] ?? 0
        for c in 0..<weightShape[1] {
          let image = (n * inShape[1] + firstChannel + c) * inArea
          let filter = (m * weightShape[1] + c) * kernelArea
          for tap in place.taps { sum += x[image + tap.input] * w[filter + tap.kernel] }
        }
        y.append(sum)
      }
    }
  }
  return [Tensor(rounding: y, shape: outShape, types[0].elementType)]
}

/// Which input elements each output element of one channel sees: flat indices into the spatial
/// axes, padding left out.
struct WindowTaps {
  struct Place {
    var taps: [(input: Int, kernel: Int)]
    /// Taps in the input and its stated padding; a window that rounding up pushes over the edge of
    /// the padding has fewer than the kernel.
    var paddedCount: Int
  }
  var places: [Place]

  /// More taps than this are refused: a hostile file can ask for a kernel of any size.
  static let maximumCount = 1 << 27

  init(_ window: Window, _ context: NodeContext) throws(GraphError) {
    let sizes = window.output + window.kernel
    let count = Tensor.elementCount(of: sizes, elementType: .uint8) ?? .max
    guard count <= Self.maximumCount else {
      throw .valueTooLarge(
        value: context.node.outputs.first ?? "", shape: sizes,
        maximumByteCount: Self.maximumCount)
    }
    places = multiIndices(window.output).map { place in
      var taps: [(input: Int, kernel: Int)] = []
      var paddedCount = 0
      for (kernelIndex, offset) in multiIndices(window.kernel).enumerated() {
        var flat = 0
        var isInside = true
        var isPadded = true
        for axis in place.indices {
          let position =
            place[axis] * window.strides[axis] + offset[axis] * window.dilations[axis]
            - window.padsBegin[axis]
          isInside = isInside && position >= 0 && position < window.input[axis]
          isPadded = isPadded && position < window.input[axis] + window.padsEnd[axis]
          flat = flat * window.input[axis] + position
        }
        if isInside { taps.append((flat, kernelIndex)) }
        if isPadded { paddedCount += 1 }
      }
      return Place(taps: taps, paddedCount: paddedCount)
    }
  }
}

/// All index vectors of a shape in row-major order.
func multiIndices(_ shape: [Int]) -> [[Int]] {
  var result: [[Int]] = [[]]
  for size in shape { result = result.flatMap { head in (0..<size).map { head + [$0] } } }
  return result
}
