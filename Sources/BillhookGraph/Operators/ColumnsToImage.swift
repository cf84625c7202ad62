internal import BillhookTensor

extension OperatorDefinition {
  /// Adds up columns of blocks, `[N, C · block, blocks]`, where each block of the image lies.
  static let col2Im = OperatorDefinition(
    "Col2Im", inputs: 3...3, attributes: [.ints("dilations"), .ints("pads"), .ints("strides")],
    infer: { (context) throws(GraphError) in
      let input = try context.numeric(0)
      guard input.shape.count == 3 else { throw context.wrongShape(0, expected: "three axes") }
      let (image, window) = try context.blocks()
      let (area, count) = (window.kernel.reduce(1, *), window.output.reduce(1, *))
      guard !input.shape[2].contradicts(.fixed(count)),
        let channels = DimensionProduct([input.shape[1]]).divided(
          by: DimensionProduct([.fixed(area)]))
      else { throw context.wrongShape(0, expected: "[N, C · \(area), \(count)]") }
      return [ValueType(input.elementType, [input.shape[0], channels] + image.map { .fixed($0) })]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, sizes) = (try context.numbers(0), try context.sizes(0))
      let (image, window) = try context.blocks()
      let taps = try WindowTaps(window, context)
      let (kernelArea, area) = (window.kernel.reduce(1, *), image.reduce(1, *))
      let shape = types[0].sizes ?? []
      var y = [Double](repeating: 0, count: shape.reduce(1, *))
      for map in 0..<shape[0] * shape[1] {
        for (block, place) in taps.places.enumerated() {
          for tap in place.taps {
            y[map * area + tap.input] += x[(map * kernelArea + tap.kernel) * sizes[2] + block]
          }
        }
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })
}

extension NodeContext {
  func blocks() throws(GraphError) -> (image: [Int], window: Window) {
    let (image, block) = (try integers(1), try integers(2))
    guard image.count == block.count, image.allSatisfy({ (1...Window.largest).contains($0) }) else {
      throw wrongShape(1, expected: "as many sizes of 1 or more as the block has")
    }
    return (image, try Window(node, kernel: block, input: image))
  }
}
