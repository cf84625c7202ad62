import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Testing

@Suite struct ReferenceGradientTests {
  static let cases =
    GradientCase.elements + GradientCase.shapes + GradientCase.layers + GradientCase.sampling
    + GradientCase.sequences

  @Test func `every operator has a tested gradient or a reason for none`() throws {
    let tested = Set(Self.cases.map(\.op))
    for op in Graph.supportedOperators {
      let reason = OperatorTable.reasonForNoGradient(of: op)
      #expect(tested.contains(op) == (reason == nil), "\(op): \(reason ?? "not tested")")
      #expect(reason != "it is not an operator that Billhook knows", "\(op)")
    }
  }

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
        let step = subject.step
        let numeric = (try shifted(step) - shifted(-step)) / (2 * step)
        #expect(
          abs(gradient[element] - numeric) <= 1e-6 * max(1, abs(numeric)),
          "\(name)[\(element)]: \(gradient[element]) against \(numeric)")
      }
    }
  }

  @Test func `an operator without a gradient is refused with the reason`() {
    let node = Node("ArgMax", name: "best", inputs: ["x"], outputs: ["y"])
    let x = Tensor([1.0, 2])
    #expect(
      throws: GraphError.noGradient(op: "ArgMax", node: "best", reason: "its result is integers")
    ) {
      try ReferenceGradient.evaluate(
        node, opset: 18, ["x": x], outputs: [Tensor([Int64(1)])],
        outputGradients: [Tensor([1.0])], wanted: ["x"])
    }
    #expect(
      GraphError.noGradient(op: "ArgMax", node: "best", reason: "its result is integers")
        .description == """
          Node "best" (ArgMax) cannot be trained through: its result is integers. Train a network \
          without it, or only the layers behind it.
          """)
  }
}
