internal import BillhookFormats
internal import BillhookGraph
internal import OrderedCollections

/// What is in a file.
public struct InspectReport: Sendable, Codable, Equatable {
  public struct Value: Sendable, Codable, Equatable {
    public var name: String
    public var elementType: String
    public var shape: String
  }
  /// Channels that can only be removed together.
  public struct Group: Sendable, Codable, Equatable {
    public var name: String
    public var channels: Int
    public var producers: [String]
    public var consumers: [String]
    /// Why none may be removed; nil when they may.
    public var frozen: String?
  }
  /// Where weights lie in the file.
  public struct Place: Sendable, Codable, Equatable {
    /// `initializers`, `Constant nodes`, or the same `in subgraphs`; `file "NAME"` for those in a file
    /// beside the model.
    public var name: String
    public var tensors: Int
    public var elements: Int
    public var bytes: Int
  }
  /// What one of the methods can do with the network.
  public struct Method: Sendable, Codable, Equatable {
    public var name: String
    /// How many layers or groups of channels it reaches, of how many.
    public var reached: Int
    public var total: Int
    /// What is left out, and why.
    public var left: [String]
  }
  public struct OperatorCount: Sendable, Codable, Equatable {
    public var name: String
    public var count: Int
    public var isSupported: Bool
  }

  public var file: String
  /// `ONNX` or `safetensors`.
  public var format: String
  public var bytes: Int
  public var opset: Int?
  public var irVersion: Int?
  public var inputs: [Value]
  public var outputs: [Value]
  public var operators: [OperatorCount]
  public var parameters: Int
  public var macs: Int
  public var sparsity: Double
  public var layers: [LayerCost]
  public var groups: [Group]
  /// Floating-point and 8-bit tensors by place.
  public var weights: [Place]
  /// What can be pruned, distilled and quantized, and what not.
  public var methods: [Method]
  public var metadata: [String: String]
  /// Why parts of the answer are missing, as when an operator is not supported.
  public var notes: [String]

  /// - Parameter shapes: Sizes of inputs whose shapes the network leaves open, by name.
  public init(path: String, shapes: [String: [Int]] = [:]) throws {
    if ModelFile.isCheckpoint(path) {
      try self.init(checkpoint: path)
    } else {
      try self.init(network: path, shapes: shapes)
    }
  }

  private init(checkpoint path: String) throws {
    let cost = try CheckpointCost(path: path)
    let metadata = try SafetensorsFile.read(path: path).metadata
    file = path
    format = "safetensors"
    bytes = try ModelFile.byteCount(path)
    inputs = []
    outputs = []
    operators = []
    parameters = cost.parameters
    macs = 0
    sparsity = cost.sparsity
    layers = cost.layers
    groups = []
    weights = []
    methods = []
    self.metadata = metadata.reduce(into: [:]) { $0[$1.key] = $1.value }
    notes = []
  }

  private init(network path: String, shapes: [String: [Int]]) throws {
    let graph = try ONNXFile.read(path: path).fixingInputs(named: shapes, of: path)
    func value(_ info: ValueInfo) -> Value {
      let shape = info.shape.map { "[\($0.map(\.description).joined(separator: ", "))]" }
      return Value(name: info.name, elementType: "\(info.elementType)", shape: shape ?? "unknown")
    }
    file = path
    format = "ONNX"
    bytes = try ModelFile.byteCount(path)
    opset = graph.opset
    irVersion = graph.irVersion
    inputs = graph.inputs.map(value)
    outputs = graph.outputs.map(value)
    operators = Self.operators(graph)
    metadata = graph.metadata.reduce(into: [:]) { $0[$1.key] = $1.value }
    notes = []
    parameters = 0
    macs = 0
    sparsity = 0
    layers = []
    groups = []
    weights = Self.places(graph)
    methods = []
    // A network with unknown operators can still be looked at.
    do {
      let settled = try graph.settlingConstants()
      let cost = try NetworkCost(of: settled)
      (parameters, macs, sparsity, layers) = (
        cost.parameters, cost.macs, cost.sparsity, cost.layers
      )
      groups = try settled.statingSizes().couplingGroups().map(Self.group)
      methods = try Self.methods(graph, cost: cost, groups: groups)
      if macs == 0, !graph.fixesSamples {
        notes.append(
          "MACs are not known where the inputs leave sizes open; state them, such as --shape "
            + "\(graph.inputs.first?.name ?? "x")=1x3x224x224.")
      }
    } catch {
      notes.append("Parameters, MACs and channels are not known: \(error)")
    }
  }

