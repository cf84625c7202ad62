import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Testing

@Suite struct ReferenceGradientTests {
  static let cases = GradientCase.elements + GradientCase.shapes + GradientCase.layers

  @Test(arguments: cases, [1, 2] as [UInt64])
  func `a gradient agrees with central differences`(subject: GradientCase, seed: UInt64) throws {
    let node = subject.node
    let (values, names) = subject.values(seed: seed)
    let outputs = try ReferenceEvaluator.evaluate(node, opset: subject.opset, values)
    let directions = outputs.prefix(node.outputs.count).enumerated().map { index, output in
      output.elementType.isFloatingPoint
        ? Tensor.seeded(output.shape, seed: seed, "direction \(index)").converted(to: .float64)
        : nil
    }
    /// The sum of the outputs, each element times that of its direction.
    func loss(_ values: [String: Tensor]) throws -> Double {
      let outputs = try ReferenceEvaluator.evaluate(node, opset: subject.opset, values)
      return zip(outputs, directions).reduce(0) { sum, pair in
        guard let direction = pair.1 else { return sum }
        return zip(pair.0.numbers(), direction.numbers()).reduce(sum) { $0 + $1.0 * $1.1 }
      }
    }
    let gradients = try ReferenceGradient.evaluate(
      node, opset: subject.opset, values, outputs: outputs, outputGradients: directions,
      wanted: Set(names))
    for name in names {
      let value = values[name]!
      let gradient = gradients[name]?.numbers() ?? [Double](repeating: 0, count: value.count)
      #expect(gradient.count == value.count, "\(name)")
      for element in 0..<value.count {
        func shifted(_ step: Double) throws -> Double {
          var numbers = value.numbers()
          numbers[element] += step
          var changed = values
          changed[name] = Tensor(numbers, shape: value.shape)
          return try loss(changed)
        }
        let step = 1e-5
        let numeric = (try shifted(step) - shifted(-step)) / (2 * step)
        #expect(
          abs(gradient[element] - numeric) <= 1e-6 * max(1, abs(numeric)),
          "\(name)[\(element)]: \(gradient[element]) against \(numeric)")
      }
    }
  }
}
