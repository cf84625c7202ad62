internal import BillhookGraph
internal import BillhookTensor

/// What ``PatternSearch`` recognises as attention.
enum AttentionRules {
  static func attention(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let mask = try node.input(3).map { name throws(RuntimeError) in try l.float(name) }
    return .computed(
      try l.plan.attention(
        try l.float(node.inputs[0]), try l.float(node.inputs[1]), try l.float(node.inputs[2]),
        mask, orders: node.ints("orders") ?? [], scale: node.float("scale", default: 1),
        l.shape(node.outputs[0])))
  }
}
