internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// Normalisation and reduction of rows.
enum RowRules {
  /// Where the rows of a normalisation begin.
  static func firstAxis(_ node: Node, rank: Int) -> Int {
    let given = node.int("axis", default: -1)
    return given < 0 ? given + rank : given
  }

  static func layerNorm(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    try l.refuseOtherOutputs(node, "statistics")
    let x = try l.float(node.inputs[0])
    let axis = firstAxis(node, rank: x.shape.count)
    func vector(_ index: Int) throws(RuntimeError) -> PlanValue? {
      guard let name = node.input(index) else { return nil }
      guard Array(l.shape(name).drop { $0 == 1 }) == Array(x.shape[axis...].drop { $0 == 1 })
      else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op, found: "factors of shape \(l.shape(name))",
          expected: "the shape of a row, \(Array(x.shape[axis...]))")
      }
      return try l.parameter(name)
    }
    return .computed(
      try l.plan.layerNorm(
        x, scale: try vector(1), shift: try vector(2), axis: axis,
        epsilon: node.float("epsilon", default: 1e-5),
        subtractMean: node.op == "LayerNormalization"))
  }

  private static let reductions: [String: Int32] = [
    "ReduceSum": BH_REDUCE_SUM, "ReduceMean": BH_REDUCE_MEAN, "ReduceMax": BH_REDUCE_MAX,
    "ReduceMin": BH_REDUCE_MIN, "ReduceL1": BH_REDUCE_L1, "ReduceL2": BH_REDUCE_L2,
    "ReduceSumSquare": BH_REDUCE_SQUARES,
  ]

  static func reduce(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let x = try l.float(node.inputs[0])
    let reduced = try l.reducedAxes(node)
    if reduced.isEmpty {
      guard ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"].contains(node.op) else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op, found: "no axes", expected: "some axes")
      }
      return .computed(x)
    }
    let first = reduced[0]
    let range = first..<first + reduced.count
    guard let kind = reductions[node.op], Array(range) == reduced else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "the axes \(reduced)",
        expected: "neighbouring axes")
    }
    return .computed(try l.plan.reduce(x, kind, axes: range, l.shape(node.outputs[0])))
  }
}
