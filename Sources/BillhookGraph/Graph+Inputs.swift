internal import BillhookTensor

extension Graph {
  /// The graph for inputs of these shapes alone.
  ///
  /// - Parameter shapes: By input name, as many axes as the input has; inputs that are not named stay.
  /// - Throws: ``GraphError/wrongFeed(name:found:expected:)`` when a shape contradicts what the graph
  ///   states of the input.
  public func fixingInputs(_ shapes: [String: [Int]]) throws(GraphError) -> Graph {
    var result = self
    for (index, input) in inputs.enumerated() {
      guard let sizes = shapes[input.name] else { continue }
      let given = ValueType(input.elementType, sizes.map { .fixed($0) })
      let stated = input.shape ?? given.shape
      guard stated.count == sizes.count, sizes.allSatisfy({ $0 >= 0 }),
        zip(stated, given.shape).allSatisfy({ !$0.contradicts($1) })
      else {
        throw .wrongFeed(
          name: input.name, found: "\(given)",
          expected: "\(ValueType(input.elementType, stated))")
      }
      result.inputs[index].shape = given.shape
    }
    return result
  }

  /// The batch size that the first input fixes; nil when it may vary.
  public var fixedBatch: Int? { inputs.first?.shape?.first?.size }

  /// True when the batch is the only size that the inputs leave open.
  public var fixesSamples: Bool {
    inputs.allSatisfy { input in
      guard let shape = input.shape else { return false }
      return shape.dropFirst().allSatisfy { $0.size != nil }
    }
  }
}