  private static func operators(_ graph: Graph) -> [OperatorCount] {
    var counts: OrderedDictionary<String, OperatorCount> = [:]
    // Those of subgraphs too.
    func count(_ graph: Graph) {
      for node in graph.nodes {
        let name = node.isStandard ? node.op : "\(node.domain).\(node.op)"
        counts[
          name,
          default: OperatorCount(
            name: name, count: 0,
            isSupported: node.isStandard && Graph.supportedOperators.contains(node.op))
        ]
        .count += 1
        for body in node.subgraphs { count(body) }
      }
    }
    count(graph)
    return counts.values.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
  }

  private static func group(_ group: CouplingGroup) -> Group {
    func names(_ role: CouplingGroup.Role) -> [String] {
      var names: OrderedSet<String> = []
      for slice in group.slices where slice.role == role { names.append(slice.node) }
      return Array(names)
    }
    return Group(
      name: group.name, channels: group.unitCount, producers: names(.producer),
      consumers: names(.consumer), frozen: group.frozenReason)
  }

  public func text() -> String {
    var text = "\(file): \(format), \(NumberText.bytes(bytes))"
    if let opset, let irVersion { text += ", opset \(opset), IR version \(irVersion)" }
    text += "\n\(NumberText.count(parameters)) parameters"
    if macs > 0 { text += ", \(NumberText.magnitude(macs)) MACs for one sample" }
    text += ", sparsity \(NumberText.fraction(sparsity))\n\n"
    if !inputs.isEmpty { text += valueTable() + "\n" }
    if !operators.isEmpty {
      text += "operators: "
      text += operators.map {
        "\($0.name) × \($0.count)\($0.isSupported ? "" : " (not supported)")"
      }
      .joined(separator: ", ")
      text += "\n\n"
    }
    if !weights.isEmpty { text += placeTable() + "\n" }
    if !methods.isEmpty { text += methodTable() + "\n" }
    text += layerTable()
    if !groups.isEmpty { text += "\n" + groupTable() }
    if !metadata.isEmpty {
      text += "\nmetadata\n"
      for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
        let short = value.count > 100 ? value.prefix(97) + "..." : value[...]
        text += "  \(key) = \(short)\n"
      }
    }
    for note in notes { text += "\nnote: \(note)\n" }
    return text
  }

  private func valueTable() -> String {
    var table = TextTable([("", .left), ("name", .left), ("type", .left), ("shape", .left)])
    for (kind, values) in [("input", inputs), ("output", outputs)] {
      for value in values { table.add([kind, value.name, value.elementType, value.shape]) }
    }
    return table.text()
  }

  private func layerTable() -> String {
    var table = TextTable([
      (format == "ONNX" ? "layer" : "tensor", .left), ("operator", .left), ("shape", .left),
      ("type", .left), ("parameters", .right), ("MACs", .right), ("sparsity", .right),
    ])
    for layer in layers {
      table.add([
        layer.name, layer.op, layer.shape.map { "\($0)" }.joined(separator: "×"),
        layer.elementType, NumberText.count(layer.parameters),
        layer.macs > 0 ? NumberText.magnitude(layer.macs) : "", NumberText.fraction(layer.sparsity),
      ])
    }
    return table.text()
  }

  private func groupTable() -> String {
    var table = TextTable([
      ("coupled channels of", .left), ("channels", .right), ("read by", .left), ("prunable", .left),
    ])
    for group in groups {
      table.add([
        group.producers.joined(separator: " "), "\(group.channels)",
        group.consumers.joined(separator: " "), group.frozen.map { "no: \($0)" } ?? "yes",
      ])
    }
    return table.text()
  }
}
