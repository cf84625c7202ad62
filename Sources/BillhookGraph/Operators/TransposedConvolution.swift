internal import BillhookTensor

extension OperatorDefinition {
  /// The gradient of Conv as an operator: each input element adds the kernel, times itself, to the
  /// output. The weight is `[C, M/group, K…]`.
  static let convTranspose = OperatorDefinition(
    "ConvTranspose", inputs: 2...3,
    attributes: windowAttributes + [.int("group"), .ints("output_padding"), .ints("output_shape")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let weight = try context.sameElements(1)
      guard (3...5).contains(input.shape.count) else {
        throw context.wrongShape(0, expected: "[N, C, D…] with one to three spatial axes")
      }
      guard weight.shape.count == input.shape.count, let sizes = weight.sizes else {
        throw context.wrongShape(
          1, expected: "fixed sizes [C, M/group, K…] with \(input.shape.count) axes")
      }
      let group = context.node.int("group", default: 1)
      guard group >= 1, sizes[0] % group == 0, !input.shape[1].contradicts(.fixed(sizes[0])) else {
        throw context.incompatible(0, 1, expected: "\(sizes[0]) input channels in \(group) groups")
      }
      let outputs = try context.product(sizes[1], group)
      if context.optionalType(2) != nil {
        _ = try context.sameElements(2)
        try context.vector(2, count: .fixed(outputs))
      }
      guard let spatial = ValueType(input.elementType, Array(input.shape[2...])).sizes else {
        let unknown = [Dimension](repeating: .symbolic(""), count: sizes.count - 2)
        return [ValueType(input.elementType, [input.shape[0], .fixed(outputs)] + unknown)]
      }
      let window = try TransposedWindow(context, kernel: Array(sizes[2...]), input: spatial)
      return [
        ValueType(
          input.elementType, [input.shape[0], .fixed(outputs)] + window.output.map { .fixed($0) })
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, w) = (try context.numbers(0), try context.numbers(1))
      let (inShape, weightShape) = (try context.sizes(0), try context.sizes(1))
      let bias = context.optionalTensor(2)?.numbers()
      let shape = types[0].sizes ?? []
      let window = try TransposedWindow(
        context, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
      let taps = try window.taps(context)
      let group = context.node.int("group", default: 1)
      let (inArea, outArea) = (inShape[2...].reduce(1, *), shape[2...].reduce(1, *))
      let kernelArea = weightShape[2...].reduce(1, *)
      let perGroup = weightShape[1]
      var y = (0..<shape.reduce(1, *)).map { bias?[$0 / max(outArea, 1) % shape[1]] ?? 0 }
      for n in 0..<inShape[0] {
        for c in 0..<inShape[1] {
          for m in 0..<perGroup {
            let channel = c / (inShape[1] / group) * perGroup + m
            let image = (n * shape[1] + channel) * outArea
            let filter = (c * perGroup + m) * kernelArea
            for tap in taps {
              y[image + tap.output] +=
                x[(n * inShape[1] + c) * inArea + tap.input] * w[filter + tap.kernel]
            }
          }
        }
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })
}

/// How the kernel of a ConvTranspose moves over the output.
struct TransposedWindow {
  let attributes: WindowAttributes
  let input: [Int]
  var output: [Int] = []
  var padsBegin: [Int] = []

  init(_ context: NodeContext, kernel: [Int], input: [Int]) throws(GraphError) {
    attributes = try WindowAttributes(context.node, kernel: kernel)
    self.input = input
    let extra = context.node.ints("output_padding") ?? kernel.map { _ in 0 }
    var stated = context.node.ints("output_shape")
    // Some exporters state the batch and the channels too.
    if let all = stated, all.count == kernel.count + 2 { stated = Array(all.dropFirst(2)) }
    guard extra.count == kernel.count, extra.allSatisfy({ (0...Window.largest).contains($0) })
    else {
      throw context.wrongAttribute("output_padding", extra, expected: "\(kernel.count) sizes")
    }
    if let stated, stated.count != kernel.count || !stated.allSatisfy({ $0 >= 0 }) {
      throw context.wrongAttribute("output_shape", stated, expected: "\(kernel.count) sizes")
    }
    for axis in kernel.indices {
      let stride = attributes.strides[axis]
      let reach = try context.product(input[axis] - 1, stride)
      let full = try context.sum(reach, attributes.extent(axis) + extra[axis])
      var begin = attributes.padsBegin[axis]
      var size = full - begin - attributes.padsEnd[axis]
      if let wanted = stated?[axis] ?? (attributes.isSame ? input[axis] * stride : nil) {
        let padding = max(full - wanted, 0)
        // The odd element goes behind with SAME_UPPER, before otherwise.
        let isUpper = attributes.isSame && !attributes.isLower
        begin = isUpper ? padding / 2 : padding - padding / 2
        size = wanted
      }
      guard size >= 0 else {
        throw context.wrongShape(0, expected: "less padding on axis \(axis + 2)")
      }
      output.append(size)
      padsBegin.append(begin)
    }
  }

  /// Which input element meets which element of the kernel for which output element.
  func taps(
    _ context: NodeContext
  ) throws(GraphError) -> [(input: Int, kernel: Int, output: Int)] {
    let count = Tensor.elementCount(of: input + attributes.kernel, elementType: .uint8) ?? .max
    guard count <= WindowTaps.maximumCount else {
      throw .valueTooLarge(
        value: context.node.outputs.first ?? "", shape: input + attributes.kernel,
        maximumByteCount: WindowTaps.maximumCount)
    }
    var result: [(input: Int, kernel: Int, output: Int)] = []
    let offsets = multiIndices(attributes.kernel)
    for (from, place) in multiIndices(input).enumerated() {
      for (tap, offset) in offsets.enumerated() {
        var flat: Int? = 0
        for axis in place.indices {
          let position =
            place[axis] * attributes.strides[axis] + offset[axis] * attributes.dilations[axis]
            - padsBegin[axis]
          flat =
            (0..<output[axis]).contains(position) ? flat.map { $0 * output[axis] + position } : nil
        }
        if let flat { result.append((from, tap, flat)) }
      }
    }
    return result
  }
}
