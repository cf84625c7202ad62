internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// The forms themselves. Each is asked for each node, which it takes for the one that the form turns
/// on (an Erf, say).
extension PatternSearch {
  typealias Form = @Sendable (PatternSearch, Int) -> FusedPattern?

  static let forms: [Form] = formsWithGradients + [{ $0.attention($1) }]

  /// Those that training fuses too.
  static let formsWithGradients: [Form] = [
    { $0.layerNorm($1) }, { $0.gelu($1) }, { $0.geluByTanh($1) }, { $0.hardSwish($1) },
    { $0.gated($1) }, { $0.groupNorm($1) },
  ]

  /// Turns on the Sqrt: (x − mean(x)) / sqrt(mean((x − mean(x))²) + ε), with a scale and a shift
  /// behind it where there are.
  func layerNorm(_ root: Int) -> FusedPattern? {
    guard node(root).op == "Sqrt", let sum = producer(node(root).inputs[0], "Add"),
      let quotient = reader(root, "Div"), node(quotient).inputs[1] == node(root).outputs[0]
    else { return nil }
    let terms = node(sum).inputs
    guard let own = terms.firstIndex(where: { number($0) == nil }),
      let epsilon = number(terms[1 - own]), epsilon > 0,
      let variance = producer(terms[own], "ReduceMean"), let axis = lastAxis(variance),
      let square = producer(node(variance).inputs[0], "Pow", "Mul"),
      isSquare(square),
      let difference = producer(node(square).inputs[0], "Sub"),
      let second = producer(node(quotient).inputs[0], "Sub"),
      node(second).inputs[0] == node(difference).inputs[0],
      let mean = producer(node(difference).inputs[1], "ReduceMean"), lastAxis(mean) == axis,
      let secondMean = producer(node(second).inputs[1], "ReduceMean"),
      lastAxis(secondMean) == axis
    else { return nil }
    let x = node(difference).inputs[0]
    guard node(mean).inputs[0] == x, node(secondMean).inputs[0] == x,
      let size = types[x]?.sizes?.last
    else { return nil }
    var members = [
      root, sum, quotient, variance, square, difference, second, mean, secondMean,
    ]
    var inputs = [x, ""]
    var last = quotient
    if let scaled = reader(last, "Mul"), let scale = other(scaled, than: node(last).outputs[0]),
      constant(scale)?.shape == [size]
    {
      inputs[1] = scale
      members.append(scaled)
      last = scaled
    }
    if let shifted = reader(last, "Add"), let shift = other(shifted, than: node(last).outputs[0]),
      constant(shift)?.shape == [size]
    {
      inputs.append(shift)
      members.append(shifted)
    }
    return pattern(
      "LayerNormalization", inputs, members, ["axis": .int(-1), "epsilon": .float(epsilon)])
  }

  /// The axis of a reduction over the last one that keeps it, counted from the front.
  private func lastAxis(_ index: Int) -> Int? {
    let reduction = node(index)
    let axes = reduction.ints("axes") ?? constant(reduction.input(1))?.integers()
    guard let rank = types[reduction.inputs[0]]?.sizes?.count, axes?.count == 1,
      reduction.int("keepdims", default: 1) != 0, let axis = axes?.first,
      axis == -1 || axis == rank - 1
    else { return nil }
    return rank - 1
  }

  private func isSquare(_ index: Int) -> Bool {
    let inputs = node(index).inputs
    return node(index).op == "Mul" ? inputs[0] == inputs[1] : number(inputs[1]) == 2
  }

  /// Turns on the Erf: x · (1 + erf(x / √2)) · ½, the factors in any order.
  func gelu(_ root: Int) -> FusedPattern? {
    guard node(root).op == "Erf", let scaled = producer(node(root).inputs[0], "Div", "Mul") else {
      return nil
    }
    let inputs = node(scaled).inputs
    let isDivision = node(scaled).op == "Div"
    guard let own = isDivision ? 0 : inputs.firstIndex(where: { number($0) == nil }),
      isNear(inputs[1 - own], isDivision ? 1.4142135 : 0.70710678),
      let sum = reader(root, "Add"), isNear(other(sum, than: node(root).outputs[0]), 1),
      let (_, products) = product(behind: sum, x: inputs[own], factor: 0.5)
    else { return nil }
    return pattern("Gelu", [inputs[own]], [root, scaled, sum] + products)
  }

