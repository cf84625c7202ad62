import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Small networks, one a way in which channels depend on each other. All read `x` and make `y`.
enum CouplingTopology: String, CaseIterable, CustomTestStringConvertible {
  case chain, residual, concat, concatAdd, flatten, reshape, fixedReshape, depthwise
  case sharedWeight, globalPool, matMul, constants, quantized, transposed, mobile, attention
  case recurrent, pooledByMean, stylized, lastStep
  case split, gated, sliced, fusedHeads, packedHeads, grouped, shuffled

  var testDescription: String { rawValue }

  func graph(seed: UInt64) -> Graph {
    var builder = TopologyBuilder(seed: seed)
    build(&builder)
    return .testing(
      inputs: ["x": ["N", 3, 6, 6]], builder.nodes, [:], outputs: ["y"]
    ).adding(builder.constants)
  }

  private func build(_ b: inout TopologyBuilder) {
    switch self {
    case .chain:
      b.conv("conv1", "x", 3, 6, "a")
      b.batchNorm("bn", "a", 6, "b")
      b.node("Relu", "relu", ["b"], "c")
      b.conv("conv2", "c", 6, 2, "y")
    case .residual:
      b.conv("conv1", "x", 3, 5, "a")
      b.conv("conv2", "a", 5, 5, "b")
      b.node("Add", "add", ["a", "b"], "c")
      b.node("Sigmoid", "act", ["c"], "d")
      b.conv("conv3", "d", 5, 2, "y")
    case .concat:
      b.conv("conv1", "x", 3, 4, "a")
      b.conv("conv2", "x", 3, 5, "b")
      b.node("Concat", "cat", ["b", "a", "x"], "c", ["axis": .int(1)])
      b.conv("conv3", "c", 12, 2, "y")
    case .concatAdd:
      b.conv("conv1", "x", 3, 4, "a")
      b.conv("conv2", "x", 3, 3, "b")
      b.conv("conv3", "x", 3, 7, "c")
      b.node("Concat", "cat", ["b", "a"], "d", ["axis": .int(1)])
      b.node("Add", "add", ["d", "c"], "e")
      b.conv("conv4", "e", 7, 2, "y")
    case .flatten:
      b.conv("conv1", "x", 3, 4, "a")
      b.node(
        "MaxPool", "pool", ["a"], "b", ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
      b.node("Flatten", "flat", ["b"], "c")
      b.gemm("fc", "c", 36, 2, "y")
    case .reshape, .fixedReshape:
      b.conv("conv1", "x", 3, 4, "a")
      b.constant("to", Tensor(self == .reshape ? [0, -1] : [-1, 144] as [Int64]))
      b.node("Reshape", "shape", ["a", "to"], "b")
      b.gemm("fc1", "b", 144, 5, "c")
      b.node("Relu", "relu", ["c"], "d")
      b.gemm("fc2", "d", 5, 2, "y", transposed: false)
    case .depthwise:
      b.conv("conv1", "x", 3, 4, "a")
      b.conv("depthwise", "a", 1, 8, "b", group: 4)
      b.batchNorm("bn", "b", 8, "c")
      b.conv("conv2", "c", 8, 2, "y")
    case .sharedWeight:
      b.conv("conv1", "x", 3, 4, "a")
      b.conv("conv2", "a", 4, 4, "b")
      b.node("Relu", "relu", ["b"], "c")
      b.node("Conv", "again", ["c", "conv2.w", "conv2.b"], "d", ["pads": .ints([1, 1, 1, 1])])
      b.conv("conv3", "d", 4, 2, "y")
    case .mobile:
      // A squeeze-and-excite block and a hard swish as exporters write them, enlarged images.
      b.conv("conv1", "x", 3, 6, "a")
      b.constant("three", Tensor(scalar: Float(3)))
      b.constant("six", Tensor(scalar: Float(6)))
      b.constant("zero", Tensor(scalar: Float(0)))
      b.node("Add", "plus", ["a", "three"], "b")
      b.node("Clip", "clip", ["b", "zero", "six"], "c")
      b.node("Mul", "swish", ["a", "c"], "d")
      b.node("Div", "sixth", ["d", "six"], "e")
      b.node("ReduceMean", "mean", ["e"], "f", ["axes": .ints([2, 3])])
      b.conv("squeeze", "f", 6, 4, "g")
      b.node("HardSwish", "act", ["g"], "h")
      b.conv("excite", "h", 4, 6, "i")
      b.node("HardSigmoid", "gate", ["i"], "j")
      b.node("Mul", "scale", ["e", "j"], "k")
      b.constant("sizes", Tensor([1, 1, 2, 2] as [Float]))
      b.node(
        "Resize", "enlarge", ["k", "", "sizes"], "l", ["mode": .string(Array("nearest".utf8))])
      b.conv("conv2", "l", 6, 2, "y")
    case .globalPool:
      b.conv("conv1", "x", 3, 6, "a")
      b.node("GlobalAveragePool", "pool", ["a"], "b")
      b.node("Flatten", "flat", ["b"], "c")
      b.gemm("fc", "c", 6, 2, "y")
    case .matMul:
      b.node("Flatten", "flat", ["x"], "a")
      b.constant("w1", .seeded([108, 5], seed: b.seed, "w1"))
      b.constant("w2", .seeded([5, 2], seed: b.seed, "w2"))
      b.constant("bias", .seeded([5], seed: b.seed, "bias"))
      b.node("MatMul", "fc1", ["a", "w1"], "b")
      b.node("Add", "add", ["b", "bias"], "c")
      b.node("MatMul", "fc2", ["c", "w2"], "y")
    case .constants:
      b.conv("conv1", "x", 3, 4, "a")
      b.nodes.append(
        Node(
          "Constant", name: "k", inputs: [], outputs: ["scale"],
          attributes: ["value": .tensor(Initializer(.seeded([4, 1, 1], seed: b.seed, "scale")))]))
      b.nodes.append(
        Node(
          "Constant", name: "h", inputs: [], outputs: ["half"],
          attributes: ["value_float": .float(0.5)]))
      b.node("Mul", "mul", ["a", "scale"], "b")
      b.node("Add", "shift", ["b", "half"], "c")
      b.conv("conv2", "c", 4, 2, "y")
    case .quantized:
      b.conv("conv1", "x", 3, 4, "a")
      b.constant("s", Tensor([0.05, 0.1, 0.2, 0.4] as [Float]))
      b.constant("z", Tensor([0, 1, 2, 3] as [Int8]))
      b.node("QuantizeLinear", "q", ["a", "s", "z"], "b")
      b.node("DequantizeLinear", "dq", ["b", "s", "z"], "c")
      b.conv("conv2", "c", 4, 2, "y")
    case .transposed:
      b.conv("conv1", "x", 3, 4, "a")
      b.node("Transpose", "nhwc", ["a"], "b", ["perm": .ints([0, 2, 3, 1])])
      b.constant("w", .seeded([4, 2], seed: b.seed, "w"))
      b.node("MatMul", "fc", ["b", "w"], "y")
    case .pooledByMean:
      // The mean over each image drops its axes; its sizes but the channels' are asked for.
      b.conv("conv1", "x", 3, 6, "a")
      b.node("Transpose", "nhwc", ["a"], "b", ["perm": .ints([0, 2, 3, 1])])
      b.node("ReduceMean", "mean", ["b"], "c", ["axes": .ints([1, -2]), "keepdims": .int(0)])
      b.node("Shape", "sizes", ["b"], "d")
      b.constant("first", Tensor([1] as [Int64]))
      b.node("Gather", "height", ["d", "first"], "e")
      b.node("Cast", "floats", ["e"], "f", ["to": .int(1)])
      b.node("Mul", "sum", ["c", "f"], "g")
      b.gemm("fc", "g", 6, 2, "y")
    case .stylized:
      b.conv("conv1", "x", 3, 6, "a")
      b.constant("scale", .seeded([6], seed: b.seed, "scale"))
      b.constant("shift", .seeded([6], seed: b.seed, "shift"))
      b.node("InstanceNormalization", "norm", ["a", "scale", "shift"], "b")
      b.constant("slope", .seeded([6, 1, 1], seed: b.seed, "slope"))
      b.node("PRelu", "act", ["b", "slope"], "c")
      b.conv("conv2", "c", 6, 2, "y")
    case .lastStep:
      // All rows but the last, of them the first column, of that the last place.
      b.conv("conv1", "x", 3, 6, "a")
      for (name, value) in [("start", 0), ("end", -1), ("rows", 2)] {
        b.constant(name, Tensor([Int64(value)]))
      }
      b.node("Slice", "crop", ["a", "start", "end", "rows"], "b")
      b.node("LogSoftmax", "shares", ["b"], "c", ["axis": .int(2)])
      b.constant("floor", Tensor(scalar: Float(-2)))
      b.node("Max", "limit", ["c", "floor"], "d")
      b.constant("first", Tensor(scalar: Int64(0)))
      b.node("Gather", "column", ["d", "first"], "e", ["axis": .int(3)])
      b.node("Transpose", "steps", ["e"], "f", ["perm": .ints([0, 2, 1])])
      b.constant("last", Tensor(scalar: Int64(-1)))
      b.node("Gather", "step", ["f", "last"], "g", ["axis": .int(-2)])
      b.gemm("fc", "g", 6, 2, "y")
    case .attention: b.attention()
    case .split: b.split()
    case .gated: b.gated()
    case .sliced: b.sliced()
    case .fusedHeads: b.fusedHeads()
    case .packedHeads: b.packedHeads()
    case .grouped: b.grouped()
    case .shuffled: b.shuffled()
    case .recurrent:
      b.conv("conv1", "x", 3, 4, "a")
      b.constant("to", Tensor([0, 0, -1] as [Int64]))
      b.node("Reshape", "shape", ["a", "to"], "b")
      b.node("Transpose", "steps", ["b"], "c", ["perm": .ints([2, 0, 1])])
      b.constant("w", .seeded([1, 8, 4], seed: b.seed, "w"))
      b.constant("r", .seeded([1, 8, 2], seed: b.seed, "r"))
      b.node("LSTM", "lstm", ["c", "w", "r"], "y", ["hidden_size": .int(2)])
    }
  }
}

/// Collects nodes and seeded parameters.
struct TopologyBuilder {
  let seed: UInt64
  var nodes: [Node] = []
  var constants: [(String, Tensor)] = []

