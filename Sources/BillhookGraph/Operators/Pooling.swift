internal import BillhookTensor
internal import Foundation

extension OperatorDefinition {
  /// Operators that reduce a window that moves over the spatial axes, and the way back.
  static let poolingFamily: [OperatorDefinition] = [
    maxPool, averagePool, lpPool, global("GlobalAveragePool", .average),
    global("GlobalMaxPool", .maximum), global("GlobalLpPool", .power), maxUnpool,
  ]

  /// The largest element of each window, and where it lies in the whole input.
  private static let maxPool = OperatorDefinition(
    "MaxPool", inputs: 1...1, outputs: 1...2, attributes: poolAttributes + [.int("storage_order")],
    infer: { (context) throws(GraphError) in
      let type = try inferPool(context, integers: true)
      return [type, ValueType(.int64, type.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.numbers(0)
      let pooling = try Pooling(context)
      let isColumnMajor = context.node.int("storage_order", default: 0) == 1
      var (y, indices): ([Double], [Int64]) = ([], [])
      pooling.forEachWindow { start, place in
        var best = place.taps.first?.input ?? 0
        for tap in place.taps
        where Maximum.apply(x[start + best], x[start + tap.input]) != x[start + best] {
          best = tap.input
        }
        y.append(place.taps.isEmpty ? -.infinity : x[start + best])
        indices.append(Int64(start + (isColumnMajor ? pooling.columnMajor(best) : best)))
      }
      let shape = types[0].sizes ?? []
      return [
        Tensor(rounding: y, shape: shape, types[0].elementType), Tensor(indices, shape: shape),
      ]
    })

  private static let averagePool = OperatorDefinition(
    "AveragePool", inputs: 1...1, attributes: poolAttributes + [.int("count_include_pad")],
    infer: { (context) throws(GraphError) in [try inferPool(context)] },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.numbers(0)
      let countsPadding = try context.flag("count_include_pad")
      var y: [Double] = []
      try Pooling(context).forEachWindow { start, place in
        let sum = place.taps.reduce(0) { $0 + x[start + $1.input] }
        y.append(sum / Double(countsPadding ? place.paddedCount : place.taps.count))
      }
      return [Tensor(rounding: y, shape: types[0].sizes ?? [], types[0].elementType)]
    })

  /// The Lp norm of each window.
  private static let lpPool = OperatorDefinition(
    "LpPool", inputs: 1...1, attributes: poolAttributes + [.int("p")],
    infer: { (context) throws(GraphError) in [try inferPool(context)] },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.numbers(0)
      let p = Double(context.node.int("p", default: 2))
      var y: [Double] = []
      try Pooling(context).forEachWindow { start, place in
        y.append(pow(place.taps.reduce(0) { $0 + pow(abs(x[start + $1.input]), p) }, 1 / p))
      }
      return [Tensor(rounding: y, shape: types[0].sizes ?? [], types[0].elementType)]
    })

  private enum WholeReduction { case average, maximum, power }

  /// One number of all spatial axes, which become 1.
  private static func global(_ name: String, _ reduction: WholeReduction) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...1, attributes: reduction == .power ? [.int("p")] : [],
      infer: { (context) throws(GraphError) in
        let input = try context.floatingPoint(0)
        guard input.shape.count >= 3, !input.shape[2...].contains(0) else {
          throw context.wrongShape(0, expected: "[N, C, D…] with spatial axes that are not empty")
        }
        let ones = [Dimension](repeating: 1, count: input.shape.count - 2)
        return [ValueType(input.elementType, input.shape[..<2] + ones)]
      },
      evaluate: { (context, types) throws(GraphError) in
        let (x, shape) = (try context.numbers(0), try context.sizes(0))
        let area = shape[2...].reduce(1, *)
        let p = Double(context.node.int("p", default: 2))
        let results = (0..<shape[0] * shape[1]).map { image in
          let part = x[image * area..<(image + 1) * area]
          return switch reduction {
          case .average: part.reduce(0, +) / Double(area)
          case .maximum: part.reduce(-.infinity) { Maximum.apply($0, $1) }
          case .power: pow(part.reduce(0) { $0 + pow(abs($1), p) }, 1 / p)
          }
        }
        return [Tensor(rounding: results, shape: types[0].sizes ?? [], types[0].elementType)]
      })
  }

  /// Puts what MaxPool kept back to where it was, zeros elsewhere.
  private static let maxUnpool = OperatorDefinition(
    "MaxUnpool", inputs: 2...3,
    attributes: [.ints("kernel_shape", required: true), .ints("pads"), .ints("strides")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      let indices = try context.type(1, in: [.int64], expected: "int64")
      guard indices.shape.count == input.shape.count else {
        throw context.incompatible(0, 1, expected: "the same shape")
      }
      let pooled = try context.unpooledSizes()
      if let places = context.optionalTensor(1)?.integers(), let pooled {
        var count = 1
        for size in pooled { count = try context.product(count, size) }
        guard places.allSatisfy({ (0..<count).contains($0) }) else {
          throw context.wrongShape(1, expected: "places in 0..<\(count)")
        }
      }
      guard context.optionalType(2) != nil else {
        let unknown = [Dimension](repeating: .symbolic(""), count: input.shape.count)
        return [ValueType(input.elementType, pooled.map { $0.map { .fixed($0) } } ?? unknown)]
      }
      let sizes = try context.integers(2)
      let isRoomy = pooled.map { sizes.count == $0.count && zip(sizes, $0).allSatisfy { $0 >= $1 } }
      guard isRoomy ?? true else {
        throw context.wrongShape(2, expected: "at least \(pooled ?? []), found \(sizes)")
      }
      return [ValueType(input.elementType, sizes.map { .fixed($0) })]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, shape) = (try context.tensor(0), types[0].sizes ?? [])
      // The places count in the size that the window gives, even when a larger one is asked for.
      let pooled = try context.unpooledSizes() ?? shape
      let (from, to) = (rowMajorStrides(pooled), rowMajorStrides(shape))
      let places = try context.integers(1).map { place in
        pooled.indices.reduce(0) { $0 + place / from[$1] % pooled[$1] * to[$1] }
      }
      return [Tensor(zeros: shape, x.elementType).scattering(x, at: places, nil)]
    })
}

