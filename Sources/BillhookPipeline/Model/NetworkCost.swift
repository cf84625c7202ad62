public import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// What one layer costs.
public struct LayerCost: Sendable, Codable, Equatable {
  public var name: String
  public var op: String
  /// Of the weight.
  public var shape: [Int]
  /// How the weight is stored.
  public var elementType: String
  /// Weight and bias.
  public var parameters: Int
  /// Multiply-adds for one sample.
  public var macs: Int
  /// Zeros among the weight's elements.
  public var zeros: Int

  /// `zeros` as a fraction of the weight's elements.
  public var sparsity: Double {
    let count = shape.reduce(1, *)
    return count > 0 ? Double(zeros) / Double(count) : 0
  }
}

/// What a network costs: its parameters and its arithmetic for one sample.
public struct NetworkCost: Sendable, Equatable {
  /// Trained numbers: weights, biases, batch-norm scales and shifts; not batch-norm statistics,
  /// quantization scales or zero points.
  public var parameters: Int
  /// Multiply-adds of convolutions and matrix products for one sample; 0 when those of some layer are
  /// not known, because sizes are open or it is inside a subgraph.
  public var macs: Int
  /// Zeros among the weights of layers, as a fraction.
  public var sparsity: Double
  /// Nodes with weights, in order.
  public var layers: [LayerCost]

  /// Counts.
  ///
  /// - Throws: ``GraphError`` when shapes cannot be inferred.
  public init(of network: Graph) throws(GraphError) {
    let graph = try network.decodingWeights()
    let types = try graph.inferTypes(binding: graph.binding(batchSize: 1))
    parameters = 0
    macs = 0
    sparsity = 0
    layers = []
    add(graph, types: types, counted: [], storedIn: network)
    // The sum of some layers would be taken for that of all.
    if layers.contains(where: { $0.macs == 0 }) { macs = 0 }
    let elements = layers.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let zeros = layers.reduce(0) { $0 + $1.zeros }
    sparsity = elements > 0 ? Double(zeros) / Double(elements) : 0
  }

  /// Counts a graph and its subgraphs, whose values have no types here: what they compute depends on
  /// the run. `network` is the graph before its packed weights were decoded.
  private mutating func add(
    _ graph: Graph, types: [String: ValueType], counted: Set<String>, storedIn network: Graph
  ) {
    let weights = StoredWeights(graph)
    let producers = graph.producers()
    var counted = counted
    for node in graph.nodes {
      for var body in node.subgraphs {
        let own = Set(body.nodes.flatMap(\.outputs))
        for name in body.captures where !own.contains(name) {
          body.initializers[name] = body.initializers[name] ?? graph.initializers[name]
        }
        add(body, types: [:], counted: counted, storedIn: body)
      }
      var own = 0
      // The product of two scales of dynamic quantization is no trained number.
      let isScale =
        node.op == "Mul"
        && (Self.isWeightScaling(node, graph, weights)
          || node.inputs.contains { input in
            producers[input].map { graph.nodes[$0].op == "DynamicQuantizeLinear" } ?? false
          })
      for index in isScale ? [] : Self.parameterInputs(of: node) {
        guard let name = node.input(index), let stored = weights[name],
          counted.insert(stored.name).inserted
        else { continue }
        own += stored.tensor.count
      }
      parameters += own
      guard let index = Self.weightInput(of: node, weights), let name = node.input(index),
        let stored = weights[
          name, zeroPoint: Self.zeroPointInput(of: node, weight: index),
          axis: node.op == "ConvInteger" ? 0 : -1],
        let output = node.outputs.first
      else { continue }
      let layerMACs =
        types[output].map { Self.macs(node, weight: stored.tensor.shape, output: $0.shape) } ?? 0
      macs += layerMACs
      layers.append(
        LayerCost(
          name: node.displayName, op: node.op, shape: stored.tensor.shape,
          elementType: "\(network.storedType(stored.name) ?? stored.tensor.elementType)",
          parameters: own, macs: layerMACs, zeros: stored.zeroCount))
    }
  }

  /// The inputs of a node that hold trained numbers.
  fileprivate static func parameterInputs(of node: Node) -> [Int] {
    switch node.op {
    case "Conv", "ConvTranspose", "Gemm", "LayerNormalization", "InstanceNormalization",
      "GroupNormalization":
      [1, 2]
    case "LSTM", "GRU", "RNN": [1, 2, 3]
    case "ConvInteger", "PRelu", "RMSNormalization": [1]
    case "Gather": [0]
    case "MatMul", "MatMulInteger", "Add", "Mul": [0, 1]
    case "BatchNormalization": [1, 2]
    default: []
    }
  }

  private static func weightInput(of node: Node, _ weights: StoredWeights) -> Int? {
    switch node.op {
    case "Conv", "ConvInteger", "Gemm": 1
    case "MatMul", "MatMulInteger":
      [1, 0].first { node.input($0).map { weights[$0] != nil } ?? false }
    default: nil
    }
  }

  /// The input with the zero point of an integer layer's weight.
  private static func zeroPointInput(of node: Node, weight: Int) -> String? {
    ["ConvInteger", "MatMulInteger"].contains(node.op) ? node.input(weight + 2) : nil
  }