  init(seed: UInt64) { self.seed = seed }

  mutating func constant(_ name: String, _ tensor: Tensor) { constants.append((name, tensor)) }

  mutating func node(
    _ op: String, _ name: String, _ inputs: [String], _ output: String,
    _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) {
    nodes.append(Node(op, name: name, inputs: inputs, outputs: [output], attributes: attributes))
  }

  /// A 3×3 convolution with padding 1 and a bias; weight `[outputs, inputs, 3, 3]`.
  mutating func conv(
    _ name: String, _ input: String, _ inputs: Int, _ outputs: Int, _ output: String,
    group: Int = 1
  ) {
    constant("\(name).w", .seeded([outputs, inputs, 3, 3], seed: seed, "\(name).w"))
    constant("\(name).b", .seeded([outputs], seed: seed, "\(name).b"))
    node(
      "Conv", name, [input, "\(name).w", "\(name).b"], output,
      ["pads": .ints([1, 1, 1, 1]), "group": .int(group)])
  }

  mutating func batchNorm(_ name: String, _ input: String, _ count: Int, _ output: String) {
    for part in ["scale", "bias", "mean"] {
      constant("\(name).\(part)", .seeded([count], seed: seed, "\(name).\(part)"))
    }
    let variance = Tensor.seeded([count], seed: seed, "\(name).variance").floats().map { $0 + 1.5 }
    constant("\(name).variance", Tensor(variance))
    node(
      "BatchNormalization", name,
      [input] + ["scale", "bias", "mean", "variance"].map { "\(name).\($0)" }, output)
  }

