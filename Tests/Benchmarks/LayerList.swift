internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// A network written layer by layer, as PyTorch's exporter writes it.
struct LayerList {
  private var graph: Graph
  private var seed: UInt64 = 100

  private init(_ shape: [Dimension]) {
    graph = Graph(name: "network", inputs: [ValueInfo("x", shape: shape)])
  }

  private mutating func weight(_ name: String, _ shape: [Int], scale: Float) -> String {
    seed += 1
    let numbers = normalTensor(shape, seed: seed).floats().map { $0 * scale }
    graph.initializers[name] = Initializer(Tensor(numbers, shape: shape))
    return name
  }

  private mutating func integers(_ numbers: [Int]) -> String {
    let name = "integers \(numbers)"
    graph.initializers[name] = Initializer(Tensor(numbers.map { Int64($0) }))
    return name
  }

  private mutating func append(
    _ op: String, _ name: String, _ inputs: [String],
    _ attributes: OrderedDictionary<String, Attribute> = [:], outputs: [String]? = nil
  ) -> String {
    let outputs = outputs ?? ["\(name) out"]
    graph.nodes.append(
      Node(op, name: name, inputs: inputs, outputs: outputs, attributes: attributes))
    return outputs.last!
  }

  private mutating func linear(
    _ name: String, _ x: String, _ inputs: Int, _ outputs: Int
  ) -> String {
    let w = weight("\(name).w", [inputs, outputs], scale: 1 / Float(inputs).squareRoot())
    let b = weight("\(name).b", [outputs], scale: 0.01)
    return append("Add", name, [append("MatMul", "\(name) product", [x, w]), b])
  }

  private mutating func norm(_ name: String, _ x: String, _ size: Int) -> String {
    graph.initializers["\(name).scale"] = Initializer(Tensor([Float](repeating: 1, count: size)))
    graph.initializers["\(name).shift"] = Initializer(Tensor(zeros: [size]))
    return append("LayerNormalization", name, [x, "\(name).scale", "\(name).shift"])
  }

  private mutating func heads(_ name: String, _ x: String, _ order: [Int]) -> String {
    let parted = append("Reshape", "\(name) parted", [x, integers([0, 64, 4, 64])])
    return append("Transpose", "\(name) heads", [parted], ["perm": .ints(order)])
  }

  /// An encoder of 64 tokens of size 256: 4 heads, 1024 units between, the norm behind the sum.
  static func transformer(layers: Int) -> Graph {
    var net = LayerList(["N", 64, 256])
    net.graph.initializers["root"] = Initializer(Tensor(scalar: Float(2).squareRoot()))
    net.graph.initializers["one"] = Initializer(Tensor(scalar: Float(1)))
    net.graph.initializers["half"] = Initializer(Tensor(scalar: Float(0.5)))
    net.graph.initializers["scale"] = Initializer(Tensor(scalar: Float(0.125)))
    var x = "x"
    for layer in 0..<layers {
      let name = "layer \(layer)"
      let q = net.heads("\(name) q", net.linear("\(name) q", x, 256, 256), [0, 2, 1, 3])
      let k = net.heads("\(name) k", net.linear("\(name) k", x, 256, 256), [0, 2, 3, 1])
      let v = net.heads("\(name) v", net.linear("\(name) v", x, 256, 256), [0, 2, 1, 3])
      let products = net.append("MatMul", "\(name) scores", [q, k])
      let scores = net.append("Mul", "\(name) scaled", [products, "scale"])
      let shares = net.append("Softmax", "\(name) shares", [scores], ["axis": .int(-1)])
      let mixed = net.append("MatMul", "\(name) mixed", [shares, v])
      let turned = net.append(
        "Transpose", "\(name) turned", [mixed], ["perm": .ints([0, 2, 1, 3])])
      let joined = net.append(
        "Reshape", "\(name) joined", [turned, net.integers([0, 64, 256])])
      let attended = net.linear("\(name) out", joined, 256, 256)
      x = net.norm("\(name) norm 1", net.append("Add", "\(name) sum 1", [x, attended]), 256)
      let wide = net.linear("\(name) wide", x, 256, 1024)
      let divided = net.append("Div", "\(name) divided", [wide, "root"])
      let erf = net.append("Erf", "\(name) erf", [divided])
      let shifted = net.append("Add", "\(name) shifted", [erf, "one"])
      let product = net.append("Mul", "\(name) gated", [wide, shifted])
      let gelu = net.append("Mul", "\(name) gelu", [product, "half"])
      let narrow = net.linear("\(name) narrow", gelu, 1024, 256)
      x = net.norm("\(name) norm 2", net.append("Add", "\(name) sum 2", [x, narrow]), 256)
    }
    let mean = net.append(
      "ReduceMean", "mean", [x], ["axes": .ints([1]), "keepdims": .int(0)])
    return net.classifier(mean, 256)
  }

  /// Sequences of vectors, and a class from the last state.
  static func lstm(steps: Int, inputs: Int, hidden: Int) -> Graph {
    var net = LayerList(["N", .fixed(steps), .fixed(inputs)])
    let scale = 1 / Float(hidden).squareRoot()
    let turned = net.append("Transpose", "turned", ["x"], ["perm": .ints([1, 0, 2])])
    let last = net.append(
      "LSTM", "lstm",
      [
        turned, net.weight("lstm.w", [1, 4 * hidden, inputs], scale: scale),
        net.weight("lstm.r", [1, 4 * hidden, hidden], scale: scale),
        net.weight("lstm.b", [1, 8 * hidden], scale: scale),
      ], ["hidden_size": .int(hidden)], outputs: ["sequence", "last"])
    let state = net.append("Squeeze", "state", [last, net.integers([0])])
    return net.classifier(state, hidden)
  }

  private mutating func classifier(_ x: String, _ size: Int) -> Graph {
    let w = weight("head.w", [10, size], scale: 1 / Float(size).squareRoot())
    let b = weight("head.b", [10], scale: 0.01)
    let logits = append("Gemm", "head", [x, w, b], ["transB": .int(1)])
    graph.outputs = [ValueInfo(logits, shape: ["N", 10])]
    return graph
  }
}
