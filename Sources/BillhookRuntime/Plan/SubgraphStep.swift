internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// A node of If, Loop or Scan whose subgraphs run as plans: one for each set of shapes that they
/// meet, compiled when it is first met and kept with the plan around it.
final class SubgraphStep {
  let node: Node
  /// What the step reads: the node's inputs, then what its subgraphs take from the graph around it.
  let reads: [String]
  private let opset: Int
  private let bodies: [String: Body]

  private struct Body {
    let session: InferenceSession
    /// Positions behind the node's inputs in what the step reads.
    let captures: [Int]
  }

  /// - Parameters:
  ///   - graph: The graph around the node; its initializers become constants of the subgraphs.
  init(_ node: Node, in graph: Graph) {
    self.node = node
    opset = graph.opset
    var outer: OrderedSet<String> = []
    var bodies: [String: Body] = [:]
    for (key, attribute) in node.attributes {
      guard case .graph(var body) = attribute else { continue }
      body.opsets = graph.opsets
      var captures: [Int] = []
      for name in body.captures {
        if let initializer = graph.initializers[name] {
          body.initializers[name] = initializer
        } else {
          captures.append(outer.append(name).index)
          body.inputs.append(ValueInfo(name, shape: nil))
        }
      }
      bodies[key] = Body(session: InferenceSession(rest: body, observed: []), captures: captures)
    }
    self.bodies = bodies
    reads = node.inputs + outer
  }

  /// Computes the node's outputs.
  ///
  /// - Parameter tensors: One for each of ``reads``, nil where an optional input is left out.
  func run(_ tensors: [Tensor?], profiler: Profiler?) throws -> [Tensor] {
    let count = node.inputs.count
    do {
      return try ReferenceEvaluator.evaluate(
        node, opset: opset, inputs: Array(tensors[..<count])
      ) { key, given throws(GraphError) in
        try self.run(key, given, outer: tensors[count...], profiler)
      }
    } catch {
      throw RuntimeError.graph(error)
    }
  }

  private func run(
    _ key: String, _ given: [Tensor], outer: ArraySlice<Tensor?>, _ profiler: Profiler?
  ) throws(GraphError) -> [Tensor] {
    func failed(_ reason: String) -> GraphError {
      .subgraphFailed(op: node.op, node: node.displayName, attribute: key, reason: reason)
    }
    guard let body = bodies[key] else {
      throw .missingAttribute(
        op: node.op, node: node.displayName, attribute: key, expected: "graph")
    }
    var inputs = given
    for index in body.captures {
      guard let tensor = outer[outer.startIndex + index] else {
        throw failed("the value \"\(reads[node.inputs.count + index])\" is not there.")
      }
      inputs.append(tensor)
    }
    guard inputs.count == body.session.inputNames.count else {
      throw failed(
        "it has \(body.session.inputNames.count - body.captures.count) inputs, but is given "
          + "\(given.count).")
    }
    do {
      return try body.session.run(inputs, profiler: profiler, observe: nil)
    } catch let error as RuntimeError {
      if case .graph(let inner) = error { throw inner }
      throw failed(error.description)
    } catch {
      throw failed("\(error)")
    }
  }

  var arenaBytes: Int { bodies.values.reduce(0) { $0 + $1.session.arenaBytes } }
}
