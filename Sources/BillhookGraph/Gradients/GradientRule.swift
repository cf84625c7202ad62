internal import BillhookTensor

/// How the gradients of an operator's outputs become those of its inputs, in plain loops.
///
/// To add a rule, write it beside its relatives in this folder and list it in the family at the head
/// of that file. Where an operator is a sum of simpler ones, a rule may say so on a ``Tape``.
struct GradientRule: Sendable {
  typealias Body = @Sendable (GradientContext) throws(GraphError) -> [[Double]?]

  /// Gives the gradients of what the node reads, by name.
  let body: @Sendable (GradientContext) throws(GraphError) -> [String: [Double]]

  /// - Parameter body: Gives a gradient for each input, in order, as long as the input; nil, or no
  ///   place at all, where nobody wants one or it is 0.
  init(_ body: @escaping Body) {
    self.body = { (context) throws(GraphError) in
      var result: [String: [Double]] = [:]
      for (index, gradient) in try body(context).enumerated() {
        guard let gradient, let name = context.node.input(index) else { continue }
        result.accumulate(gradient, under: name)
      }
      return result
    }
  }

  /// - Parameter body: Gives gradients by the names of values, those that subgraphs take from outside
  ///   included.
  init(named body: @escaping @Sendable (GradientContext) throws(GraphError) -> [String: [Double]]) {
    self.body = body
  }
}

/// A node that was computed, with the gradients of its outputs.
struct GradientContext {
  /// The node with all of its inputs.
  let forward: NodeContext
  let outputs: [Tensor]
  /// Nil where nothing depends on an output.
  let outputGradients: [[Double]?]
  /// What the node reads and somebody wants a gradient of.
  let wanted: Set<String>

  var node: Node { forward.node }

  /// The numbers of input `index`, which is there.
  func x(_ index: Int) throws(GraphError) -> [Double] { try forward.numbers(index) }
  func shape(_ index: Int) throws(GraphError) -> [Int] { try forward.sizes(index) }

  /// The numbers of the first output, and its shape.
  var y: [Double] { outputs[0].numbers() }
  var outputShape: [Int] { outputs[0].shape }

  /// The gradient of an output; zeros when nothing depends on it.
  func dy(_ index: Int = 0) -> [Double] {
    if index < outputGradients.count, let gradient = outputGradients[index] { return gradient }
    return [Double](repeating: 0, count: index < outputs.count ? outputs[index].count : 0)
  }

  /// True when something depends on an output.
  func has(_ index: Int) -> Bool {
    index < outputGradients.count && outputGradients[index] != nil
  }

  /// True when input `index` is there and somebody wants its gradient.
  func wants(_ index: Int) -> Bool { node.input(index).map { wanted.contains($0) } ?? false }

  /// What is missing for this form of the node.
  func noGradient(_ reason: String) -> GraphError {
    .noGradient(op: forward.op, node: forward.name, reason: reason)
  }
}

extension [String: [Double]] {
  /// Adds to what is there.
  mutating func accumulate(_ gradient: [Double], under name: String) {
    guard var sum = self[name] else {
      self[name] = gradient
      return
    }
    self[name] = nil
    for index in sum.indices { sum[index] += gradient[index] }
    self[name] = sum
  }
}

/// Sums a gradient over the axes along which a value was spread: the gradient of broadcasting.
///
/// - Parameters:
///   - shape: What `gradient` has.
///   - original: A shape that spreads to it.
func summed(_ gradient: [Double], _ shape: [Int], to original: [Int]) -> [Double] {
  if shape == original { return gradient }
  var result = [Double](repeating: 0, count: original.reduce(1, *))
  for (place, source) in Broadcast(original, to: shape).source.enumerated() {
    result[source] += gradient[place]
  }
  return result
}

/// The numbers of a value spread to another shape.
func spread(_ numbers: [Double], _ shape: [Int], to target: [Int]) -> [Double] {
  shape == target ? numbers : Broadcast(shape, to: target).source.map { numbers[$0] }
}
