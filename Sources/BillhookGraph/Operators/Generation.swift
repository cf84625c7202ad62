internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension OperatorDefinition {
  /// Operators that make tensors from sizes, and the window functions of signal processing.
  static let generationFamily: [OperatorDefinition] = [
    range, constantOfShape, eyeLike,
    window("HannWindow") { 0.5 - 0.5 * cos($0) },
    window("HammingWindow") { 25.0 / 46 - 21.0 / 46 * cos($0) },
    window("BlackmanWindow") { 0.42 - 0.5 * cos($0) + 0.08 * cos(2 * $0) },
    melWeightMatrix,
  ]

  /// Numbers from a start in steps up to a limit, which is left out.
  private static let range = OperatorDefinition(
    "Range", inputs: 3...3,
    infer: { (context) throws(GraphError) in
      let type = try context.numeric(0).elementType
      for index in 0..<3 { _ = try context.sameElements(index) }
      if let count = try context.countedRange() { return [ValueType(type, [count])] }
      var ends: [Double] = []
      for index in 0..<3 {
        guard let number = try context.tensor(index).numbers().first else {
          throw context.wrongShape(index, expected: "one number")
        }
        ends.append(number)
      }
      let count = ((ends[1] - ends[0]) / ends[2]).rounded(.up)
      guard ends[2] != 0, count < 0x1p40 else {
        throw context.wrongAttribute("delta", ends[2], expected: "fewer than 2^40 steps")
      }
      return [ValueType(type, [.fixed(Int(max(count, 0)))])]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (start, step) = (try context.tensor(0), try context.tensor(2))
      let (count, type) = (types[0].sizes?[0] ?? 0, types[0].elementType)
      if let first = start.integers()?.first, let delta = step.integers()?.first {
        return [Tensor(truncating: (0..<count).map { first &+ $0 &* delta }, shape: [count], type)]
      }
      let (first, delta) = (start.numbers()[0], step.numbers()[0])
      let numbers = (0..<count).map { first + Double($0) * delta }
      return [Tensor(rounding: numbers, shape: [count], type)]
    })

  /// A tensor of a computed shape with the same value everywhere, zero when none is stated.
  private static let constantOfShape = OperatorDefinition(
    "ConstantOfShape", inputs: 1...1, attributes: [.tensor("value")],
    infer: { (context) throws(GraphError) in
      let sizes = try context.statedSizes()
      guard try context.type(0).shape.count == 1, sizes.allSatisfy({ ($0.size ?? 0) >= 0 }) else {
        throw context.wrongShape(0, expected: "a vector of sizes of 0 or more, found \(sizes)")
      }
      let value = context.node.filler
      guard value.count == 1 else {
        throw context.wrongAttribute("value", value.shape, expected: "a tensor of one element")
      }
      return [ValueType(value.elementType, sizes)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = types[0].sizes ?? []
      let source = [Int](repeating: 0, count: shape.reduce(1, *))
      return [context.node.filler.gathered(source, shape: shape)]
    })

  /// Ones on a diagonal of a matrix of the input's shape.
  private static let eyeLike = OperatorDefinition(
    "EyeLike", inputs: 1...1, attributes: [.int("dtype"), .int("k")], dependence: .types,
    infer: { (context) throws(GraphError) in
      let input = try context.type(0, rank: 2...2)
      return [ValueType(try context.statedType("dtype") ?? input.elementType, input.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = types[0].sizes ?? []
      let offset = context.node.int("k", default: 0)
      let ones = (0..<shape.reduce(1, *)).map { place in
        place % shape[1] == (place / shape[1]).addingReportingOverflow(offset).partialValue ? 1 : 0
      }
      return [Tensor(truncating: ones, shape: shape, types[0].elementType)]
    })

  /// A window of a computed length, as a function of the angle 0..<2π.
  private static func window(
    _ name: String, _ function: @escaping @Sendable (Double) -> Double
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, inputs: 1...1, attributes: [.int("output_datatype"), .int("periodic")],
      infer: { (context) throws(GraphError) in
        guard let size = try context.optionalInteger(0), size >= 0 else {
          throw context.wrongShape(0, expected: "one size of 0 or more")
        }
        return [ValueType(try context.statedType("output_datatype") ?? .float32, [.fixed(size)])]
      },
      evaluate: { (context, types) throws(GraphError) in
        let size = types[0].sizes?[0] ?? 0
        let isPeriodic = context.node.int("periodic", default: 1) != 0
        let steps = Double(max(isPeriodic ? size : size - 1, 1))
        let numbers = (0..<size).map { function(2 * .pi * Double($0) / steps) }
        return [Tensor(rounding: numbers, shape: [size], types[0].elementType)]
      })
  }

  /// Weights that gather the bins of a spectrum into bands of equal width on the mel scale.
  ///
  /// Source: ONNX's own function; O'Shaughnessy's mel scale, `2595 · log₁₀(1 + f / 700)`.
  private static let melWeightMatrix = OperatorDefinition(
    "MelWeightMatrix", inputs: 5...5, attributes: [.int("output_datatype")],
    infer: { (context) throws(GraphError) in
      guard let bands = try context.optionalInteger(0), let length = try context.optionalInteger(1),
        let rate = try context.optionalInteger(2), bands >= 0, length >= 0, rate > 0,
        bands < 1 << 40, length < 1 << 40
      else {
        throw context.wrongShape(0, expected: "numbers of bands, bins and samples of 0 or more")
      }
      for index in 3...4 where try context.numbers(index).first == nil {
        throw context.wrongShape(index, expected: "one frequency")
      }
      return [
        ValueType(
          try context.statedType("output_datatype") ?? .float32,
          [.fixed(length / 2 + 1), .fixed(bands)])
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let shape = types[0].sizes ?? []
      let (bins, bands) = (shape[0], shape[1])
      let length = Double(try context.optionalInteger(1) ?? 0)
      let rate = Double(try context.optionalInteger(2) ?? 1)
      func mel(_ frequency: Double) -> Double { 2595 * log10(1 + frequency / 700) }
      let low = mel(try context.numbers(3)[0])
      let high = mel(try context.numbers(4)[0])
      // ONNX divides by one more than the bands and the gap between them would.
      let step = (high - low) / Double(bands + 2)
      // The bins at which the bands begin, peak and end.
      let edges = (0..<bands + 2).map { band in
        let frequency = 700 * (pow(10, (low + Double(band) * step) / 2595) - 1)
        return Int(number: ((length + 1) * frequency / rate).rounded(.down))
      }
      var weights = [Double](repeating: 0, count: bins * bands)
      for band in 0..<bands {
        let (begin, peak, end) = (edges[band], edges[band + 1], edges[band + 2])
        if begin == peak {
          if (0..<bins).contains(peak) { weights[peak * bands + band] = 1 }
        } else if begin < peak {
          for bin in max(begin, 0)..<max(min(peak + 1, bins), max(begin, 0)) {
            weights[bin * bands + band] = Double(bin - begin) / Double(peak - begin)
          }
        }
        guard end > peak else { continue }
        for bin in max(peak, 0)..<max(min(end, bins), max(peak, 0)) {
          weights[bin * bands + band] = Double(end - bin) / Double(end - peak)
        }
      }
      return [Tensor(rounding: weights, shape: shape, types[0].elementType)]
    })
}

extension Int {
  /// A number cut to an integer, limited to what can be added to without overflow.
  fileprivate init(number: Double) {
    self = number == number ? Int(Swift.min(Swift.max(number, -0x1p40), 0x1p40)) : 0
  }
}

extension Node {
  fileprivate var filler: Tensor {
    if case .tensor(let initializer)? = attributes["value"] {
      initializer.tensor
    } else {
      Tensor(scalar: Float(0))
    }
  }
}

extension NodeContext {
  /// The element type whose code an attribute holds; nil when it is left out.
  func statedType(_ key: String) throws(GraphError) -> ElementType? {
    guard node.attributes[key] != nil else { return nil }
    let code = node.int(key, default: 0)
    guard let type = Int32(exactly: code).flatMap({ ElementType(rawValue: $0) }) else {
      throw wrongAttribute(key, code, expected: "the code of a number type, such as 1 (float32)")
    }
    return type
  }
}

extension NodeContext {
  /// What is known of the sizes in input 0.
  fileprivate func statedSizes() throws(GraphError) -> [Dimension] {
    if let elements = try elements(0) { return elements }
    return try integers(0).map { .fixed($0) }
  }

  /// The number of elements of a Range whose ends are not all constant: the limit itself where it
  /// counts from 0 in steps of 1. Nil when all are constant.
  fileprivate func countedRange() throws(GraphError) -> Dimension? {
    if (0..<3).allSatisfy({ optionalTensor($0) != nil }) { return nil }
    guard let start = try elements(0), let limit = try elements(1), let step = try elements(2),
      start == [.fixed(0)], step == [.fixed(1)], limit.count == 1, limit[0].size == nil
    else { return .symbolic("") }
    return limit[0]
  }
}
