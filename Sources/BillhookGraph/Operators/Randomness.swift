internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension OperatorDefinition {
  /// Random tensors. The same seed, or without one the same name of the node, gives the same
  /// numbers on every run and machine; ONNX leaves the stream open.
  static let randomFamily: [OperatorDefinition] = [
    random("RandomNormal", isLike: false, .normal),
    random("RandomNormalLike", isLike: true, .normal),
    random("RandomUniform", isLike: false, .uniform),
    random("RandomUniformLike", isLike: true, .uniform), bernoulli, multinomial, dropout,
  ]

  private enum Distribution { case normal, uniform }

  private static func random(
    _ name: String, isLike: Bool, _ distribution: Distribution
  ) -> OperatorDefinition {
    let parameters: [AttributeDefinition] =
      distribution == .normal
      ? [.float("mean"), .float("scale")] : [.float("high"), .float("low")]
    return OperatorDefinition(
      name, inputs: isLike ? 1...1 : 0...0,
      attributes: parameters + [.int("dtype"), .float("seed")]
        + (isLike ? [] : [.ints("shape", required: true)]),
      dependence: .randomness,
      infer: { (context) throws(GraphError) in
        let stated = try context.statedType("dtype")
        if isLike {
          let input = try context.type(0)
          let own = input.elementType.isFloatingPoint ? input.elementType : .float32
          return [ValueType(stated ?? own, input.shape)]
        }
        let shape = context.node.ints("shape") ?? []
        guard shape.allSatisfy({ $0 >= 0 }) else {
          throw context.wrongAttribute("shape", shape, expected: "sizes of 0 or more")
        }
        return [ValueType(stated ?? .float32, shape.map { .fixed($0) })]
      },
      evaluate: { (context, types) throws(GraphError) in
        let shape = types[0].sizes ?? []
        var stream = context.randomStream
        let node = context.node
        let numbers = (0..<shape.reduce(1, *)).map { _ -> Double in
          switch distribution {
          case .uniform:
            let (low, high) = (node.float("low", default: 0), node.float("high", default: 1))
            return Double(low) + Double(high - low) * Double(stream.uniform())
          case .normal:
            let (mean, scale) = (node.float("mean", default: 0), node.float("scale", default: 1))
            return Double(mean) + Double(scale) * stream.standardNormal()
          }
        }
        return [Tensor(rounding: numbers, shape: shape, types[0].elementType)]
      })
  }

  /// 1 with the probability that the input holds at each place, else 0.
  private static let bernoulli = OperatorDefinition(
    "Bernoulli", inputs: 1...1, attributes: [.int("dtype"), .float("seed")],
    dependence: .randomness,
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      return [ValueType(try context.statedType("dtype") ?? input.elementType, input.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      var stream = context.randomStream
      let draws = try context.numbers(0).map { Double(stream.uniform()) < $0 ? 1 : 0 }
      return [Tensor(truncating: draws, shape: types[0].sizes ?? [], types[0].elementType)]
    })

  /// Classes drawn with the probabilities that each row gives as logarithms, not normalised.
  private static let multinomial = OperatorDefinition(
    "Multinomial", inputs: 1...1,
    attributes: [.int("dtype"), .int("sample_size"), .float("seed")], dependence: .randomness,
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      guard input.shape.count == 2, input.shape[1] != 0 else {
        throw context.wrongShape(0, expected: "[batch, classes]")
      }
      let count = context.node.int("sample_size", default: 1)
      guard (0...1 << 40).contains(count) else {
        throw context.wrongAttribute("sample_size", count, expected: "0...2^40")
      }
      return [
        ValueType(try context.statedType("dtype") ?? .int32, [input.shape[0], .fixed(count)])
      ]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (logits, shape) = (try context.numbers(0), types[0].sizes ?? [])
      let classes = try context.sizes(0)[1]
      var stream = context.randomStream
      var draws: [Int] = []
      for row in 0..<shape[0] {
        let line = logits[row * classes..<(row + 1) * classes]
        let largest = line.reduce(-.infinity, max)
        let weights = line.map { exp($0 - largest) }
        let sum = weights.reduce(0, +)
        for _ in 0..<shape[1] {
          var rest = Double(stream.uniform()) * sum
          draws.append(
            weights.firstIndex { weight in
              rest -= weight
              return rest < 0
            } ?? classes - 1)
        }
      }
      return [Tensor(truncating: draws, shape: shape, types[0].elementType)]
    })

  /// Outside training the value itself; in training mode a part of the elements becomes 0 and the
  /// others grow to make up for it. The ratio is an attribute before operator set 12 and an input
  /// from then on.
  private static let dropout = OperatorDefinition(
    "Dropout", inputs: 1...3, outputs: 1...2,
    attributes: [.float("ratio"), .int("seed"), .int("is_test")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      for index in 1...2 {
        guard let scalar = context.optionalType(index) else { continue }
        guard scalar.shape.isEmpty || scalar.shape == [1] else {
          throw context.wrongShape(index, expected: "a scalar")
        }
      }
      let ratio = context.dropoutRatio
      guard ratio >= 0, ratio < 1 else {
        throw context.wrongAttribute("ratio", ratio, expected: "0..<1")
      }
      return [input, ValueType(context.opset < 10 ? input.elementType : .bool, input.shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let x = try context.tensor(0)
      let isTraining = context.optionalTensor(2)?.integers()?.first == 1
      let ratio = Double(context.dropoutRatio)
      guard isTraining, ratio > 0 else {
        let ones = [Int](repeating: 1, count: x.count)
        return [x, Tensor(truncating: ones, shape: x.shape, types[1].elementType)]
      }
      var stream = context.randomStream
      let keeps = (0..<x.count).map { _ in Double(stream.uniform()) >= ratio }
      let y = zip(x.numbers(), keeps).map { $1 ? $0 / (1 - ratio) : 0 }
      return [
        Tensor(rounding: y, shape: x.shape, x.elementType),
        Tensor(truncating: keeps.map { $0 ? 1 : 0 }, shape: x.shape, types[1].elementType),
      ]
    })
}

extension NodeContext {
  fileprivate var dropoutRatio: Float {
    optionalTensor(1)?.floats().first ?? node.float("ratio", default: 0.5)
  }

  /// The random stream of the node.
  var randomStream: CounterRandom {
    let seed: UInt64
    switch node.attributes["seed"] {
    case .float(let value)?: seed = UInt64(value.bitPattern)
    case .int(let value)?: seed = UInt64(bitPattern: Int64(value))
    default: seed = 0
    }
    return CounterRandom(seed: seed, stream: "\(op) \(name)")
  }
}

extension CounterRandom {
  /// A number of the standard normal distribution.
  ///
  /// Source: Box and Muller, *A Note on the Generation of Random Normal Deviates*, 1958.
  fileprivate mutating func standardNormal() -> Double {
    let radius = (-2 * log(1 - Double(uniform()))).squareRoot()
    return radius * cos(2 * .pi * Double(uniform()))
  }
}
