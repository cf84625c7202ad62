import BillhookKernels
import Foundation
import Testing

/// A convolution of two spatial axes, on its own in a plan.
struct ConvolutionCase: CustomStringConvertible, Sendable {
  var batch = 2
  var inputs: Int
  var outputs: Int
  var size: (Int, Int)
  var begin = (1, 1)
  var end = (1, 1)
  var kernel = 3
  var stride: Int64 = 1
  var dilation: Int64 = 1
  var groups = 1
  /// The name under which the layer runs.
  var operation = "ConvWinograd"

  var description: String {
    "\(batch)x\(inputs)x\(size.0)x\(size.1) to \(outputs), \(begin) \(end) \(groups)"
  }

  private func out(_ size: Int, _ pads: Int) -> Int {
    (size + pads - (kernel - 1) * Int(dilation) - 1) / Int(stride) + 1
  }
  var outSize: (Int, Int) { (out(size.0, begin.0 + end.0), out(size.1, begin.1 + end.1)) }
  var xShape: [Int64] { [batch, inputs, size.0, size.1].map(Int64.init) }
  var wShape: [Int64] { [outputs, inputs / groups, kernel, kernel].map(Int64.init) }
  var yShape: [Int64] { [batch, outputs, outSize.0, outSize.1].map(Int64.init) }

  var window: bh_window {
    var window = bh_window()
    window.spatial_axes = 2
    window.stride = (stride, stride, 1)
    window.dilation = (dilation, dilation, 1)
    window.pad_begin = (Int64(begin.0), Int64(begin.1), 0)
    window.pad_end = (Int64(end.0), Int64(end.1), 0)
    window.groups = Int64(groups)
    return window
  }

  /// Calls `body` with the indices into x, w and y of every product of the definition.
  func forEachProduct(_ body: (_ x: Int, _ w: Int, _ y: Int) -> Void) {
    let (rows, columns) = outSize
    let (deep, wide) = (inputs / groups, outputs / groups)
    for n in 0..<batch {
      for o in 0..<outputs {
        for row in 0..<rows {
          for column in 0..<columns {
            let y = ((n * outputs + o) * rows + row) * columns + column
            for c in 0..<deep {
              let channel = n * inputs + o / wide * deep + c
              for i in 0..<kernel {
                let inRow = row * Int(stride) + i * Int(dilation) - begin.0
                guard (0..<size.0).contains(inRow) else { continue }
                for j in 0..<kernel {
                  let inColumn = column * Int(stride) + j * Int(dilation) - begin.1
                  guard (0..<size.1).contains(inColumn) else { continue }
                  body(
                    (channel * size.0 + inRow) * size.1 + inColumn,
                    ((o * deep + c) * kernel + i) * kernel + j, y)
                }
              }
            }
          }
        }
      }
    }
  }
}

/// What a plan of one convolution and its gradient by the input computes.
struct ConvolutionRun {
  var y: [Float]
  var dx: [Float]
  var operations: [String]

  /// - Parameter trained: The weights are a parameter, packed in every run, instead of a constant.
  init(
    _ subject: ConvolutionCase, x: [Float], w: [Float], bias: [Float], residual: [Float]?,
    activation: bh_activation, dy: [Float], trained: Bool = false
  ) {
    let plan = bh_plan_new()!
    defer { bh_plan_free(plan) }
    let input = bh_plan_input(plan, BH_TYPE_F32, 4, subject.xShape)
    let weight =
      trained
      ? bh_plan_parameter(plan, 4, subject.wShape, w)
      : bh_plan_constant(plan, BH_TYPE_F32, 4, subject.wShape, w)
    let offset = bh_plan_constant(plan, BH_TYPE_F32, 1, [Int64(subject.outputs)], bias)
    let other = residual.map { bh_plan_constant(plan, BH_TYPE_F32, 4, subject.yShape, $0) }
    let gradient = bh_plan_constant(plan, BH_TYPE_F32, 4, subject.yShape, dy)
    var window = subject.window
    let output = bh_plan_conv(
      plan, input, weight, offset, &window, other ?? BH_PLAN_NONE, [activation], 1)
    let back = bh_plan_conv_backward_data(plan, gradient, weight, input, &window)
    y = [Float](repeating: .nan, count: dy.count)
    dx = [Float](repeating: .nan, count: x.count)
    operations = (0..<bh_plan_position(plan)).map { String(cString: bh_plan_describe(plan, $0)) }
    for value in [output, back] { _ = bh_plan_keep(plan, value) }
    guard output >= 0, back >= 0, bh_plan_finish(plan) == 0 else { return }
    x.withUnsafeBufferPointer {
      _ = bh_plan_bind(plan, input, $0.baseAddress)
      // Twice: the second run must see nothing of the first.
      for _ in 0..<2 { _ = bh_plan_run(plan, 0, bh_plan_position(plan)) }
    }
    _ = bh_plan_read(plan, output, &y)
    _ = bh_plan_read(plan, back, &dx)
  }
}

@Suite struct ConvolutionTests {
  static let none = bh_activation(kind: BH_ACTIVATION_NONE, alpha: 0, beta: 0)