private let poolAttributes: [AttributeDefinition] =
  windowAttributes.map { $0.name == "kernel_shape" ? .ints("kernel_shape", required: true) : $0 }
  + [.int("ceil_mode")]

private func inferPool(
  _ context: NodeContext, integers: Bool = false
) throws(GraphError) -> ValueType {
  let input =
    integers
    ? try context.type(
      0, in: [.float32, .float16, .float64, .bfloat16, .int8, .uint8],
      expected: "floating-point numbers or 8-bit integers") : try context.floatingPoint(0)
  guard (3...5).contains(input.shape.count) else {
    throw context.wrongShape(0, expected: "[N, C, D…] with one to three spatial axes")
  }
  let kernel = context.node.ints("kernel_shape") ?? []
  guard kernel.count == input.shape.count - 2 else {
    throw context.wrongAttribute(
      "kernel_shape", kernel, expected: "\(input.shape.count - 2) integers, one a spatial axis")
  }
  _ = try context.flag("ceil_mode")
  let window = try WindowAttributes(context.node, kernel: kernel)
  let spatial = try window.output(context.node, input: Array(input.shape[2...]))
  return ValueType(input.elementType, input.shape[..<2] + spatial)
}

/// The windows of a pooling node.
struct Pooling {
  private let taps: WindowTaps
  private let imageCount: Int
  private let sizes: [Int]

  init(_ context: NodeContext) throws(GraphError) {
    let shape = try context.sizes(0)
    sizes = Array(shape[2...])
    let window = try Window(
      context.node, kernel: context.node.ints("kernel_shape") ?? [], input: sizes)
    taps = try WindowTaps(window, context)
    imageCount = shape[0] * shape[1]
  }

  /// Calls `body` with the flat index of each image's first element and each window on it.
  func forEachWindow(_ body: (Int, WindowTaps.Place) -> Void) {
    let area = sizes.reduce(1, *)
    for image in 0..<imageCount {
      for place in taps.places { body(image * area, place) }
    }
  }

  /// A flat index within an image when the first axis is the fastest.
  func columnMajor(_ index: Int) -> Int {
    let strides = rowMajorStrides(sizes)
    var (result, step) = (0, 1)
    for axis in sizes.indices {
      result += index / strides[axis] % sizes[axis] * step
      step *= sizes[axis]
    }
    return result
  }
}

extension NodeContext {
  /// The shape that a MaxUnpool's window came from; nil while the input's is not known.
  fileprivate func unpooledSizes() throws(GraphError) -> [Int]? {
    guard let shape = try type(0).sizes else { return nil }
    let kernel = node.ints("kernel_shape") ?? []
    guard shape.count == kernel.count + 2 else {
      throw wrongAttribute("kernel_shape", kernel, expected: "one integer a spatial axis")
    }
    let window = try WindowAttributes(node, kernel: kernel)
    var result = Array(shape[..<2])
    for axis in kernel.indices {
      let reach = try product(shape[axis + 2] - 1, window.strides[axis])
      let size = reach + kernel[axis] - window.padsBegin[axis] - window.padsEnd[axis]
      guard size >= 0 else { throw wrongShape(0, expected: "less padding") }
      result.append(size)
    }
    return result
  }
}
