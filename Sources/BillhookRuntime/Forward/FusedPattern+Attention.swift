internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension PatternSearch {
  /// Turns on the Softmax: softmax(α q · kᵀ + mask) · v of many heads, with the Transposes around it
  /// that only bring the heads forward and back. α may be spread over q and k, and weights that are no
  /// numbers may be replaced by 0, both as PyTorch's exporter writes them.
  func attention(_ root: Int) -> FusedPattern? {
    guard node(root).op == "Softmax", let shape = types[node(root).inputs[0]]?.sizes,
      shape.count == 4,
      [-1, 3].contains(node(root).int("axis", default: graph.opset < 13 ? 1 : -1))
    else { return nil }
    let replacement = zerosForUndefined(root)
    let weights = replacement?.last ?? root
    guard let product = reader(weights, "MatMul"),
      node(product).inputs[0] == node(weights).outputs[0]
    else { return nil }
    var members = [root, product] + (replacement ?? [])
    var value = node(root).inputs[0]
    var inputs = ["", "", node(product).inputs[1]]
    if let sum = producer(value, "Add"), let (scores, mask) = masked(sum, shape) {
      members.append(sum)
      inputs.append(mask)
      value = scores
    }
    var scale: Float = 1
    func unscaled(_ value: String) -> String {
      guard let scaled = producer(value, "Mul", "Div"), isReadOnce(scaled),
        let line = Activation.line(
          node(scaled), constant: { constant($0) }, rank: { _ in 4 }, exactly: false),
        line.function.beta == 0
      else { return value }
      members.append(scaled)
      scale *= line.function.alpha
      return node(scaled).inputs[line.argument]
    }
    value = unscaled(value)
    guard let scores = producer(value, "MatMul") else { return nil }
    // Images and heads must be there in each factor: the kernel spreads none.
    for factor in node(scores).inputs + [node(product).inputs[1]] {
      guard let sizes = types[factor]?.sizes, sizes.count == 4, sizes[0] == shape[0],
        sizes[1] == shape[1]
      else { return nil }
    }
    members.append(scores)
    inputs.replaceSubrange(0...1, with: node(scores).inputs.map(unscaled))
    var orders: [Int] = []
    for index in 0...2 {
      guard let (name, order, transposes) = turned(inputs[index]),
        order[index == 1 ? 2 : 3] == 3
      else { return nil }
      inputs[index] = name
      orders += order
      members += transposes
    }
    var order = [0, 1, 2, 3]
    if let back = reader(product, "Transpose"), let given = node(back).ints("perm"),
      given.count == 4, given[3] == 3
    {
      order = given
      members.append(back)
    }
    return pattern(
      PatternSearch.attention, inputs, members,
      [
        "orders": .ints(orders + order), "scale": .float(scale),
        "undefined_is_zero": .int(replacement == nil ? 0 : 1),
      ])
  }

  /// The attention that has nodes in its middle which no kernel runs: it must be found before a graph is
  /// cut into what kernels run and what the host does.
  func safeAttention(_ root: Int) -> FusedPattern? {
    guard node(root).op == "Softmax", zerosForUndefined(root) != nil,
      let pattern = attention(root), ForwardRules.runs(pattern.node, graph, types)
    else { return nil }
    return pattern
  }

  /// What a pattern of attention is called; no operator of ONNX means the same.
  static let attention = "billhook.Attention"

  /// The scores and the mask of a sum of both.
  private func masked(_ sum: Int, _ shape: [Int]) -> (scores: String, mask: String)? {
    for (scores, mask) in [(0, 1), (1, 0)].map({ (node(sum).inputs[$0], node(sum).inputs[$1]) }) {
      guard producer(scores, "MatMul", "Mul", "Div") != nil, types[scores]?.sizes == shape,
        let sizes = types[mask]?.sizes, sizes.count <= 4, sizes.last == shape[3],
        zip(sizes.reversed(), shape.reversed()).allSatisfy({ $0 == 1 || $0 == $1 })
      else { continue }
      return (scores, mask)
    }
    return nil
  }

  /// What writes 0 where the output of a Softmax is no number: IsNaN and Where.
  private func zerosForUndefined(_ softmax: Int) -> [Int]? {
    let weights = node(softmax).outputs[0]
    guard readers(softmax).count == 2,
      let test = readers(softmax).first(where: { node($0).op == "IsNaN" }),
      let choice = reader(test, "Where"), readers(softmax).contains(choice),
      node(choice).inputs[0] == node(test).outputs[0], node(choice).inputs[2] == weights,
      number(node(choice).inputs[1]) == 0
    else { return nil }
    return [test, choice]
  }

  private func isReadOnce(_ index: Int) -> Bool { readers(index).count == 1 }

  /// A factor without the Transposes that only the attention reads, and the order of its axes.
  private func turned(
    _ value: String
  ) -> (value: String, order: [Int], transposes: [Int])? {
    guard types[value]?.sizes?.count == 4 else { return nil }
    var (value, order, transposes) = (value, [0, 1, 2, 3], [Int]())
    while let (source, turn, members) = transposed(value) ?? transposedStack(value) {
      order = order.map { turn[$0] }
      transposes += members
      value = source
    }
    return (value, order, transposes)
  }

  private func transposed(_ value: String) -> (source: String, order: [Int], members: [Int])? {
    guard let transpose = producer(value, "Transpose"), isReadOnce(transpose),
      let order = node(transpose).ints("perm"), order.count == 4
    else { return nil }
    return (node(transpose).inputs[0], order, [transpose])
  }

  /// The last two axes exchanged while the others were one: Reshape, Transpose, Reshape.
  private func transposedStack(
    _ value: String
  ) -> (source: String, order: [Int], members: [Int])? {
    guard let back = producer(value, "Reshape"), isReadOnce(back),
      let transpose = producer(node(back).inputs[0], "Transpose"), isReadOnce(transpose),
      node(transpose).ints("perm") == [0, 2, 1],
      let stack = producer(node(transpose).inputs[0], "Reshape"), isReadOnce(stack),
      let sizes = types[node(stack).inputs[0]]?.sizes, sizes.count == 4,
      types[node(stack).outputs[0]]?.sizes == [sizes[0] * sizes[1], sizes[2], sizes[3]],
      types[value]?.sizes == [sizes[0], sizes[1], sizes[3], sizes[2]]
    else { return nil }
    return (node(stack).inputs[0], [0, 1, 3, 2], [stack, transpose, back])
  }
}