  /// Channels on both sides of blocks and vectors; sizes on both sides of tiles of 4 and of 2;
  /// every padding that a window of 3 can have.
  static let cases: [ConvolutionCase] = [
    .init(inputs: 8, outputs: 8, size: (8, 8)),
    .init(inputs: 16, outputs: 16, size: (9, 7)),
    .init(inputs: 13, outputs: 21, size: (11, 14)),
    .init(inputs: 24, outputs: 40, size: (6, 6), begin: (0, 0), end: (0, 0)),
    .init(inputs: 17, outputs: 33, size: (10, 5), begin: (2, 0), end: (0, 2)),
    .init(inputs: 32, outputs: 16, size: (12, 13), begin: (2, 2), end: (2, 2)),
    .init(batch: 1, inputs: 64, outputs: 64, size: (7, 7)),
    .init(batch: 5, inputs: 64, outputs: 48, size: (2, 2)),
    .init(batch: 40, inputs: 16, outputs: 16, size: (13, 13)),
    .init(batch: 1, inputs: 130, outputs: 9, size: (14, 3)),
    .init(inputs: 3, outputs: 16, size: (9, 9), operation: "Conv"),
    .init(inputs: 16, outputs: 4, size: (9, 9), operation: "Conv"),
    .init(inputs: 16, outputs: 16, size: (9, 9), groups: 2, operation: "Conv"),
    .init(inputs: 16, outputs: 16, size: (9, 9), stride: 2, operation: "Conv"),
    .init(inputs: 16, outputs: 16, size: (9, 9), dilation: 2, operation: "Conv"),
    .init(
      inputs: 16, outputs: 16, size: (9, 9), begin: (0, 0), end: (0, 0), kernel: 1,
      operation: "Conv"),
    .init(inputs: 16, outputs: 16, size: (9, 9), begin: (3, 1), end: (1, 1), operation: "Conv"),
  ]

  private func tensors(
    _ subject: ConvolutionCase, seed: UInt64
  ) -> (x: [Float], w: [Float], bias: [Float], residual: [Float], dy: [Float]) {
    func count(_ shape: [Int64]) -> Int { Int(shape.reduce(1, *)) }
    return (
      uniform(count(subject.xShape), seed: seed), uniform(count(subject.wShape), seed: seed + 1),
      uniform(subject.outputs, seed: seed + 2), uniform(count(subject.yShape), seed: seed + 3),
      uniform(count(subject.yShape), seed: seed + 4)
    )
  }

  /// Transforms round each number a few times more than the definition does, so the tolerance is
  /// not of each result but of the largest: 1e-5 is ten times what is seen with 256 channels.
  private func expectClose(_ found: [Float], _ expected: [Double]) {
    let range = expected.reduce(0) { max($0, abs($1)) }
    let distance = zip(found, expected).reduce(0) {
      let difference = abs(Double($1.0) - $1.1)
      return difference.isNaN ? .infinity : max($0, difference)
    }
    #expect(distance <= 1e-5 * range, "\(distance) of \(range)")
  }

  @Test(arguments: cases, [1, 2] as [UInt64])
  func `a convolution and its gradient are what the definition says`(
    subject: ConvolutionCase, seed: UInt64
  ) {
    let (x, w, bias, residual, dy) = tensors(subject, seed: 10 * seed)
    var y = residual.map(Double.init)
    var dx = x.map { _ in 0.0 }
    let plane = subject.outSize.0 * subject.outSize.1
    for i in y.indices { y[i] += Double(bias[i / plane % subject.outputs]) }
    subject.forEachProduct { a, b, c in
      y[c] += Double(x[a]) * Double(w[b])
      dx[a] += Double(dy[c]) * Double(w[b])
    }
    for trained in [false, true] {
      let run = ConvolutionRun(
        subject, x: x, w: w, bias: bias, residual: residual, activation: Self.none, dy: dy,
        trained: trained)
      expectClose(run.y, y)
      expectClose(run.dx, dx)
      #expect(run.operations.contains(subject.operation))
    }
  }

  /// Of the second one the padding channels would not stay zero, were it fused.
  static let activations: [bh_activation] = [
    .init(kind: BH_ACTIVATION_RELU, alpha: 0, beta: 0),
    .init(kind: BH_ACTIVATION_CLIP, alpha: 0.5, beta: 2),
    .init(kind: BH_ACTIVATION_CLIP, alpha: -1, beta: 6),
    .init(kind: BH_ACTIVATION_SIGMOID, alpha: 0, beta: 0),
  ]

  @Test(arguments: activations.indices)
  func `an activation comes after bias and residual`(index: Int) {
    let subject = Self.cases[2]
    let activation = Self.activations[index]
    let (x, w, bias, residual, dy) = tensors(subject, seed: 3)
    func run(_ activation: bh_activation) -> [Float] {
      ConvolutionRun(
        subject, x: x, w: w, bias: bias, residual: residual, activation: activation, dy: dy
      ).y
    }
    let expected = run(Self.none).map { value -> Double in
      switch activation.kind {
      case BH_ACTIVATION_RELU: Double(max(value, 0))
      case BH_ACTIVATION_CLIP: Double(min(max(value, activation.alpha), activation.beta))
      default: 1 / (1 + exp(-Double(value)))
      }
    }
    expectClose(run(activation), expected)
  }

  @Test func `a NaN is not hidden by a fused activation`() {
    let subject = Self.cases[0]
    let (x, w, bias, residual, dy) = tensors(subject, seed: 4)
    var spoilt = residual
    spoilt[5] = .nan
    let y = ConvolutionRun(
      subject, x: x, w: w, bias: bias, residual: spoilt, activation: Self.activations[2], dy: dy
    ).y
    #expect(y.indices.filter { y[$0].isNaN } == [5])
  }

  @Test(arguments: [0, 2, 6, 7, 8])
  func `the bytes of a convolution do not depend on the number of threads`(index: Int) {
    let subject = Self.cases[index]
    let (x, w, bias, residual, dy) = tensors(subject, seed: 5)
    let runs = onEveryThreadCount {
      ConvolutionRun(
        subject, x: x, w: w, bias: bias, residual: residual, activation: Self.none, dy: dy)
    }
    for run in runs {
      #expect(sameBits(run.y, runs[0].y))
      #expect(sameBits(run.dx, runs[0].dx))
    }
  }
}
