internal import BillhookGraph

extension Graph {
  /// The graph with max pooling in front of the activation of layers that stay in float.
  ///
  /// The maximum of rising functions is the function of the maximum, so nothing changes but the place
  /// of a QuantizeLinear: behind an activation, where runtimes leave it. Directly behind the pooling
  /// ONNX Runtime moves it in front, and pools integers many times slower than floats.
  ///
  /// - Parameters:
  ///   - floats: The outputs of the layers that stay in float.
  ///   - names: Gives the pooled values their names.
  func movingActivationsBehindPooling(
    of floats: Set<String>, names: inout NamePool
  ) -> Graph {
    let consumers = consumers()
    let outputs = Set(outputs.map(\.name))
    func onlyReader(_ value: String) -> Int? {
      guard let readers = consumers[value], readers.count == 1, !outputs.contains(value) else {
        return nil
      }
      return readers[0]
    }
    var result = self
    for node in nodes {
      guard let made = node.outputs.first, floats.contains(made), let first = onlyReader(made),
        ["Relu", "Clip"].contains(nodes[first].op), nodes[first].input(0) == made,
        let activated = nodes[first].outputs.first, let second = onlyReader(activated),
        nodes[second].op == "MaxPool", nodes[second].outputs.count == 1
      else { continue }
      let pooled = nodes[second].outputs[0]
      var pool = nodes[second]
      var activation = nodes[first]
      pool.inputs[0] = made
      pool.outputs[0] = names.unused("\(made)_pooled")
      activation.inputs[0] = pool.outputs[0]
      activation.outputs[0] = pooled
      result.nodes[first] = pool
      result.nodes[second] = activation
    }
    return result
  }
}
