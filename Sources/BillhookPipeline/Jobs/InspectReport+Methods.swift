internal import BillhookCompression
internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

extension InspectReport {
  /// Tensors of numbers with a fraction or of 8 bits, which are what weights are stored as.
  static func places(_ graph: Graph) -> [Place] {
    var places: OrderedDictionary<String, Place> = [:]
    func add(_ initializer: Initializer, _ place: String) {
      let tensor = initializer.tensor
      let name = initializer.file.map { "file \"\($0)\"" } ?? place
      guard tensor.elementType.isFloatingPoint || tensor.elementType.byteCount == 1,
        tensor.elementType != .bool
      else { return }
      places[name, default: Place(name: name, tensors: 0, elements: 0, bytes: 0)].tensors += 1
      places[name]!.elements += tensor.count
      places[name]!.bytes += tensor.byteCount
    }
    func visit(_ graph: Graph, suffix: String) {
      for initializer in graph.initializers.values {
        add(initializer, "initializers\(suffix)")
      }
      for node in graph.nodes {
        if case .tensor(let initializer)? = node.attributes["value"], node.op == "Constant" {
          add(initializer, "Constant nodes\(suffix)")
        } else if let tensor = node.constantTensor {
          add(Initializer(tensor), "Constant nodes\(suffix)")
        }
        for body in node.subgraphs { visit(body, suffix: " in subgraphs") }
      }
    }
    visit(graph, suffix: "")
    return Array(places.values)
  }

  /// What each method reaches.
  static func methods(
    _ graph: Graph, cost: NetworkCost, groups: [Group]
  ) throws -> [Method] {
    let reaching = try graph.reachingWeights()
    let names = try reaching.layers().filter {
      reaching.constant($0.weight)?.elementType.isFloatingPoint == true
    }
    let others = otherWeights(graph)
    var methods: [Method] = []
    let stored = cost.layers.count
    methods.append(
      Method(
        name: "prune elements", reached: names.count, total: max(stored, names.count),
        left: (stored > names.count
          ? ["\(stored - names.count) layers: their weights are not kept as floating-point numbers"]
          : []) + others))
    let frozen = groups.filter { $0.frozen != nil }.count
    let left = frozen == 1 ? "1 group" : "\(frozen) groups"
    let nested = names.count { $0.enclosing != nil }
    methods.append(
      Method(
        name: "prune channels", reached: groups.count - frozen, total: groups.count,
        left: (frozen > 0 ? ["\(left): see the table of coupled channels"] : [])
          + (nested > 0 ? ["\(nested) layers: inside of subgraphs"] : [])))
    methods.append(distillation(reaching))
    for (name, mode) in [
      ("quantize (static, dynamic)", QuantizeSettings.Mode.static),
      ("quantize (weight-only)", .weightOnly),
    ] {
      let layers = try graph.quantizationObstacles(QuantizeSettings(mode: mode))
      var reasons: OrderedDictionary<String, Int> = [:]
      for case let reason? in layers.map(\.reason) { reasons[reason, default: 0] += 1 }
      methods.append(
        Method(
          name: name, reached: layers.count { $0.reason == nil }, total: layers.count,
          left: reasons.map { "\($1) \($1 == 1 ? "layer" : "layers"): \($0)" } + others))
    }
    return methods
  }

  /// Operators with weights that are no layers to the methods.
  private static func otherWeights(_ graph: Graph) -> [String] {
    var counts: OrderedDictionary<String, Int> = [:]
    func visit(_ graph: Graph) {
      for node in graph.nodes {
        let weight =
          switch node.op {
          case "ConvTranspose", "LSTM", "GRU", "RNN": node.input(1)
          case "Gather": node.input(0)
          default: String?.none
          }
        if let weight, let tensor = graph.constant(weight), tensor.elementType.isFloatingPoint,
          tensor.rank > 1
        {
          counts[node.op, default: 0] += 1
        }
        for body in node.subgraphs { visit(body) }
      }
    }
    visit(graph)
    return counts.map { "\($0) × \($1): only Conv, Gemm and MatMul are" }
  }

  /// The operators on the way from weights to the output that stop a gradient.
  private static func distillation(_ graph: Graph) -> Method {
    let constants = graph.constantTensors()
    var trained: Set<String> = []
    var missing: OrderedDictionary<String, Int> = [:]
    var reached = 0
    var total = 0
    for node in graph.nodes where !["Constant", "Shape", "Size"].contains(node.op) {
      let isLayer = ["Conv", "Gemm", "MatMul"].contains(node.op)
      let hasWeight =
        isLayer && (node.input(1).flatMap { constants[$0] }?.elementType.isFloatingPoint ?? false)
      guard hasWeight || node.reads.contains(where: { trained.contains($0) }) else { continue }
      trained.formUnion(node.outputs)
      total += 1
      if OperatorTable.reasonForNoGradient(of: node.op) == nil {
        reached += 1
      } else {
        missing[node.op, default: 0] += 1
      }
    }
    return Method(
      name: "distill", reached: reached, total: total,
      left: missing.map {
        "\($0) × \($1): \(OperatorTable.reasonForNoGradient(of: $0) ?? "")"
      })
  }

  func placeTable() -> String {
    var table = TextTable([
      ("weights in", .left), ("tensors", .right), ("elements", .right), ("size", .right),
    ])
    for place in weights {
      table.add([
        place.name, NumberText.count(place.tensors), NumberText.count(place.elements),
        NumberText.bytes(place.bytes),
      ])
    }
    return table.text()
  }

  func methodTable() -> String {
    var table = TextTable([("method", .left), ("reaches", .left), ("left alone", .left)])
    for method in methods {
      let unit =
        switch method.name {
        case "prune channels": "groups of channels"
        case "distill": "operators behind weights"
        default: "layers"
        }
      let lines = method.left.isEmpty ? [""] : method.left
      for (index, line) in lines.enumerated() {
        table.add(
          index == 0
            ? [method.name, "\(method.reached) of \(method.total) \(unit)", line] : ["", "", line])
      }
    }
    return table.text()
  }
}

extension Graph {
  /// The graph with stated sizes of its inputs.
  ///
  /// - Throws: ``PipelineError/unknownInput(model:input:known:)``, `GraphError` when a size
  ///   contradicts the network.
  func fixingInputs(named shapes: [String: [Int]], of path: String) throws -> Graph {
    let known = inputs.map(\.name)
    if let unknown = shapes.keys.sorted().first(where: { !known.contains($0) }) {
      throw PipelineError.unknownInput(model: path, input: unknown, known: known)
    }
    return try fixingInputs(shapes)
  }
}
