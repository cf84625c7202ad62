internal import BillhookTensor

extension GradientRule {
  /// Fourier transforms, and rotations by position.
  static let signalFamily: [String: GradientRule] = [
    "DFT": dft, "STFT": stft, "RotaryEmbedding": rotaryEmbedding,
  ]

  private static let dft = GradientRule { (context) throws(GraphError) in
    let sizes = try context.shape(0)
    let (axis, length) = try context.forward.transform(
      ValueType(of: try context.forward.tensor(0)))
    let (shape, dy) = (context.outputShape, context.dy())
    let isInverse = try context.forward.flag("inverse")
    let transform = FourierTransform(length ?? 0, isInverse: isInverse)
    let parts = sizes[sizes.count - 1]
    let source = Lines(Array(sizes.dropLast()), axis: axis)
    let target = Lines(Array(shape.dropLast()), axis: axis)
    let outParts = shape[shape.count - 1]
    let isMirrored = isInverse && outParts == 1
    let count = min(source.count, transform.length)
    var dx = [Double](repeating: 0, count: sizes.reduce(1, *))
    for (from, to) in zip(source.starts, target.starts) {
      var line = [Complex](
        repeating: Complex(0, 0), count: isMirrored ? transform.length : count)
      for bin in 0..<target.count {
        let place = (to + bin * target.stride) * outParts
        transform.addGradients(
          bin, Complex(dy[place], outParts == 2 ? dy[place + 1] : 0), to: &line)
      }
      // What was the mirror image of another element.
      for step in count..<max(line.count, count) where transform.length - step < count {
        line[transform.length - step].real += line[step].real
        line[transform.length - step].imaginary -= line[step].imaginary
      }
      for step in 0..<count {
        let place = (from + step * source.stride) * parts
        dx[place] = line[step].real
        if parts == 2 { dx[place + 1] = line[step].imaginary }
      }
    }
    return [dx]
  }

  private static let stft = GradientRule { (context) throws(GraphError) in
    let (x, sizes) = (try context.x(0), try context.shape(0))
    let (step, length) = try context.forward.frames()
    let window = context.forward.optionalTensor(2)?.numbers()
    let parts = sizes.count == 3 ? sizes[2] : 1
    let (shape, dy) = (context.outputShape, context.dy())
    let transform = FourierTransform(length, isInverse: false)
    var dx = [Double](repeating: 0, count: x.count)
    var dWindow = [Double](repeating: 0, count: length)
    for n in 0..<shape[0] {
      for frame in 0..<shape[1] {
        var line = [Complex](repeating: Complex(0, 0), count: length)
        for bin in 0..<shape[2] {
          let place = ((n * shape[1] + frame) * shape[2] + bin) * 2
          transform.addGradients(bin, Complex(dy[place], dy[place + 1]), to: &line)
        }
        for (index, gradient) in line.enumerated() {
          let place = (n * sizes[1] + frame * step + index) * parts
          let weight = window?[index] ?? 1
          dx[place] += gradient.real * weight
          dWindow[index] += gradient.real * x[place]
          if parts == 2 {
            dx[place + 1] += gradient.imaginary * weight
            dWindow[index] += gradient.imaginary * x[place + 1]
          }
        }
      }
    }
    return [dx, nil, window == nil ? nil : dWindow]
  }

  /// Turned back by the same angles.
  private static let rotaryEmbedding = GradientRule { (context) throws(GraphError) in
    let (x, dy) = (try context.x(0), context.dy())
    let layout = try RotaryLayout(context.forward, try context.shape(0))
    let (cosines, sines) = (try context.x(1), try context.x(2))
    let positions = context.forward.optionalTensor(3)?.integers()
    let half = layout.rotated / 2
    let isInterleaved = try context.forward.flag("interleaved")
    var dx = dy
    var dCosines = [Double](repeating: 0, count: cosines.count)
    var dSines = dCosines
    for n in 0..<layout.batch {
      for step in 0..<layout.steps {
        let row = n * layout.steps + step
        let angles = (positions?[row] ?? row) * half
        for head in 0..<layout.heads {
          let start = layout.start(n, head, step)
          for k in 0..<half {
            let first = start + (isInterleaved ? 2 * k : k)
            let second = isInterleaved ? first + 1 : first + half
            let (cosine, sine) = (cosines[angles + k], sines[angles + k])
            dx[first] = cosine * dy[first] + sine * dy[second]
            dx[second] = cosine * dy[second] - sine * dy[first]
            dCosines[angles + k] += dy[first] * x[first] + dy[second] * x[second]
            dSines[angles + k] += dy[second] * x[first] - dy[first] * x[second]
          }
        }
      }
    }
    return [dx, dCosines, dSines]
  }
}
