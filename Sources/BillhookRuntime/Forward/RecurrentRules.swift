internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor
internal import OrderedCollections

/// RNN, GRU and LSTM.
enum RecurrentRules {
  static func layer(_ l: Lowering, _ step: Step) throws(RuntimeError) -> LoweredValue {
    let node = step.node
    let form = try RecurrentForm(node, mode: l.mode)
    func optional(_ index: Int) throws(RuntimeError) -> PlanValue? {
      guard let name = node.input(index) else { return nil }
      return [3, 7].contains(index) ? try l.parameter(name) : try l.float(name)
    }
    let outputs = try l.plan.recurrent(
      form.kernelForm, try l.float(node.inputs[0]), try l.parameter(node.inputs[1]),
      try l.parameter(node.inputs[2]), bias: try optional(3),
      lengths: try node.input(4).map { name throws(RuntimeError) in try lengths(l, name, node) },
      state: try optional(5), cell: try optional(6), peepholes: try optional(7))
    l.sequences[step.output] = outputs[0]
    for (name, value) in zip(node.outputs, outputs) where !name.isEmpty {
      l.define(name, .computed(value))
    }
    guard let value = l.value(step.output) else { throw .unknownValue(name: step.output) }
    return value
  }

  private static func lengths(
    _ l: Lowering, _ name: String, _ node: Node
  ) throws(RuntimeError) -> PlanValue {
    switch l.value(name) {
    case .computed(let value)? where value.elementType == .int32: return value
    case .constant(let tensor)? where tensor.elementType == .int32:
      return try l.plan.constant(tensor)
    default:
      throw .unsupportedForm(
        node: node.displayName, op: node.op, found: "the lengths \"\(name)\"",
        expected: "int32 values of the plan")
    }
  }

  /// Back through time.
  static func gradient(_ b: Backward, _ step: Step, _ dy: PlanValue) throws(RuntimeError) {
    let node = step.node
    guard let y = b.lowering.sequences[step.output] else { return }
    func given(_ index: Int) -> PlanValue? {
      index < node.outputs.count ? b.gradient(of: node.outputs[index]) : nil
    }
    func isWanted(_ index: Int) -> Bool { node.input(index).map { b.wants($0) } ?? false }
    // Of the inputs, in the order of the kernel's gradients.
    let places = [0, 1, 2, 3, 5, 6, 7]
    let gradients = try b.plan.recurrentBackward(
      y, dy: given(0), lastState: given(1), lastCell: given(2), wanted: places.map(isWanted))
    for (place, id) in zip(places, gradients) {
      guard let name = node.input(place), let id else { continue }
      let shape = try b.forward(name).shape
      try b.accumulate(name, PlanValue(id: id, shape: shape, elementType: .float32))
    }
  }
}

/// The attributes of a recurrent node whose form has a kernel.
struct RecurrentForm {
  let kernelForm: bh_recurrent

  /// - Throws: ``RuntimeError/unsupportedForm(node:op:found:expected:)`` for forms that only the
  ///   operator's definition computes: other activations than the usual ones, and in training gates
  ///   that are coupled or clipped.
  init(_ node: Node, mode: PlanMode) throws(RuntimeError) {
    func refused(_ found: String, _ expected: String) -> RuntimeError {
      .unsupportedForm(node: node.displayName, op: node.op, found: found, expected: expected)
    }
    let direction = node.string("direction", default: "forward")
    let directions = direction == "bidirectional" ? 2 : 1
    var form = bh_recurrent(
      kind: BH_RECURRENT_LSTM, directions: Int32(directions),
      backwards: direction == "reverse" ? 1 : 0,
      batch_first: node.int("layout", default: 0) == 0 ? 0 : 1,
      linear_before_reset: node.int("linear_before_reset", default: 0) == 0 ? 0 : 1,
      coupled: node.int("input_forget", default: 0) == 0 ? 0 : 1, relu: 0,
      limit: node.float("clip", default: .infinity))
    var usual = ["sigmoid", "tanh", "tanh"]
    switch node.op {
    case "GRU":
      form.kind = BH_RECURRENT_GRU
      usual = ["sigmoid", "tanh"]
    case "RNN":
      form.kind = BH_RECURRENT_SIMPLE
      usual = ["tanh"]
    default: break
    }
    if case .strings(let stated)? = node.attributes["activations"], !stated.isEmpty {
      let names = stated.map { String(decoding: $0, as: UTF8.self).lowercased() }
      let all = (0..<directions).flatMap { _ in usual }
      if node.op == "RNN", names == all.map({ _ in "relu" }) {
        form.relu = 1
      } else if names != all {
        throw refused("the activations \(names)", "\(all)")
      }
    }
    guard form.limit > 0 else { throw refused("a clip of \(form.limit)", "a positive one") }
    if mode == .training {
      guard form.limit == .infinity, form.coupled == 0 else {
        throw refused("clipped or coupled gates", "gates without either")
      }
    }
    kernelForm = form
  }
}
