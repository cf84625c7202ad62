internal import BillhookGraph
internal import BillhookTensor

/// Attention in one operation: ONNX's own operator, and what ``PatternSearch`` recognises.
enum AttentionRules {
  static func pattern(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let mask = try node.input(3).map { name throws(RuntimeError) in try l.float(name) }
    return .computed(
      try l.plan.attention(
        try l.float(node.inputs[0]), try l.float(node.inputs[1]), try l.float(node.inputs[2]),
        mask, orders: node.ints("orders") ?? [],
        AttentionForm(
          scale: node.float("scale", default: 1),
          undefinedIsZero: node.int("undefined_is_zero", default: 0) != 0),
        l.shape(node.outputs[0])))
  }

  static func attention(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    try checkForm(l, node)
    let q = try heads(l, node, 0, "q_num_heads")
    let (k, keysTurned) = try present(l, node, try heads(l, node, 1, "kv_num_heads"), past: 4)
    let (v, valuesTurned) = try present(l, node, try heads(l, node, 2, "kv_num_heads"), past: 5)
    let isFlat = l.shape(node.inputs[0]).count == 3
    let size = q.shape[3]
    let (queries, keys) = (q.shape[isFlat ? 1 : 2], k.shape[keysTurned ? 1 : 2])
    let form = AttentionForm(
      scale: node.float("scale", default: Float(1 / Double(size).squareRoot())),
      cap: max(node.float("softcap", default: 0), 0),
      past: node.int("is_causal", default: 0) == 0
        ? nil : node.input(4).map { l.shape($0)[2] } ?? 0,
      hiddenIsZero: true)
    let split = [0, 2, 1, 3]
    let whole = [0, 1, 2, 3]
    let orders =
      (isFlat ? split : whole) + (keysTurned ? [0, 2, 3, 1] : [0, 1, 3, 2])
      + (valuesTurned ? split : whole) + (isFlat ? split : whole)
    let shape = l.shape(node.outputs[0])
    let y = try l.plan.attention(
      q, k, v, try mask(l, node, keys: keys), orders: orders, form,
      isFlat ? [shape[0], queries, q.shape[2], v.shape[3]] : shape)
    return .computed(try l.plan.reshape(y, shape))
  }

  /// Refuses what the kernel does not do.
  private static func checkForm(_ l: Lowering, _ node: Node) throws(RuntimeError) {
    func refuse(_ found: String, _ expected: String) -> RuntimeError {
      .unsupportedForm(node: node.displayName, op: node.op, found: found, expected: expected)
    }
    guard l.mode == .inference else { throw refuse("a training step", "inference") }
    guard node.outputs[0] != "" else { throw refuse("its result left out", "the first output") }
    guard node.input(6) == nil else {
      throw refuse("numbers of valid keys", "a mask that hides the others")
    }
    guard node.int("left_window_size", default: -1) < 0,
      node.int("right_window_size", default: -1) < 0
    else { throw refuse("a window", "queries that see all keys, or all before them") }
    let isRead = node.outputs.dropFirst(3).contains { output in
      !output.isEmpty
        && (l.graph.nodes.contains { $0.reads.contains(output) }
          || l.graph.outputs.contains { $0.name == output })
    }
    guard !isRead else { throw refuse("its scores read by somebody", "the other outputs") }
  }

  /// A factor with four axes: `[batch, heads, steps, size]` as it is, or `[batch, steps, heads, size]`
  /// when the heads lie side by side.
  private static func heads(
    _ l: Lowering, _ node: Node, _ index: Int, _ attribute: String
  ) throws(RuntimeError) -> PlanValue {
    let x = try l.float(node.inputs[index])
    guard x.shape.count == 3 else { return x }
    let count = node.int(attribute, default: 1)
    return try l.plan.reshape(x, [x.shape[0], x.shape[1], count, x.shape[2] / count])
  }

  /// The keys or values of the steps before with the new ones behind them, which are an output too.
  ///
  /// - Returns: `[batch, heads, steps, size]`, or what was given when nobody needs that.
  private static func present(
    _ l: Lowering, _ node: Node, _ new: PlanValue, past: Int
  ) throws(RuntimeError) -> (value: PlanValue, isTurned: Bool) {
    let isFlat = l.shape(node.inputs[0]).count == 3
    let output = node.outputs.count > past - 3 ? node.outputs[past - 3] : ""
    let old = node.input(past)
    guard !output.isEmpty || old != nil else { return (new, isFlat) }
    var value = isFlat ? try l.plan.transpose(new, [0, 2, 1, 3]) : new
    if let old {
      var shape = value.shape
      shape[2] += l.shape(old)[2]
      value = try l.plan.concat([try l.float(old), value], axis: 2, shape)
    }
    if !output.isEmpty { l.define(output, .computed(value)) }
    return (value, false)
  }

  /// The mask with a number for each key.
  private static func mask(
    _ l: Lowering, _ node: Node, keys: Int
  ) throws(RuntimeError) -> PlanValue? {
    guard let name = node.input(3) else { return nil }
    let mask: PlanValue
    if let tensor = l.constant(name), tensor.elementType == .bool {
      let hidden = tensor.floats().map { $0 != 0 ? 0 : -Float.infinity }
      mask = try l.plan.constant(Tensor(hidden, shape: tensor.shape))
    } else {
      mask = try l.float(name)
    }
    switch mask.shape.last {
    case keys: return mask
    case 1, nil:
      // The kernel reads one number for each key.
      let shape = Array(mask.shape.dropLast()) + [keys]
      return try l.plan.add(mask, try l.plan.constant(Tensor(zeros: [keys])), shape)
    default:
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "a mask of shape \(mask.shape)",
        expected: "a number for each of \(keys) keys")
    }
  }
}
