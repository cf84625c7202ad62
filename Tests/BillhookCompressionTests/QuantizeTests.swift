import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct QuantizeTests {
  @Test func `a chain gets its pairs behind what a runtime fuses`() throws {
    let outcome = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(),
      data: smallImages(40))
    let graph = outcome.graph
    #expect(
      graph.nodes.map(\.op) == [
        "QuantizeLinear", "DequantizeLinear",  // x
        "DequantizeLinear", "DequantizeLinear", "Conv", "Relu",  // weight and bias of conv1
        "QuantizeLinear", "DequantizeLinear", "MaxPool",
        "QuantizeLinear", "DequantizeLinear", "Flatten",
        "QuantizeLinear", "DequantizeLinear",
        "DequantizeLinear", "DequantizeLinear", "Gemm",
      ])
    func node(_ name: String) -> Node { graph.nodes.first { $0.name == name }! }
    #expect(node("conv1").inputs[0] == "x_dequantized")
    #expect(node("conv1").inputs[1] == "conv1.weight")
    #expect(node("relu1").inputs == ["bn1.out"])
    #expect(node("pool").inputs == ["relu1.out_dequantized"])
    // Pooling and flattening keep the scale of what they read.
    let scale = node("relu1.out_quantize").inputs[1]
    #expect(node("pool.out_quantize").inputs[1] == scale)
    #expect(node("flat_quantize").inputs[1] == scale)
    #expect(node("fc").inputs == ["flat_dequantized", "fc.weight", "fc.bias"])
    #expect(node("fc").outputs == ["y"])
    #expect(graph.outputs.map(\.name) == ["y"] && graph.inputs.map(\.name) == ["x"])
    // Behind a ReLU the smallest integer stands for 0, so that clipping is the ReLU.
    let activation = outcome.record.activations.first { $0.value == "relu1.out" }!
    #expect(activation.minimum == 0 && activation.zeroPoint == 0)
    #expect(outcome.record.foldedBatchNorms == ["bn1"])
    #expect(outcome.record.calibrationSamples == 40)
  }

  @Test func `a convolution of few products stays in float, and is pooled before its ReLU`() throws
  {
    // conv1 sums 1 × 3 × 3 products.
    let outcome = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(minReduction: 10),
      data: smallImages(40))
    let graph = outcome.graph
    #expect(
      graph.nodes.map(\.op) == [
        "Conv", "MaxPool", "Relu", "QuantizeLinear", "DequantizeLinear", "Flatten",
        "QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "DequantizeLinear", "Gemm",
      ])
    #expect(
      outcome.record.layers[0].skipped
        == "it sums 9 products an output, fewer than min_reduction 10: integers would be slower")
    let all = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(minReduction: 9),
      data: smallImages(40))
    #expect(all.record.layers.allSatisfy { $0.skipped == nil })
  }

  @Test func `pooling before the activation changes no number`() throws {
    let graph = Graph.smallChain().foldingBatchNorms().graph
    var names = NamePool(graph)
    let moved = graph.movingActivationsBehindPooling(
      of: Set(try graph.layers().map(\.output)), names: &names)
    try moved.verify()
    #expect(moved.nodes.map(\.op) == ["Conv", "MaxPool", "Relu", "Flatten", "Gemm"])
    let x = try smallImages(8).inputs["x"]!
    let before = try ReferenceEvaluator.run(graph, ["x": x])["y"]!
    let after = try ReferenceEvaluator.run(moved, ["x": x])["y"]!
    #expect(before.floats() == after.floats())
  }

  @Test func `a bias is counted in products of scales`() throws {
    let outcome = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(),
      data: smallImages(40))
    let graph = outcome.graph
    let input = graph.constant("relu1.out_scale")!.floats()[0]
    let weights = graph.constant("fc.weight_scale")!.floats()
    #expect(graph.constant("fc.bias_scale")!.floats() == weights.map { input * $0 })
    #expect(graph.constant("fc.bias_quantized")!.elementType == .int32)
    #expect(graph.constant("fc.bias_zero_point")!.integers() == [0, 0, 0])
    let bias = Graph.smallChain().constant("fc.bias")!.floats()
    let integers = graph.constant("fc.bias_quantized")!.integers()!
    for (index, value) in bias.enumerated() {
      #expect(
        abs(Float(integers[index]) * input * weights[index] - value) <= input * weights[index])
    }
  }

  @Test(arguments: 0..<3 as Range<UInt64>)
  func `the quantized network computes nearly the same`(seed: UInt64) throws {
    let data = try smallImages(60, seed: seed)
    let x = data.inputs["x"]!
    for graph in [Graph.smallChain(seed: seed), Graph.smallResidual(seed: seed)] {
      let wanted = try outputs(graph, x)
      let range = wanted.max()! - wanted.min()!
      for mode in QuantizeSettings.Mode.allCases {
        let outcome = try quantize(
          graph, quantizer: quantizer(), settings: QuantizeSettings(mode: mode), data: data)
        let found = try outputs(outcome.graph, x)
        let largest = zip(found, wanted).map { abs($0 - $1) }.max()!
        #expect(largest < 0.06 * range, "\(mode)")
        #expect(outcome.graph.outputs == graph.outputs)
      }
    }
  }

  @Test func `both inputs and the sum of a residual addition are integers`() throws {
    let graph = try quantize(
      Graph.smallResidual(), quantizer: quantizer(), settings: QuantizeSettings(),
      data: smallImages(20)
    ).graph
    let add = graph.nodes.first { $0.name == "add" }!
    #expect(add.inputs == ["conv2.out_dequantized", "relu1.out_dequantized"])
    #expect(graph.nodes.contains { $0.op == "QuantizeLinear" && $0.inputs[0] == "relu2.out" })
    #expect(!graph.nodes.contains { $0.op == "QuantizeLinear" && $0.inputs[0] == "sum" })
  }

  @Test func `layers that could saturate get seven bits, or a warning`() throws {
    let data = try smallImages(20)
    let safe = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(), data: data)
    #expect(safe.record.layers.map(\.bits) == [7, 7])
    #expect(safe.record.layers.map(\.saturationRisk) == [true, true])
    for name in ["conv1.weight_quantized", "fc.weight_quantized"] {
      #expect(PairSums.areSafe(safe.graph.constant(name)!, outAxis: 0))
    }
    #expect(safe.record.warnings == [])
    let full = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(weightRange: .full),
      data: data)
    #expect(full.record.layers.map(\.bits) == [8, 8])
    #expect(
      full.record.warnings == [
        "The layer \"conv1\" keeps eight bits; without VNNI its integer sums can saturate.",
        "The layer \"fc\" keeps eight bits; without VNNI its integer sums can saturate.",
      ])
    #expect(full.graph.constant("fc.weight_quantized")!.integers()!.contains { abs($0) == 127 })
  }

  @Test func `pruned elements stay exactly zero`() throws {
    let pruned = try prune(
      Graph.smallChain(), scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.5)
    ).graph
    for mode in QuantizeSettings.Mode.allCases {
      let graph = try quantize(
        pruned, quantizer: quantizer(), settings: QuantizeSettings(mode: mode), data: smallImages(9)
      ).graph
      let before =
        pruned.constant("conv1.weight")!.zeroCount + pruned.constant("fc.weight")!.zeroCount
      let after = ["conv1.weight_quantized", "fc.weight_quantized"].reduce(0) {
        $0 + graph.constant($1)!.zeroCount
      }
      #expect(after >= before)
    }
  }

  @Test func `a channel without weights keeps its bias`() throws {
    var graph = Graph.smallChain()
    var weight = graph.constant("fc.weight")!.floats()
    for index in 16..<32 { weight[index] = 0 }
    graph.setConstant("fc.weight", Tensor(weight, shape: [3, 16]))
    graph.setConstant("fc.bias", Tensor([0.1, 0.0123, -0.1] as [Float]))
    let data = try smallImages(20)
    let result = try quantize(
      graph, quantizer: quantizer(), settings: QuantizeSettings(), data: data)
    let found = try outputs(result.graph, data.inputs["x"]!.rows(0..<1))
    #expect(abs(found[1] - 0.0123) < 1e-6)
  }

  @Test func `weight-only keeps every node and puts integers in front`() throws {
    let outcome = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(mode: .weightOnly))
    #expect(
      outcome.graph.nodes.map(\.op) == [
        "DequantizeLinear", "Conv", "BatchNormalization", "Relu", "MaxPool", "Flatten",
        "DequantizeLinear", "Gemm",
      ])
    #expect(outcome.record.layers.map(\.bits) == [8, 8])
    #expect(outcome.record.layers.allSatisfy { $0.signalToNoise! > 35 })
    #expect(outcome.record.layers[0].scheme == "int8 symmetric per axis 0")
  }

  @Test func `dynamic makes integer operators`() throws {
    let graph = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(mode: .dynamic)
    ).graph
    #expect(
      graph.nodes.map(\.op) == [
        "DynamicQuantizeLinear", "ConvInteger", "Cast", "Mul", "Mul", "Add", "Relu", "MaxPool",
        "Flatten", "DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul", "Mul", "Add",
      ])
    #expect(graph.constant("fc.weight_quantized")!.shape == [16, 3])
    #expect(graph.initializers["fc.weight"] == nil && graph.initializers["conv1.weight"] == nil)
  }

  @Test func `static quantization asks for data`() throws {
    let affine = try quantizer()
    #expect(
      sentence {
        _ = try quantize(Graph.smallChain(), quantizer: affine, settings: QuantizeSettings())
      } == """
        Static quantization needs data to find the ranges of activations, but there is none; name \
        some with --data, for example --data fashion-mnist:train,limit=1000, or choose the mode \
        dynamic or weight-only.
        """)
  }

  /// As the queries of a decoder are: learned, or zeros of the batch's size.
  @Test(arguments: [false, true])
  func `a layer of what follows from constants is quantized`(isLearned: Bool) throws {
    let made =
      isLearned
      ? [Node("Expand", name: "spread", inputs: ["learned", "target"], outputs: ["c"])]
      : [
        Node("Shape", name: "size", inputs: ["x"], outputs: ["s"]),
        Node("ConstantOfShape", name: "zeros", inputs: ["s"], outputs: ["c"]),
      ]
    let nodes =
      made + [
        Node("MatMul", name: "one", inputs: ["x", "w"], outputs: ["a"]),
        Node("MatMul", name: "two", inputs: ["c", "v"], outputs: ["b"]),
        Node("Add", name: "add", inputs: ["a", "b"], outputs: ["y"]),
      ]
    let graph = Graph.testing(
      inputs: ["x": ["N", 4]], nodes,
      [
        "w": .seeded([4, 4], seed: 1, "w"), "v": .seeded([4, 4], seed: 1, "v"),
        "learned": .seeded([1, 4], seed: 1, "l"), "target": Tensor([1, 4] as [Int64]),
      ])
    let data = try Dataset(name: "d", inputs: ["x": .seeded([16, 4], seed: 5, "x")])
    let outcome = try quantize(
      graph, quantizer: quantizer(), settings: QuantizeSettings(), data: data)
    #expect(outcome.record.layers.allSatisfy { $0.skipped == nil })
    let x = Tensor.seeded([3, 4], seed: 5, "x")
    let expected = try ReferenceEvaluator.run(graph, ["x": x])["y"]!.floats()
    let found = try ReferenceEvaluator.run(outcome.graph, ["x": x])["y"]!.floats()
    for (a, b) in zip(expected, found) { #expect(abs(a - b) < 0.1) }
  }

  @Test func `excluded layers stay float and read what is not rounded`() throws {
    let settings = QuantizeSettings(layers: LayerFilter(exclude: ["fc"]))
    let outcome = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: settings, data: smallImages(10))
    #expect(outcome.record.layers.map(\.skipped) == [nil, "it was not chosen"])
    #expect(outcome.graph.nodes.first { $0.name == "fc" }!.inputs[0] == "flat")
    #expect(outcome.graph.constant("fc.weight")!.elementType == .float32)
  }

  @Test func `a network that is quantized already stays as it is and is said to`() throws {
    let once = try quantize(
      Graph.smallChain(), quantizer: quantizer(), settings: QuantizeSettings(mode: .weightOnly)
    ).graph
    let again = try quantize(
      once, quantizer: quantizer(), settings: QuantizeSettings(mode: .weightOnly))
    #expect(
      again.record.warnings == [
        "The network is quantized already: the weights of 2 layers are integers. Nothing was changed."
      ])
    #expect(
      again.record.layers.map(\.skipped) == ["it is quantized already", "it is quantized already"])
    #expect(again.graph.nodes.map(\.name) == once.nodes.map(\.name))
  }

  @Test func `a weight that something else reads is left alone`() throws {
    var graph = Graph.smallChain()
    graph.nodes.append(
      Node("Relu", name: "other", inputs: ["fc.weight"], outputs: ["other.out"]))
    graph.outputs.append(ValueInfo("other.out", shape: nil))
    let record = try quantize(
      graph, quantizer: quantizer(), settings: QuantizeSettings(mode: .weightOnly)
    ).record
    #expect(record.layers.map(\.skipped) == [nil, "its weight is also read by \"other\""])
  }

  @Test func `a percentile outside of 50 to 100 is refused`() throws {
    let affine = try quantizer()
    #expect(
      sentence {
        _ = try quantize(
          Graph.smallChain(), quantizer: affine,
          settings: QuantizeSettings(calibration: .percentile(20)), data: smallImages(4))
      } == "The calibration percentile is 20.0 but must be 50 to 100; try 99.99.")
  }

  @Test func `a checkpoint gets integers and scales beside the rest`() throws {
    let tensors: OrderedDictionary<String, Tensor> = [
      "bias": Tensor([1, 2] as [Float]), "w": Tensor([1, -0.5, 0, 4] as [Float], shape: [2, 2]),
    ]
    var written: OrderedDictionary<String, Tensor> = [:]
    let record = try quantizeCheckpoint(
      tensors, quantizer: quantizer(), settings: QuantizeSettings(mode: .weightOnly)
    ) { written[$0] = $1 }
    #expect(Array(written.keys) == ["bias", "w", "w.scale"])
    // One scale a row: 1 / 127 and 4 / 127.
    #expect(written["w"] == Tensor([127, -64, 0, 127] as [Int8], shape: [2, 2]))
    #expect(written["w.scale"] == Tensor([1 / 127, 4 / 127] as [Float]))
    #expect(record.layers.map(\.name) == ["w"])
  }
}
