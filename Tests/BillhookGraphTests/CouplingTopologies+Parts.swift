import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections

/// Networks that take channels apart, or have them in groups.
extension TopologyBuilder {
  mutating func parts(
    _ name: String, _ input: String, _ outputs: [String], axis: Int, sizes: [Int]? = nil
  ) {
    var inputs = [input]
    if let sizes {
      constant("\(name).sizes", Tensor(sizes.map { Int64($0) }))
      inputs.append("\(name).sizes")
    }
    nodes.append(
      Node("Split", name: name, inputs: inputs, outputs: outputs, attributes: ["axis": .int(axis)]))
  }

  /// A block of YOLO's: halves of the channels, one of them with a residual connection, and all of them
  /// joined again.
  mutating func split() {
    conv("conv1", "x", 3, 8, "a")
    parts("halves", "a", ["p", "q"], axis: 1)
    conv("inner1", "q", 4, 5, "r")
    node("Relu", "act", ["r"], "s")
    conv("inner2", "s", 5, 4, "t")
    node("Add", "shortcut", ["q", "t"], "u")
    node("Concat", "join", ["p", "q", "u"], "v", ["axis": .int(1)])
    conv("conv2", "v", 12, 2, "y")
  }

  /// A gated linear unit beside channels that pass.
  mutating func gated() {
    conv("conv1", "x", 3, 10, "a")
    parts("three", "a", ["p", "q", "r"], axis: -3, sizes: [4, 4, 2])
    node("Sigmoid", "gate", ["q"], "s")
    node("Mul", "gated", ["p", "s"], "t")
    conv("conv2", "t", 4, 2, "u")
    conv("conv3", "r", 2, 2, "v")
    node("Add", "sum", ["u", "v"], "y")
  }

  /// The first three channels without the last row, and the last six of eight.
  mutating func sliced() {
    conv("conv1", "x", 3, 8, "a")
    constant("from", Tensor([0, 0] as [Int64]))
    constant("to", Tensor([-1, 3] as [Int64]))
    constant("axes", Tensor([2, 1] as [Int64]))
    node("Slice", "first", ["a", "from", "to", "axes"], "p")
    constant("begin", Tensor([-6] as [Int32]))
    constant("end", Tensor([Int32.max]))
    constant("axis", Tensor([-3] as [Int32]))
    node("Slice", "last", ["a", "begin", "end", "axis"], "q")
    node("GlobalAveragePool", "pool1", ["p"], "r")
    node("GlobalAveragePool", "pool2", ["q"], "s")
    conv("conv2", "r", 3, 2, "t")
    conv("conv3", "s", 6, 2, "u")
    node("Add", "sum", ["t", "u"], "y")
  }

  /// Attention of 18 tokens whose queries, keys and values one layer makes: four heads of two each.
  mutating func fusedHeads() {
    constant("tokens", Tensor([0, 18, 6] as [Int64]))
    constant("heads", Tensor([0, 0, 4, 2] as [Int64]))
    node("Reshape", "cut", ["x", "tokens"], "t")
    dense("qkv", "t", 6, 24, "all")
    parts("apart", "all", ["q", "k", "v"], axis: -1, sizes: [8, 8, 8])
    for (name, order) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
      node("Reshape", "\(name).split", [name, "heads"], "\(name).h")
      node("Transpose", "\(name).turn", ["\(name).h"], "\(name).t", ["perm": .ints(order)])
    }
    mixed()
  }

  /// The same with all three laid out along an axis of their own first.
  mutating func packedHeads() {
    constant("tokens", Tensor([0, 18, 6] as [Int64]))
    constant("packed", Tensor([0, 18, 3, 4, 2] as [Int64]))
    node("Reshape", "cut", ["x", "tokens"], "t")
    dense("qkv", "t", 6, 24, "all")
    node("Reshape", "pack", ["all", "packed"], "h")
    node("Transpose", "turn", ["h"], "apart", ["perm": .ints([2, 0, 3, 1, 4])])
    for (index, name) in ["q", "k", "v"].enumerated() {
      constant("\(name).index", Tensor(scalar: Int64(index)))
      node(
        "Gather", "\(name).take", ["apart", "\(name).index"], name == "k" ? "k.h" : "\(name).t",
        ["axis": .int(0)])
    }
    node("Transpose", "k.turn", ["k.h"], "k.t", ["perm": .ints([0, 1, 3, 2])])
    mixed()
  }

  /// What attention makes of "q.t", "k.t" and "v.t", and a layer behind it.
  private mutating func mixed() {
    constant("joined", Tensor([0, 18, 8] as [Int64]))
    node("MatMul", "scores", ["q.t", "k.t"], "s")
    node("Softmax", "shares", ["s"], "p", ["axis": .int(-1)])
    node("MatMul", "mixed", ["p", "v.t"], "m")
    node("Transpose", "back", ["m"], "n", ["perm": .ints([0, 2, 1, 3])])
    node("Reshape", "join", ["n", "joined"], "j")
    dense("out", "j", 8, 2, "y")
  }

  /// A block of ResNeXt's: the middle convolution reads and makes channels in three groups.
  mutating func grouped() {
    conv("conv1", "x", 3, 6, "a")
    conv("middle", "a", 2, 9, "b", group: 3)
    batchNorm("bn", "b", 9, "c")
    node("Relu", "act", ["c"], "d")
    conv("conv2", "d", 9, 2, "y")
  }

  /// ShuffleNet's: channels of two branches in turns, and halves of them.
  mutating func shuffled() {
    conv("conv1", "x", 3, 4, "a")
    conv("conv2", "x", 3, 4, "b")
    node("Concat", "join", ["a", "b"], "c", ["axis": .int(1)])
    constant("two", Tensor([0, 2, 4, 6, 6] as [Int64]))
    constant("one", Tensor([0, 8, 6, 6] as [Int64]))
    node("Reshape", "cut", ["c", "two"], "d")
    node("Transpose", "turn", ["d"], "e", ["perm": .ints([0, 2, 1, 3, 4])])
    node("Reshape", "flat", ["e", "one"], "f")
    parts("halves", "f", ["p", "q"], axis: 1)
    conv("conv3", "p", 4, 3, "g")
    conv("conv4", "q", 4, 3, "h")
    node("Mul", "product", ["g", "h"], "i")
    conv("conv5", "i", 3, 2, "y")
  }
}
