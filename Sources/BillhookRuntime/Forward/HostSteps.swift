internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor
internal import OrderedCollections

/// Where a step on the host leaves a tensor that the plan cannot hold: integers, bool, wider or
/// narrower floats, shapes that are known only while running.
final class HostCell {
  var tensor: Tensor?
}

/// Where a step on the host finds what it reads.
enum HostSource {
  case plan(PlanValue)
  case cell(HostCell)
  case constant(Tensor)
}

/// What a step on the host reads, by name.
struct HostReads {
  private let names: [String]
  private let sources: [HostSource]
  /// Those that come out of the plan, in order.
  let planValues: [PlanValue]

  init(_ reads: [(name: String, source: HostSource)]) {
    names = reads.map(\.name)
    sources = reads.map(\.source)
    planValues = sources.compactMap { if case .plan(let value) = $0 { value } else { nil } }
  }

  /// - Parameter tensors: One for each of ``planValues``.
  func values(_ tensors: some Sequence<Tensor>) -> [String: Tensor] {
    var given = tensors.makeIterator()
    var values: [String: Tensor] = [:]
    for (name, source) in zip(names, sources) {
      switch source {
      case .plan: values[name] = given.next()
      case .cell(let cell): values[name] = cell.tensor
      case .constant(let tensor): values[name] = tensor
      }
    }
    return values
  }
}

extension Lowering {
  /// True for values that a plan holds: those of its element types, none of whose axes is empty.
  func isForPlans(_ type: ValueType) -> Bool {
    guard let sizes = type.sizes, !sizes.contains(0), sizes.count <= Int(BH_PLAN_MAX_RANK) else {
      return false
    }
    return [.float32, .uint8, .int8, .int32].contains(type.elementType)
  }

  /// Adds a node as a step that its operator's definition computes.
  func lowerToHost(_ node: Node) throws(RuntimeError) {
    plan.currentNode = node.displayName
    for name in TrainedInputs.names(of: node, self) { _ = try parameter(name) }
    let reads = HostReads(try hostReads(node.reads))
    var shapes: [[Int]] = []
    var cells: [HostCell?] = []
    for output in node.outputs {
      let type = types[output]
      if let type, type.elementType == .float32, let sizes = type.sizes, isForPlans(type) {
        shapes.append(sizes)
        cells.append(nil)
        continue
      }
      // Integers may have any shape; of what a gradient may go through it must be known.
      let isKnown = type.map { !$0.elementType.isFloatingPoint || $0.sizes != nil } ?? false
      guard output.isEmpty || isKnown else {
        throw .unsupportedForm(
          node: node.displayName, op: node.op,
          found: "the output \"\(output)\", whose shape is known only while running",
          expected: "shapes that follow from those of the inputs")
      }
      cells.append(HostCell())
    }
    let opset = graph.opset
    let values = try plan.host("Host step", reads.planValues, shapes) {
      tensors throws(GraphError) in
      let results = try ReferenceEvaluator.evaluate(node, opset: opset, reads.values(tensors))
      var inPlan: [Tensor] = []
      for (cell, result) in zip(cells, results) {
        if let cell { cell.tensor = result } else { inPlan.append(result) }
      }
      return inPlan
    }
    var made = values.makeIterator()
    let isTrained = node.reads.contains { dependsOnParameters($0) || parameters[$0] != nil }
    for (output, cell) in zip(node.outputs, cells) {
      if let cell {
        define(output, .host(cell))
      } else if let value = made.next() {
        define(output, .computed(value))
      }
      if isTrained, types[output]?.elementType.isFloatingPoint == true { markTrained(output) }
    }
  }

  /// Where a step on the host finds values, each once.
  func hostReads(_ names: [String]) throws(RuntimeError) -> [(name: String, source: HostSource)] {
    var known = Set<String>()
    var reads: [(name: String, source: HostSource)] = []
    for name in names where !name.isEmpty && known.insert(name).inserted {
      if let parameter = parameters[name] {
        reads.append((name, .plan(parameter)))
        continue
      }
      switch value(name) {
      case .constant(let tensor)?: reads.append((name, .constant(tensor)))
      case .host(let cell)?: reads.append((name, .cell(cell)))
      case .computed(let value)?: reads.append((name, .plan(value)))
      default: reads.append((name, .plan(try float(name))))
      }
    }
    return reads
  }
}