  mutating func gemm(
    _ name: String, _ input: String, _ inputs: Int, _ outputs: Int, _ output: String,
    transposed: Bool = true
  ) {
    let shape = transposed ? [outputs, inputs] : [inputs, outputs]
    constant("\(name).w", .seeded(shape, seed: seed, "\(name).w"))
    constant("\(name).b", .seeded([outputs], seed: seed, "\(name).b"))
    node(
      "Gemm", name, [input, "\(name).w", "\(name).b"], output,
      ["transB": .int(transposed ? 1 : 0)])
  }
}

extension TopologyBuilder {
  mutating func dense(
    _ name: String, _ input: String, _ inputs: Int, _ outputs: Int, _ output: String
  ) {
    constant("\(name).w", .seeded([inputs, outputs], seed: seed, "\(name).w"))
    constant("\(name).b", .seeded([outputs], seed: seed, "\(name).b"))
    node("MatMul", name, [input, "\(name).w"], "\(output).product")
    node("Add", "\(name).add", ["\(output).product", "\(name).b"], output)
  }

  /// A layer of a transformer of 18 tokens and 6 channels: four heads of two, eight hidden neurons
  /// with GELU in five nodes.
  fileprivate mutating func attention() {
    constant("tokens", Tensor([0, 18, 6] as [Int64]))
    constant("heads", Tensor([0, 0, 4, 2] as [Int64]))
    constant("joined", Tensor([0, 0, 8] as [Int64]))
    node("Reshape", "cut", ["x", "tokens"], "t")
    for (name, order) in [
      ("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3]),
    ] {
      dense(name, "t", 6, 8, "\(name).a")
      node("Reshape", "\(name).split", ["\(name).a", "heads"], "\(name).h")
      node("Transpose", "\(name).turn", ["\(name).h"], "\(name).t", ["perm": .ints(order)])
    }
    node("MatMul", "scores", ["query.t", "key.t"], "s")
    constant("root", Tensor(scalar: Float(1.5)))
    node("Div", "scaled", ["s", "root"], "d")
    constant("seen", Tensor((0..<18).map { $0 < 15 }, shape: [1, 1, 1, 18]))
    constant("hidden", Tensor(scalar: Float(-1e4)))
    node("Where", "mask", ["seen", "d", "hidden"], "e")
    node("Softmax", "shares", ["e"], "p", ["axis": .int(-1)])
    node("MatMul", "mixed", ["p", "value.t"], "m")
    node("Transpose", "back", ["m"], "n", ["perm": .ints([0, 2, 1, 3])])
    node("Reshape", "join", ["n", "joined"], "j")
    dense("out", "j", 8, 6, "o")
    node("Add", "residual", ["o", "t"], "r")
    constant("norm.w", .seeded([6], seed: seed, "norm.w"))
    node("LayerNormalization", "norm", ["r", "norm.w"], "l")
    dense("inner", "l", 6, 8, "i")
    constant("two", Tensor(scalar: Float(1.4142135)))
    constant("one", Tensor(scalar: Float(1)))
    constant("half", Tensor(scalar: Float(0.5)))
    node("Div", "gelu1", ["i", "two"], "g1")
    node("Erf", "gelu2", ["g1"], "g2")
    node("Add", "gelu3", ["g2", "one"], "g3")
    node("Mul", "gelu4", ["i", "g3"], "g4")
    node("Mul", "gelu5", ["g4", "half"], "g5")
    dense("outer", "g5", 8, 2, "y")
  }
}

extension Graph {
  func adding(_ constants: [(String, Tensor)]) -> Graph {
    var graph = self
    for (name, tensor) in constants { graph.initializers[name] = Initializer(tensor) }
    return graph
  }
}
