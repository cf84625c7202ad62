internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// Operators that only move elements of their first input, to places that their other inputs fix:
/// where each element comes from shows when the operator moves the numbers of their places.
enum MovingRules {
  static let operators: Set<String> = [
    "DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND", "Pad", "Slice",
    "SpaceToDepth", "Split", "Tile",
  ]

  /// Larger values are left to the host, whose way costs less than the list of places.
  private static func limit(_ mode: PlanMode) -> Int { mode == .training ? 1 << 22 : 1 << 18 }

  static func pick(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let x = try l.float(node.inputs[0])
    let count = x.shape.reduce(1, *)
    let made = node.outputs.map { $0.isEmpty ? 0 : l.shape($0).reduce(1, *) }
    guard count + made.reduce(0, +) <= limit(l.mode) else {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "\(count) elements",
        expected: "at most \(limit(l.mode)) that a list of places is made for")
    }
    let places = try places(l, node, shape: x.shape)
    let fill = l.constant(node.input(2)).flatMap { node.op == "Pad" ? $0.floats().first : nil }
    for (index, name) in node.outputs.enumerated() where !name.isEmpty {
      let value = try l.plan.pick(
        x, places[index].integers()!.map { $0 - 1 }, places[index].shape,
        fill: fill ?? node.float("value", default: 0))
      l.define(name, .computed(value))
    }
    guard let value = l.value(step.output) else { throw .unknownValue(name: step.output) }
    return value
  }

  /// For each output the places of its elements in the input, counted from 1; 0 for padding.
  private static func places(
    _ l: Lowering, _ node: Node, shape: [Int]
  ) throws(RuntimeError) -> [Tensor] {
    var node = node
    let numbers = Tensor((0..<shape.reduce(1, *)).map { Int64($0 + 1) }, shape: shape)
    var inputs: [Tensor?] = [numbers]
    for index in node.inputs.indices.dropFirst() {
      guard let name = node.input(index) else {
        inputs.append(nil)
        continue
      }
      guard let tensor = l.constant(name) else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op, found: "the computed input \"\(name)\"",
          expected: "a constant one")
      }
      inputs.append(tensor)
    }
    if node.op == "Pad" {
      node.attributes["value"] = nil
      if node.input(2) != nil { inputs[2] = Tensor(scalar: Int64(0)) }
    }
    do {
      return try ReferenceEvaluator.evaluate(node, opset: l.graph.opset, inputs: inputs)
    } catch {
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "a form that moves no integers",
        expected: "one of today's")
    }
  }

  static func gradient(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let name = step.node.inputs[0]
    for output in step.node.outputs {
      guard !output.isEmpty, let own = b.gradient(of: output) else { continue }
      let dx = try b.plan.pickBackward(own, try b.forward(output), b.lowering.shape(name))
      try b.accumulate(name, dx)
    }
  }
}

/// Sums and means over axes.
enum ReductionRules {
  static let operators: Set<String> = ["ReduceMean", "ReduceSum"]

  /// The input's shape with 1 for the axes that are gone.
  private static func kept(_ l: Lowering, _ node: Node) throws(RuntimeError) -> [Int] {
    let gone = try l.reducedAxes(node)
    return l.shape(node.inputs[0]).enumerated().map { gone.contains($0.offset) ? 1 : $0.element }
  }

  private static func factor(_ node: Node, _ shape: [Int], _ kept: [Int]) -> Float {
    node.op == "ReduceMean" ? Float(kept.reduce(1, *)) / Float(shape.reduce(1, *)) : 1
  }

  static func reduce(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let x = try l.float(node.inputs[0])
    let kept = try kept(l, node)
    var y = try l.plan.reduce(x, to: kept)
    let factor = factor(node, x.shape, kept)
    if factor != 1 { y = try l.plan.linear(y, alpha: factor, beta: 0) }
    return .computed(try l.plan.reshape(y, l.shape(node.outputs[0])))
  }

  static func gradient(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    let x = try b.forward(node.inputs[0])
    let kept = try kept(b.lowering, node)
    var dx = try b.plan.reshape(dy, kept)
    let factor = factor(node, x.shape, kept)
    if factor != 1 { dx = try b.plan.linear(dx, alpha: factor, beta: 0) }
    if kept != x.shape {
      dx = try b.plan.add(try b.plan.constant(Tensor(zeros: x.shape)), dx, x.shape)
    }
    try b.accumulate(node.inputs[0], dx)
  }
}

extension Lowering {
  /// The axes over which a node reduces, ascending: all of them when none is named, unless it says
  /// that this means none.
  func reducedAxes(_ node: Node) throws(RuntimeError) -> [Int] {
    let rank = shape(node.inputs[0]).count
    var axes = node.ints("axes") ?? []
    if let name = node.input(1) {
      guard let named = constant(name)?.integers() else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op, found: "computed axes", expected: "constant ones")
      }
      axes = named
    }
    if axes.isEmpty {
      return node.int("noop_with_empty_axes", default: 0) != 0 ? [] : Array(0..<rank)
    }
    return Set(axes.map { $0 < 0 ? $0 + rank : $0 }).sorted()
  }
}
