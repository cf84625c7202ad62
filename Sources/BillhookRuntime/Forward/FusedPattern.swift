internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// Several nodes that compute what one operator does: the forms in which exporters write a layer
/// normalisation, GELU, Swish and their like.
struct FusedPattern {
  /// The operator's node; its output is that of the last member.
  var node: Node
  /// Positions of the nodes in the graph, ascending.
  var members: [Int]
}

/// A graph to look for patterns in.
struct PatternSearch {
  let graph: Graph
  let types: [String: ValueType]
  private let consumers: [String: [Int]]
  private let producers: [String: Int]
  private let constants: [String: Tensor]
  /// Values that must exist on their own.
  private let kept: Set<String>

  init(_ graph: Graph, types: [String: ValueType], keeping kept: Set<String>) {
    self.graph = graph
    self.types = types
    self.kept = kept
    consumers = graph.consumers()
    producers = graph.producers()
    constants = graph.constantTensors()
  }

  /// The graph with every pattern as one node, and the nodes that each such node stands for, by its
  /// output.
  func fused(_ forms: [Form]) -> (graph: Graph, members: [String: [Node]]) {
    var result = graph
    var nodes: [Node?] = graph.nodes
    var members: [String: [Node]] = [:]
    var taken = Set<Int>()
    for index in graph.nodes.indices {
      for form in forms {
        guard let pattern = form(self, index), isWhole(pattern),
          taken.isDisjoint(with: pattern.members)
        else { continue }
        taken.formUnion(pattern.members)
        members[pattern.node.outputs[0]] = pattern.members.map { graph.nodes[$0] }
        for position in pattern.members { nodes[position] = nil }
        nodes[pattern.members.last!] = pattern.node
        break
      }
    }
    result.nodes = nodes.compactMap { $0 }
    return (result, members)
  }

  /// Nobody outside reads what the members hand to each other.
  private func isWhole(_ pattern: FusedPattern) -> Bool {
    let members = Set(pattern.members)
    // What it reads is made outside.
    guard pattern.node.inputs.allSatisfy({ producers[$0].map { !members.contains($0) } ?? true }),
      // Numbers with more axes than the argument give the result more axes; attention turns its own.
      pattern.node.op == PatternSearch.attention
        || types[pattern.node.outputs[0]] == types[pattern.node.inputs[0]]
    else { return false }
    return pattern.members.dropLast().allSatisfy { position in
      graph.nodes[position].outputs.allSatisfy { output in
        !kept.contains(output) && (consumers[output] ?? []).allSatisfy { members.contains($0) }
      }
    }
  }

  // MARK: What forms ask for

  func node(_ index: Int) -> Node { graph.nodes[index] }

  /// The node that makes a value, when it is of one of the operators.
  func producer(_ value: String, _ ops: String...) -> Int? {
    producers[value].flatMap { ops.contains(graph.nodes[$0].op) ? $0 : nil }
  }

  func constant(_ name: String?) -> Tensor? { name.flatMap { constants[$0] } }

  /// The one number that a constant holds.
  func number(_ name: String?) -> Float? {
    guard let tensor = constant(name), tensor.count == 1, tensor.elementType == .float32 else {
      return nil
    }
    return tensor.floats()[0]
  }

  func isNear(_ name: String?, _ value: Float) -> Bool {
    number(name).map { abs($0 - value) <= 1e-5 * abs(value) } ?? false
  }

  /// The nodes that read a node's output.
  func readers(_ index: Int) -> Set<Int> { Set(consumers[node(index).outputs[0]] ?? []) }

  /// The only reader of a node's output, when it is of one of the operators.
  func reader(_ index: Int, _ ops: String...) -> Int? {
    guard let reader = readers(index).first, readers(index).count == 1,
      ops.contains(node(reader).op)
    else { return nil }
    return reader
  }

  /// The operand of a node of two that is not `value`.
  func other(_ index: Int, than value: String) -> String? {
    let inputs = node(index).inputs
    guard inputs.count == 2, let own = inputs.firstIndex(of: value) else { return nil }
    return inputs[1 - own]
  }

  /// The last of the products behind a node that together multiply its output by `x` and by `factor`,
  /// in any order, and all of them.
  func product(
    behind index: Int, x: String, factor: Float
  ) -> (last: Int, members: [Int])? {
    var needsX = true
    var needsFactor = factor != 1
    var current = index
    var members: [Int] = []
    while needsX || needsFactor {
      guard let next = reader(current, "Mul", "Div"),
        let operand = other(next, than: node(current).outputs[0])
      else { return nil }
      if node(next).op == "Div" {
        guard needsFactor, node(next).inputs[1] == operand, isNear(operand, 1 / factor) else {
          return nil
        }
        needsFactor = false
      } else if needsX, operand == x {
        needsX = false
      } else if needsFactor, isNear(operand, factor) {
        needsFactor = false
      } else if needsX, needsFactor, let both = producer(operand, "Mul"),
        let scale = other(both, than: x), isNear(scale, factor)
      {
        (needsX, needsFactor) = (false, false)
        members.append(both)
      } else {
        return nil
      }
      members.append(next)
      current = next
    }
    return (current, members)
  }

  /// A pattern that makes what its last member makes.
  func pattern(
    _ op: String, _ inputs: [String], _ members: [Int],
    _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) -> FusedPattern? {
    let members = Set(members).sorted()
    guard let last = members.last else { return nil }
    let node = Node(
      op, name: node(last).displayName, inputs: inputs, outputs: [node(last).outputs[0]],
      attributes: attributes)
    return FusedPattern(node: node, members: members)
  }
}
