internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// RotaryEmbedding: pairs of channels turned by angles that belong to their positions.
enum RotaryRules {
  static func rotate(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let x = try l.float(node.inputs[0])
    let (cosines, sines) = try angles(l, node)
    return .computed(
      try l.plan.rotary(x, cosines: cosines, sines: sines, form(node, x.shape)))
  }

  static func gradient(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    let (cosines, sines) = try angles(b.lowering, node)
    try b.accumulate(
      node.inputs[0],
      try b.plan.rotary(
        dy, cosines: cosines, sines: sines, form(node, dy.shape), backward: true))
  }

  private static func form(_ node: Node, _ shape: [Int]) -> RotaryForm {
    let headsFirst = shape.count == 4
    let heads = headsFirst ? shape[1] : node.int("num_heads", default: 1)
    let size = headsFirst ? shape[3] : shape[2] / heads
    let stated = node.int("rotary_embedding_dim", default: 0)
    return RotaryForm(
      images: shape[0], heads: heads, steps: headsFirst ? shape[2] : shape[1], size: size,
      rotated: stated == 0 ? size : stated, headsFirst: headsFirst,
      isInterleaved: node.int("interleaved", default: 0) != 0)
  }

  /// The cosines and sines of each position of each image.
  private static func angles(
    _ l: Lowering, _ node: Node
  ) throws(RuntimeError) -> (cosines: PlanValue, sines: PlanValue) {
    let names = Array(node.inputs[1...2])
    guard !names.contains(where: { l.dependsOnParameters($0) || l.parameters[$0] != nil }) else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "angles that are trained",
        expected: "angles that training leaves as they are")
    }
    guard let positions = node.input(3) else {
      return (try l.float(names[0]), try l.float(names[1]))
    }
    var chosen: [PlanValue] = []
    for name in names {
      guard let places = l.constant(positions), let table = l.constant(name) else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op, found: "computed positions",
          expected: "constant ones in constant tables")
      }
      let gather = Node("Gather", name: node.name, inputs: [name, positions], outputs: [name])
      let rows: [Tensor]
      do {
        rows = try ReferenceEvaluator.evaluate(
          gather, opset: l.graph.opset, inputs: [table, places])
      } catch {
        throw .graph(error)
      }
      chosen.append(try l.plan.constant(rows[0].asFloat32()))
    }
    return (chosen[0], chosen[1])
  }
}
