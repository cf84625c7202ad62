internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension PatternSearch {
  /// Turns on the Softmax: softmax(α q · kᵀ + mask) · v of many heads, with the Transposes around it
  /// that only bring the heads forward and back.
  func attention(_ root: Int) -> FusedPattern? {
    guard node(root).op == "Softmax", let shape = types[node(root).inputs[0]]?.sizes,
      shape.count == 4,
      [-1, 3].contains(node(root).int("axis", default: graph.opset < 13 ? 1 : -1)),
      let product = reader(root, "MatMul"), node(product).inputs[0] == node(root).outputs[0]
    else { return nil }
    var members = [root, product]
    var value = node(root).inputs[0]
    var inputs = ["", "", node(product).inputs[1]]
    if let sum = producer(value, "Add"), let (scores, mask) = masked(sum, shape) {
      members.append(sum)
      inputs.append(mask)
      value = scores
    }
    var scale: Float = 1
    if let scaled = producer(value, "Mul", "Div"),
      let line = Activation.line(
        node(scaled), constant: { constant($0) }, rank: { _ in 4 }, exactly: false),
      line.function.beta == 0
    {
      members.append(scaled)
      scale = line.function.alpha
      value = node(scaled).inputs[line.argument]
    }
    guard let scores = producer(value, "MatMul") else { return nil }
    // Images and heads must be there in each factor: the kernel spreads none.
    for factor in node(scores).inputs + [node(product).inputs[1]] {
      guard let sizes = types[factor]?.sizes, sizes.count == 4, sizes[0] == shape[0],
        sizes[1] == shape[1]
      else { return nil }
    }
    members.append(scores)
    inputs.replaceSubrange(0...1, with: node(scores).inputs)
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
      ["orders": .ints(orders + order), "scale": .float(scale)])
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

  /// A factor without the Transposes that only the attention reads, and the order of its axes.
  private func turned(
    _ value: String
  ) -> (value: String, order: [Int], transposes: [Int])? {
    guard types[value]?.sizes?.count == 4 else { return nil }
    var (value, order, transposes) = (value, [0, 1, 2, 3], [Int]())
    while let transpose = producer(value, "Transpose"),
      reader(transpose, "MatMul", "Transpose") != nil, let given = node(transpose).ints("perm"),
      given.count == 4
    {
      order = order.map { given[$0] }
      transposes.append(transpose)
      value = node(transpose).inputs[0]
    }
    return (value, order, transposes)
  }
}
