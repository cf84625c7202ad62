internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// The graph in which the target of each Reshape, the sizes of each Split and the places of each
  /// Slice are constant where they can be said without computing. In a target an axis that stays as it
  /// is has a 0, and one may have a -1.
  ///
  /// Exporters compute them from the shapes of values, from the number of channels or heads too. Whoever
  /// changes these numbers has to write them down first. Nodes whose outputs nothing reads any more
  /// are left out.
  ///
  /// - Throws: ``GraphError`` when a node is wrong.
  public func statingSizes() throws(GraphError) -> Graph {
    let scope = try inferScope()
    let constants = constantTensors()
    var result = self
    var names = NamePool(self)
    var computed: [String] = []
    for (index, node) in nodes.enumerated() {
      for (input, key) in node.statedInputs {
        guard let value = node.input(input), constants[value] == nil,
          let numbers = node.op == "Reshape" ? node.reshapeTarget(scope) : scope.constants[value]
        else { continue }
        let name = names.unused("\(node.displayName)_\(key)")
        result.initializers[name] = Initializer(numbers)
        result.nodes[index].inputs[input] = name
        computed.append(value)
      }
    }
    result.dropUnread(computed)
    return result
  }

  /// Removes the nodes that make these values, and those in front of them, where nothing reads what
  /// they make.
  private mutating func dropUnread(_ values: [String]) {
    var open = Set(values)
    var kept: [Node] = []
    var gone: [Node] = []
    var read = Set(outputs.map(\.name))
    for node in nodes.reversed() {
      if !open.isDisjoint(with: node.outputs), read.isDisjoint(with: node.outputs) {
        open.formUnion(node.inputs)
        gone.append(node)
      } else {
        read.formUnion(node.reads)
        kept.append(node)
      }
    }
    nodes = kept.reversed()
    dropUnreadConstants(gone.flatMap(\.inputs))
    let names = Set(gone.flatMap(\.outputs))
    valueInfos.removeAll { names.contains($0.name) }
  }
}

extension Node {
  /// The inputs that say how many elements go where, and what they are called.
  fileprivate var statedInputs: [(input: Int, key: String)] {
    switch op {
    case "Reshape": int("allowzero", default: 0) == 0 ? [(1, "shape")] : []
    case "Split": [(1, "split")]
    case "Slice": [(1, "starts"), (2, "ends"), (3, "axes"), (4, "steps")]
    default: []
    }
  }

  /// The target that gives a Reshape's output its shape for each input; nil when more than one axis
  /// could only be told while the graph runs.
  fileprivate func reshapeTarget(_ scope: ValueScope) -> Tensor? {
    guard let old = input(0).flatMap({ scope[$0] })?.shape, let new = scope[outputs[0]]?.shape
    else {
      return nil
    }
    var sizes: [Int] = []
    for (axis, size) in new.enumerated() {
      if let number = size.size {
        // A 0 would mean what stands in the old shape.
        guard number > 0 else { return nil }
        sizes.append(number)
      } else if axis < old.count, old[axis].isSame(as: size) {
        sizes.append(0)
      } else if !sizes.contains(-1) {
        sizes.append(-1)
      } else {
        return nil
      }
    }
    return Tensor(sizes.map { Int64($0) })
  }
}
