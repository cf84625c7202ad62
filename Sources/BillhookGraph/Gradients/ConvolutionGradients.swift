internal import BillhookTensor

extension GradientRule {
  /// Convolutions and what inverts them.
  static let convolutionFamily: [String: GradientRule] = [
    "Conv": conv, "ConvTranspose": convTranspose, "Col2Im": columnsToImage,
  ]

  private static let conv = GradientRule { (context) throws(GraphError) in
    let (x, w, dy) = (try context.x(0), try context.x(1), context.dy())
    let (inShape, weightShape) = (try context.shape(0), try context.shape(1))
    let outShape = context.outputShape
    let window = try Window(
      context.node, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
    let outPerGroup = weightShape[0] / context.node.int("group", default: 1)
    let taps = try WindowTaps(window, context.forward)
    let (inArea, outArea) = (window.input.reduce(1, *), taps.places.count)
    let kernelArea = window.kernel.reduce(1, *)
    var dx = [Double](repeating: 0, count: x.count)
    var dw = [Double](repeating: 0, count: w.count)
    for n in 0..<outShape[0] {
      for m in 0..<weightShape[0] {
        let firstChannel = m / outPerGroup * weightShape[1]
        let result = (n * outShape[1] + m) * outArea
        for c in 0..<weightShape[1] {
          let image = (n * inShape[1] + firstChannel + c) * inArea
          let filter = (m * weightShape[1] + c) * kernelArea
          for (index, place) in taps.places.enumerated() {
            let gradient = dy[result + index]
            for tap in place.taps {
              dx[image + tap.input] += gradient * w[filter + tap.kernel]
              dw[filter + tap.kernel] += gradient * x[image + tap.input]
            }
          }
        }
      }
    }
    return [dx, dw, context.channelSums(dy)]
  }

  private static let convTranspose = GradientRule { (context) throws(GraphError) in
    let (x, w, dy) = (try context.x(0), try context.x(1), context.dy())
    let (inShape, weightShape) = (try context.shape(0), try context.shape(1))
    let shape = context.outputShape
    let window = try TransposedWindow(
      context.forward, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
    let taps = try window.taps(context.forward)
    let group = context.node.int("group", default: 1)
    let (inArea, outArea) = (inShape[2...].reduce(1, *), shape[2...].reduce(1, *))
    let kernelArea = weightShape[2...].reduce(1, *)
    var dx = [Double](repeating: 0, count: x.count)
    var dw = [Double](repeating: 0, count: w.count)
    for n in 0..<inShape[0] {
      for c in 0..<inShape[1] {
        for m in 0..<weightShape[1] {
          let channel = c / (inShape[1] / group) * weightShape[1] + m
          let image = (n * shape[1] + channel) * outArea
          let filter = (c * weightShape[1] + m) * kernelArea
          let source = (n * inShape[1] + c) * inArea
          for tap in taps {
            let gradient = dy[image + tap.output]
            dx[source + tap.input] += gradient * w[filter + tap.kernel]
            dw[filter + tap.kernel] += gradient * x[source + tap.input]
          }
        }
      }
    }
    return [dx, dw, context.channelSums(dy)]
  }

  private static let columnsToImage = GradientRule { (context) throws(GraphError) in
    let (sizes, shape) = (try context.shape(0), context.outputShape)
    let (image, window) = try context.forward.blocks()
    let taps = try WindowTaps(window, context.forward)
    let (kernelArea, area) = (window.kernel.reduce(1, *), image.reduce(1, *))
    let dy = context.dy()
    var dx = [Double](repeating: 0, count: sizes.reduce(1, *))
    for map in 0..<shape[0] * shape[1] {
      for (block, place) in taps.places.enumerated() {
        for tap in place.taps {
          dx[(map * kernelArea + tap.kernel) * sizes[2] + block] = dy[map * area + tap.input]
        }
      }
    }
    return [dx]
  }
}

extension GradientContext {
  /// The gradient of a bias, one number a channel of axis 1; nil without one.
  func channelSums(_ dy: [Double], bias: Int = 2) -> [Double]? {
    guard forward.optionalTensor(bias) != nil else { return nil }
    let shape = outputShape
    let area = shape[2...].reduce(1, *)
    var sums = [Double](repeating: 0, count: shape[1])
    for (place, gradient) in dy.enumerated() { sums[place / max(area, 1) % shape[1]] += gradient }
    return sums
  }
}