  /// Turns on the Tanh: x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) · ½.
  func geluByTanh(_ root: Int) -> FusedPattern? {
    guard node(root).op == "Tanh", let scaled = producer(node(root).inputs[0], "Mul") else {
      return nil
    }
    let factors = node(scaled).inputs
    guard let own = factors.firstIndex(where: { number($0) == nil }),
      isNear(factors[1 - own], 0.7978846), let inner = producer(factors[own], "Add")
    else { return nil }
    for (x, cubic) in [(0, 1), (1, 0)].map({ (node(inner).inputs[$0], node(inner).inputs[$1]) }) {
      guard let term = producer(cubic, "Mul"),
        let raised = node(term).inputs.first(where: { number($0) == nil }),
        isNear(other(term, than: raised), 0.044715), let power = cube(raised, of: x),
        let sum = reader(root, "Add"), isNear(other(sum, than: node(root).outputs[0]), 1),
        let (_, products) = product(behind: sum, x: x, factor: 0.5)
      else { continue }
      return pattern(
        "Gelu", [x], [root, scaled, inner, term, sum] + power + products,
        ["approximate": .string(Array("tanh".utf8))])
    }
    return nil
  }

  /// The nodes that make `value` = x³.
  private func cube(_ value: String, of x: String) -> [Int]? {
    if let power = producer(value, "Pow") {
      return node(power).inputs[0] == x && number(node(power).inputs[1]) == 3 ? [power] : nil
    }
    guard let outer = producer(value, "Mul"), let square = other(outer, than: x),
      let inner = producer(square, "Mul"), node(inner).inputs == [x, x]
    else { return nil }
    return [outer, inner]
  }

  /// Turns on the Clip: clip(x + b, 0, h) / h is a hard sigmoid; multiplied by x it is a hard swish.
  func hardSwish(_ root: Int) -> FusedPattern? {
    guard node(root).op == "Clip", let sum = producer(node(root).inputs[0], "Add"),
      let clip = Activation(node(root), constant: { constant($0) }), clip.alpha == 0,
      clip.beta > 0, clip.beta < 1e6
    else { return nil }
    let terms = node(sum).inputs
    guard let own = terms.firstIndex(where: { number($0) == nil }),
      let offset = number(terms[1 - own])
    else { return nil }
    let attributes: OrderedDictionary<String, Attribute> = [
      "alpha": .float(1 / clip.beta), "beta": .float(offset / clip.beta),
    ]
    if let (_, products) = product(behind: root, x: terms[own], factor: 1 / clip.beta) {
      return pattern("HardSwish", [terms[own]], [root, sum] + products, attributes)
    }
    guard let quotient = reader(root, "Mul", "Div"),
      let divisor = other(quotient, than: node(root).outputs[0]),
      node(quotient).op == "Div"
        ? node(quotient).inputs[1] == divisor && isNear(divisor, clip.beta)
        : isNear(divisor, 1 / clip.beta)
    else { return nil }
    return pattern("HardSigmoid", [terms[own]], [root, sum, quotient], attributes)
  }

  /// Turns on the gate: x · sigmoid(αx), x · hard sigmoid(x), x · tanh(softplus(x)).
  func gated(_ root: Int) -> FusedPattern? {
    guard let product = reader(root, "Mul"),
      let x = other(product, than: node(root).outputs[0]), x != node(root).outputs[0]
    else { return nil }
    switch node(root).op {
    case "HardSigmoid" where node(root).inputs[0] == x:
      return pattern(
        "HardSwish", [x], [root, product],
        [
          "alpha": .float(node(root).float("alpha", default: 0.2)),
          "beta": .float(node(root).float("beta", default: 0.5)),
        ])
    case "Sigmoid":
      if node(root).inputs[0] == x { return pattern("Swish", [x], [root, product]) }
      guard let scaled = producer(node(root).inputs[0], "Mul"),
        let alpha = number(other(scaled, than: x))
      else { return nil }
      return pattern("Swish", [x], [root, scaled, product], ["alpha": .float(alpha)])
    case "Tanh":
      guard let softplus = producer(node(root).inputs[0], "Softplus"),
        node(softplus).inputs[0] == x
      else { return nil }
      return pattern("Mish", [x], [root, softplus, product])
    default: return nil
    }
  }
}
