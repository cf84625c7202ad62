internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Fourier transforms.
  static let signalFamily: [OperatorDefinition] = [dft, stft]

  /// The discrete Fourier transform of lines along an axis; the last axis holds real and imaginary
  /// parts.
  private static let dft = OperatorDefinition(
    "DFT", inputs: 1...3, attributes: [.int("axis"), .int("inverse"), .int("onesided")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let (axis, length) = try context.transform(input)
      var shape = input.shape
      shape[shape.count - 1] = 2
      shape[axis] = length.map { .fixed($0) } ?? .symbolic("")
      if try context.flag("onesided") {
        let isInverse = try context.flag("inverse")
        shape[axis] = length.map { .fixed(isInverse ? $0 : $0 / 2 + 1) } ?? .symbolic("")
        if isInverse { shape[shape.count - 1] = 1 }
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, sizes) = (try context.numbers(0), try context.sizes(0))
      let (axis, length) = try context.transform(ValueType(of: try context.tensor(0)))
      let shape = types[0].sizes ?? []
      let isInverse = try context.flag("inverse")
      let transform = FourierTransform(length ?? 0, isInverse: isInverse)
      let parts = sizes[sizes.count - 1]
      // Without the axis of parts.
      let source = Lines(Array(sizes.dropLast()), axis: axis)
      let target = Lines(Array(shape.dropLast()), axis: axis)
      let outParts = shape[shape.count - 1]
      var y = [Double](repeating: 0, count: shape.reduce(1, *))
      for (from, to) in zip(source.starts, target.starts) {
        var line = (0..<min(source.count, transform.length)).map { step in
          let place = (from + step * source.stride) * parts
          return Complex(x[place], parts == 2 ? x[place + 1] : 0)
        }
        if isInverse, outParts == 1 {
          // Half of a spectrum stands for all of it: the other half is its mirror image.
          line = (0..<transform.length).map { step in
            let mirrored = transform.length - step
            if step < line.count { return line[step] }
            return mirrored < line.count
              ? Complex(line[mirrored].real, -line[mirrored].imaginary) : Complex(0, 0)
          }
        }
        for bin in 0..<target.count {
          let value = transform.bin(bin, line)
          let place = (to + bin * target.stride) * outParts
          y[place] = value.real
          if outParts == 2 { y[place + 1] = value.imaginary }
        }
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })

  /// Fourier transforms of frames of a signal, each under a window.
  private static let stft = OperatorDefinition(
    "STFT", inputs: 2...4, attributes: [.int("onesided")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      guard (2...3).contains(input.shape.count) else {
        throw context.wrongShape(0, expected: "[batch, length, 1 or 2]")
      }
      let (step, length) = try context.frames()
      guard let size = input.shape[1].size else {
        return [
          ValueType(
            input.elementType, [input.shape[0], .symbolic(""), .fixed(context.binCount(length)), 2])
        ]
      }
      guard size >= length else {
        throw context.wrongShape(0, expected: "at least \(length) samples")
      }
      return [
        ValueType(
          input.elementType,
          [input.shape[0], .fixed((size - length) / step + 1), .fixed(context.binCount(length)), 2])
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, sizes) = (try context.numbers(0), try context.sizes(0))
      let (step, length) = try context.frames()
      let window = context.optionalTensor(2)?.numbers()
      let parts = sizes.count == 3 ? sizes[2] : 1
      let shape = types[0].sizes ?? []
      let transform = FourierTransform(length, isInverse: false)
      var y: [Double] = []
      y.reserveCapacity(shape.reduce(1, *))
      for n in 0..<shape[0] {
        for frame in 0..<shape[1] {
          let line = (0..<length).map { index in
            let place = (n * sizes[1] + frame * step + index) * parts
            let weight = window?[index] ?? 1
            return Complex(x[place] * weight, parts == 2 ? x[place + 1] * weight : 0)
          }
          for bin in 0..<shape[2] {
            let value = transform.bin(bin, line)
            y += [value.real, value.imaginary]
          }
        }
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })
}

struct Complex {
  var real: Double
  var imaginary: Double

  init(_ real: Double, _ imaginary: Double) {
    self.real = real
    self.imaginary = imaginary
  }
}

/// A Fourier transform by its definition.
struct FourierTransform {
  let length: Int
  private let roots: [Complex]
  private let factor: Double

  init(_ length: Int, isInverse: Bool) {
    self.length = length
    roots = (0..<length).map { step in
      let angle = (isInverse ? 2 : -2) * Double.pi * Double(step) / Double(length)
      return Complex(cos(angle), sin(angle))
    }
    factor = isInverse ? 1 / Double(max(length, 1)) : 1
  }

  /// One element of the result; a line shorter than the transform goes on with zeros.
  func bin(_ bin: Int, _ line: [Complex]) -> Complex {
    var sum = Complex(0, 0)
    for (step, value) in line.enumerated() {
      let root = roots[bin * step % length]
      sum.real += value.real * root.real - value.imaginary * root.imaginary
      sum.imaginary += value.real * root.imaginary + value.imaginary * root.real
    }
    return Complex(sum.real * factor, sum.imaginary * factor)
  }

  /// Adds the gradients of a line's elements, from that of one element of the result.
  func addGradients(_ bin: Int, _ gradient: Complex, to line: inout [Complex]) {
    for step in line.indices {
      let root = roots[bin * step % length]
      line[step].real += factor * (gradient.real * root.real + gradient.imaginary * root.imaginary)
      line[step].imaginary +=
        factor * (gradient.imaginary * root.real - gradient.real * root.imaginary)
    }
  }
}

extension NodeContext {
  /// The axis of a DFT, an input from operator set 20 on, and the length of the transform.
  func transform(_ input: ValueType) throws(GraphError) -> (axis: Int, length: Int?) {
    let rank = input.shape.count
    guard rank >= 2, let parts = input.shape[rank - 1].size, parts == 1 || parts == 2 else {
      throw wrongShape(0, expected: "1 or 2 parts of each number on the last axis")
    }
    let stated =
      try optionalInteger(2) ?? node.int("axis", default: opset < 20 ? 1 : -2)
    let axis = try axis(stated, rank: rank, of: "axis")
    guard axis < rank - 1 else {
      throw wrongAttribute("axis", stated, expected: "not the last axis")
    }
    var length = input.shape[axis].size
    if try flag("inverse"), try flag("onesided") { length = length.map { max(2 * ($0 - 1), 0) } }
    if let wanted = try optionalInteger(1) { length = wanted }
    guard (0..<1 << 30).contains(length ?? 0) else {
      throw wrongShape(1, expected: "a length in 0..<\(1 << 30)")
    }
    return (axis, length)
  }

  /// The distance and the length of the frames of an STFT.
  func frames() throws(GraphError) -> (step: Int, length: Int) {
    guard let step = try optionalInteger(1), step >= 1 else {
      throw wrongShape(1, expected: "one step of 1 or more")
    }
    let window = optionalType(2)?.shape.first?.size
    guard let length = try optionalInteger(3) ?? window, (1..<1 << 30).contains(length),
      window ?? length == length
    else { throw wrongShape(3, expected: "a frame length of 1 or more, that of the window") }
    return (step, length)
  }

  fileprivate func binCount(_ length: Int) -> Int {
    node.int("onesided", default: 1) != 0 ? length / 2 + 1 : length
  }
}
