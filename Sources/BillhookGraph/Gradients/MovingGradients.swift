internal import BillhookTensor
internal import OrderedCollections

extension GradientRule {
  /// Operators that only move elements: the gradient goes back to where each one came from.
  static let movingFamily: [String: GradientRule] = [
    "CenterCropPad": moving([0]), "Compress": moving([0]), "Concat": moving(nil),
    "DepthToSpace": moving([0]), "Expand": moving([0]), "Flatten": moving([0]),
    "Gather": moving([0]), "GatherElements": moving([0]), "GatherND": moving([0]),
    "MaxUnpool": moving([0]), "OneHot": moving([2]), "Pad": moving([0, 2]),
    "Reshape": moving([0]), "ReverseSequence": moving([0]), "Scatter": scattering,
    "ScatterElements": scattering, "ScatterND": scattering, "Slice": moving([0]),
    "SpaceToDepth": moving([0]), "Split": moving([0]), "Squeeze": moving([0]),
    "TensorScatter": moving([0, 1]), "Tile": moving([0]), "Transpose": moving([0]),
    "Trilu": moving([0]), "Unsqueeze": moving([0]), "Where": moving([1, 2]),
    "TopK": topK,
  ]

  /// A rule for an operator whose outputs hold nothing but elements of some inputs, and zeros.
  ///
  /// The operator itself says where they came from: it is run on the numbers of the elements.
  ///
  /// - Parameter movedInputs: Positions of the inputs whose elements are moved; all when nil.
  static func moving(_ movedInputs: [Int]?) -> GradientRule {
    GradientRule { (context) throws(GraphError) in
      let moved = (movedInputs ?? Array(context.node.inputs.indices))
        .filter { context.forward.optionalTensor($0) != nil }
      var result = [[Double]?](repeating: nil, count: context.node.inputs.count)
      for (index, sources) in try context.sources(of: moved) {
        var gradient = [Double](
          repeating: 0, count: try context.shape(index).reduce(1, *))
        for (output, places) in sources.enumerated() where context.has(output) {
          let dy = context.dy(output)
          for (place, source) in places where dy[place] != 0 { gradient[source] += dy[place] }
        }
        result[index] = gradient
      }
      return result
    }
  }

  /// Updates that replace elements are moved; those that meet them pass their gradient to both.
  private static let scattering = GradientRule { (context) throws(GraphError) in
    let reduction = context.node.string("reduction", default: "none")
    var plain = context.node
    plain.attributes["reduction"] = nil
    if reduction == "none" {
      var result = [[Double]?](repeating: nil, count: 3)
      for (index, sources) in try context.sources(of: [0, 2], as: plain) {
        var gradient = [Double](repeating: 0, count: try context.shape(index).reduce(1, *))
        let dy = context.dy()
        for (place, source) in sources[0] { gradient[source] += dy[place] }
        result[index] = gradient
      }
      return result
    }
    // Where each update goes: gathered from the numbers of the elements.
    let places = try context.forward.scatterPlaces()
    let (x, updates, y) = (try context.x(0), try context.x(2), context.y)
    let dy = context.dy()
    var dx = dy
    var du = places.map { dy[$0] }
    switch reduction {
    case "add": break
    case "mul":
      // The product of all others that meet at a place, zeros included.
      var factors = x.map { [$0] }
      var position: [Int] = []
      for (update, place) in places.enumerated() {
        position.append(factors[place].count)
        factors[place].append(updates[update])
      }
      func others(_ place: Int, _ own: Int) -> Double {
        factors[place].enumerated().reduce(1) { $1.offset == own ? $0 : $0 * $1.element }
      }
      for place in dx.indices { dx[place] *= others(place, 0) }
      for (update, place) in places.enumerated() { du[update] *= others(place, position[update]) }
    default:
      var counts = x.indices.map { x[$0] == y[$0] ? 1.0 : 0 }
      for (update, place) in places.enumerated() where updates[update] == y[place] {
        counts[place] += 1
      }
      for place in dx.indices {
        dx[place] = x[place] == y[place] ? dy[place] / max(counts[place], 1) : 0
      }
      for (update, place) in places.enumerated() {
        du[update] = updates[update] == y[place] ? dy[place] / max(counts[place], 1) : 0
      }
    }
    return [dx, nil, du]
  }

  private static let topK = GradientRule { (context) throws(GraphError) in
    let shape = try context.shape(0)
    let axis = try context.forward.axis(default: -1, rank: shape.count)
    var gradient = [Double](repeating: 0, count: shape.reduce(1, *))
    let (from, to) = (Lines(context.outputShape, axis: axis), Lines(shape, axis: axis))
    let (dy, positions) = (context.dy(), context.outputs[1].integers() ?? [])
    for (line, start) in from.starts.enumerated() {
      for step in 0..<from.count {
        let place = start + step * from.stride
        gradient[to.starts[line] + positions[place] * to.stride] += dy[place]
      }
    }
    return [gradient]
  }
}

extension GradientContext {
  /// For each of some inputs, and each output, the places that hold an element of the input and
  /// which one.
  fileprivate func sources(
    of inputs: [Int], as node: Node? = nil
  ) throws(GraphError) -> [(input: Int, sources: [[(place: Int, source: Int)]])] {
    let node = node ?? forward.node
    var tensors = forward.constants
    var starts: [Int] = []
    var count = 0
    for index in inputs {
      let tensor = try forward.tensor(index)
      // 0 stands for the zeros that an operator fills up with.
      starts.append(count + 1)
      tensors[index] = Tensor(
        (0..<tensor.count).map { Double(count + 1 + $0) }, shape: tensor.shape)
      count += tensor.count
    }
    let context = NodeContext(
      node: node, opset: forward.opset, inputs: tensors.map { $0.map { ValueType(of: $0) } },
      constants: tensors, scope: forward.scope)
    let definition = try OperatorTable.definition(of: node)
    let outputs = try definition.evaluate(context, try definition.checkedTypes(context))
    var result = inputs.map { (input: $0, sources: [[(place: Int, source: Int)]]()) }
    for output in outputs {
      for index in result.indices { result[index].sources.append([]) }
      for (place, number) in output.numbers().enumerated() where number > 0 {
        // The last input that starts at or before the number.
        guard let owner = starts.lastIndex(where: { $0 <= Int(number) }) else { continue }
        result[owner].sources[result[owner].sources.count - 1]
          .append((place, Int(number) - starts[owner]))
      }
    }
    return result
  }
}
