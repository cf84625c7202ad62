internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// Normalisation of groups of channels: InstanceNormalization has a group for each channel.
enum GroupNormRules {
  /// How a node cuts `[N, C, D…]`.
  private struct Form {
    let groups: Int
    /// Parts of a group with a scale and a shift each: its channels, or the group as a whole.
    let parts: Int
    let epsilon: Float
    /// `[N · groups, elements of a group]`
    let rows: [Int]
    /// `[N, groups · parts, elements of a part]`
    let pieces: [Int]

    /// - Throws: ``RuntimeError`` when scale and shift have neither a number for each group nor for
    ///   each channel.
    init(_ node: Node, _ l: Lowering) throws(RuntimeError) {
      let shape = l.shape(node.inputs[0])
      let groups =
        node.op == "InstanceNormalization" ? shape[1] : node.int("num_groups", default: 1)
      let counts = Set((1...2).compactMap { node.input($0) }.map { l.shape($0).reduce(1, *) })
      // Until operator set 20 a GroupNormalization has a number for each group.
      let count = counts.first ?? groups
      guard counts.count <= 1, count == groups || count == shape[1] else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op, found: "\(counts.sorted()) factors",
          expected: "\(groups) or \(shape[1])")
      }
      let elements = shape.dropFirst().reduce(1, *)
      self.groups = groups
      parts = count / groups
      epsilon = node.float("epsilon", default: 1e-5)
      rows = [shape[0] * groups, elements / groups]
      pieces = [shape[0], count, elements / count]
    }
  }

  static func normalize(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let form = try Form(node, l)
    func factors(_ index: Int) throws(RuntimeError) -> PlanValue? {
      guard let name = node.input(index) else { return nil }
      return try l.parameter(name)
    }
    return .computed(
      try l.plan.groupNorm(
        try l.float(node.inputs[0]), scale: try factors(1), shift: try factors(2),
        groups: form.groups, parts: form.parts, epsilon: form.epsilon, step.activations))
  }

  /// The gradient of a layer normalisation of rows without factors, and those of the factors apart.
  static func gradient(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    let plan = b.plan
    let form = try Form(node, b.lowering)
    let x = try b.forward(node.inputs[0])
    let rows = try plan.reshape(x, form.rows)
    let given = try plan.reshape(dy, form.pieces)
    if let name = node.input(2), b.wants(name) {
      let sums = try plan.reduce(given, to: [form.pieces[1], 1])
      try b.accumulate(name, try plan.reshape(sums, b.lowering.shape(name)))
    }
    if let name = node.input(1), b.wants(name) {
      let standard = try plan.layerNorm(
        rows, scale: nil, shift: nil, axis: 1, epsilon: form.epsilon, subtractMean: true)
      let products = try plan.binary(
        given, try plan.reshape(standard, form.pieces), BH_BINARY_MUL, form.pieces)
      let sums = try plan.reduce(products, to: [form.pieces[1], 1])
      try b.accumulate(name, try plan.reshape(sums, b.lowering.shape(name)))
    }
    guard b.wants(node.inputs[0]) else { return }
    var scaled = given
    if let name = node.input(1) {
      let scale = try plan.reshape(try b.forward(name), [form.pieces[1], 1])
      scaled = try plan.binary(given, scale, BH_BINARY_MUL, form.pieces)
    }
    let dx = try plan.layerNormBackward(
      try plan.reshape(scaled, form.rows), rows, scale: nil, axis: 1, epsilon: form.epsilon,
      subtractMean: true, wantsScale: false, wantsShift: false
    ).data
    try b.accumulate(node.inputs[0], try plan.reshape(dx, x.shape))
  }
}