  /// A Mul that makes floats of a stored weight: what reads the product counts the weight.
  private static func isWeightScaling(
    _ node: Node, _ graph: Graph, _ weights: StoredWeights
  ) -> Bool {
    node.inputs.count { graph.constant($0) == nil } == 1
      && node.inputs.allSatisfy { weights[$0] != nil }
  }

  private static func macs(_ node: Node, weight: [Int], output: [Dimension]) -> Int {
    let sizes = output.compactMap(\.size)
    guard sizes.count == output.count else { return 0 }
    let outputs = sizes.reduce(1, *)
    switch node.op {
    case "Conv", "ConvInteger": return outputs * weight.dropFirst().reduce(1, *)
    case "Gemm":
      guard weight.count == 2 else { return 0 }
      return outputs * weight[node.int("transB", default: 0) == 0 ? 0 : 1]
    default:
      // The axis that is summed over: the last but one of a right factor, the last of a left one.
      guard weight.count >= 2 else { return outputs * weight.reduce(1, *) }
      return outputs * weight[weight.count - 2]
    }
  }
}

extension Graph {
  /// The network with its weights as tensors where operators make them from packed ones.
  fileprivate func decodingWeights() throws(GraphError) -> Graph {
    // By value that is made of constants alone: whether layers see through what makes it.
    var isPlain: [String: Bool] = [:]
    for name in initializers.keys { isPlain[name] = true }
    let views = ["DequantizeLinear", "Identity", "Cast", "Transpose", "Reshape"]
    var decodes = false
    for node in nodes {
      for index in NetworkCost.parameterInputs(of: node) {
        if let input = node.input(index), isPlain[input] == false { decodes = true }
      }
      let reads = node.reads.filter { !$0.isEmpty }
      guard reads.allSatisfy({ isPlain[$0] != nil }), node.op == "Constant" || !reads.isEmpty else {
        continue
      }
      // A Mul by a constant is the scale of integers that a Cast made floats of.
      let isScale = node.op == "Mul" && reads.count { constant($0) == nil } == 1
      let isView = views.contains(node.op) && node.int("block_size", default: 0) == 0
      let plain =
        node.op == "Constant" || ((isView || isScale) && reads.allSatisfy { isPlain[$0] == true })
      for output in node.outputs { isPlain[output] = plain }
    }
    return decodes ? try foldingConstants() : self
  }

  /// The type of the largest constant that a value is made from; nil for a constant itself.
  fileprivate func storedType(_ name: String) -> ElementType? {
    guard constant(name) == nil else { return nil }
    let producers = producers()
    var largest: Tensor?
    var seen: Set<String> = []
    var waiting = [name]
    while let next = waiting.popLast() {
      guard seen.insert(next).inserted else { continue }
      if let tensor = constant(next) {
        if tensor.byteCount > largest?.byteCount ?? 0 { largest = tensor }
      } else if let index = producers[next] {
        waiting += nodes[index].reads
      }
    }
    return largest?.elementType
  }
}

/// Constant tensors as layers see them: looked up through DequantizeLinear and views.
private struct StoredWeights {
  struct Stored {
    var name: String
    var tensor: Tensor
    var zeroCount: Int
  }
  private let graph: Graph
  private let producers: [String: Int]

  init(_ graph: Graph) {
    self.graph = graph
    producers = graph.producers()
  }

  subscript(
    name: String, zeroPoint zeroPointName: String? = nil, axis zeroPointAxis: Int = 1
  ) -> Stored? {
    var name = name
    var zeroPoint = zeroPointName.flatMap { graph.constant($0) }
    var axis = zeroPointAxis
    // A chain longer than the graph would go round in a circle.
    for _ in 0...graph.nodes.count {
      if let tensor = graph.constant(name) {
        return Stored(
          name: name, tensor: tensor,
          zeroCount: zeros(tensor, zeroPoint: zeroPoint, axis: axis))
      }
      guard let index = producers[name], let next = graph.nodes[index].input(0) else { return nil }
      let node = graph.nodes[index]
      switch node.op {
      case "DequantizeLinear":
        zeroPoint = node.input(2).flatMap { graph.constant($0) }
        axis = node.int("axis", default: 1)
      case "Identity", "Cast", "Transpose", "Reshape": break
      case "Mul":
        // The scale of integers that a Cast made floats of.
        guard let other = node.inputs.first(where: { graph.constant($0) == nil }) else {
          return nil
        }
        name = other
        continue
      default: return nil
      }
      name = next
    }
    return nil
  }

  private func zeros(_ tensor: Tensor, zeroPoint: Tensor?, axis: Int) -> Int {
    guard let values = tensor.integers() else {
      return tensor.elementType.isFloatingPoint ? tensor.floats().count { $0 == 0 } : 0
    }
    let points = zeroPoint?.integers() ?? [0]
    let first = points.first ?? 0
    guard points.count > 1, tensor.rank > 0 else { return values.count { $0 == first } }
    let position = axis < 0 ? axis + tensor.rank : axis
    guard tensor.shape.indices.contains(position), points.count == tensor.shape[position] else {
      return 0
    }
    let inner = tensor.shape[(position + 1)...].reduce(1, *)
    return values.indices.count { values[$0] == points[$0 / inner % points.count] }
  }
}
