public import BillhookGraph
public import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// conv1 (3×3) → bn1 → relu1 → pool (2×2) → flatten → fc: `[N, 1, 4, 4]` to `[N, 3]`.
  public static func smallChain(seed: UInt64 = 1, width: Int = 4) -> Graph {
    let nodes = [
      Node(
        "Conv", name: "conv1", inputs: ["x", "conv1.weight"], outputs: ["conv1.out"],
        attributes: ["pads": .ints([1, 1, 1, 1])]),
      Node(
        "BatchNormalization", name: "bn1",
        inputs: ["conv1.out", "bn1.scale", "bn1.bias", "bn1.mean", "bn1.var"],
        outputs: ["bn1.out"]),
      Node("Relu", name: "relu1", inputs: ["bn1.out"], outputs: ["relu1.out"]),
      Node(
        "MaxPool", name: "pool", inputs: ["relu1.out"], outputs: ["pool.out"],
        attributes: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Node("Flatten", name: "flatten", inputs: ["pool.out"], outputs: ["flat"]),
      Node(
        "Gemm", name: "fc", inputs: ["flat", "fc.weight", "fc.bias"], outputs: ["y"],
        attributes: ["transB": .int(1)]),
    ]
    return testing(
      inputs: ["x": ["N", 1, 4, 4]], nodes,
      [
        "conv1.weight": .seeded([width, 1, 3, 3], seed: seed, "conv1"),
        "bn1.scale": .positive([width], seed: seed, "scale"),
        "bn1.bias": .seeded([width], seed: seed, "bias"),
        "bn1.mean": .seeded([width], seed: seed, "mean"),
        "bn1.var": .positive([width], seed: seed, "var"),
        "fc.weight": .seeded([3, width * 4], seed: seed, "fc"),
        "fc.bias": .seeded([3], seed: seed, "fc.bias"),
      ])
  }

  /// conv1 → relu1 → conv2 → add (with relu1's output) → relu2 → global average → flatten → fc.
  public static func smallResidual(seed: UInt64 = 1, width: Int = 4) -> Graph {
    func conv(_ name: String, _ input: String) -> Node {
      Node(
        "Conv", name: name, inputs: [input, "\(name).weight", "\(name).bias"],
        outputs: ["\(name).out"], attributes: ["pads": .ints([1, 1, 1, 1])])
    }
    let nodes = [
      conv("conv1", "x"),
      Node("Relu", name: "relu1", inputs: ["conv1.out"], outputs: ["relu1.out"]),
      conv("conv2", "relu1.out"),
      Node("Add", name: "add", inputs: ["conv2.out", "relu1.out"], outputs: ["sum"]),
      Node("Relu", name: "relu2", inputs: ["sum"], outputs: ["relu2.out"]),
      Node("GlobalAveragePool", name: "average", inputs: ["relu2.out"], outputs: ["mean"]),
      Node("Flatten", name: "flatten", inputs: ["mean"], outputs: ["flat"]),
      Node(
        "Gemm", name: "fc", inputs: ["flat", "fc.weight", "fc.bias"], outputs: ["y"],
        attributes: ["transB": .int(1)]),
    ]
    return testing(
      inputs: ["x": ["N", 1, 4, 4]], nodes,
      [
        "conv1.weight": .seeded([width, 1, 3, 3], seed: seed, "conv1"),
        "conv1.bias": .seeded([width], seed: seed, "conv1.bias"),
        "conv2.weight": .seeded([width, width, 3, 3], seed: seed, "conv2"),
        "conv2.bias": .seeded([width], seed: seed, "conv2.bias"),
        "fc.weight": .seeded([3, width], seed: seed, "fc"),
        "fc.bias": .seeded([3], seed: seed, "fc.bias"),
      ])
  }
}

extension Graph {
  /// A network without subgraphs as exporters write it in another floating-point type: constants,
  /// inputs and outputs.
  public func stored(as type: ElementType) -> Graph {
    var result = self
    for (name, initializer) in initializers {
      result.initializers[name]!.tensor = initializer.tensor.converted(to: type)
    }
    for index in inputs.indices { result.inputs[index].elementType = type }
    for index in outputs.indices { result.outputs[index].elementType = type }
    return result
  }
}

extension Tensor {
  /// Random floats in 0.5..<1.5, the same for the same seed and name.
  public static func positive(_ shape: [Int], seed: UInt64, _ name: String = "") -> Tensor {
    Tensor(seeded(shape, seed: seed, name).floats().map { $0 / 2 + 1 }, shape: shape)
  }
}
