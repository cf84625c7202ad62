import BillhookGraph
import BillhookPlugins
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

/// Networks whose weights are not float32.
@Suite struct OtherTypesTests {
  private let training = TrainSettings(
    epochs: 2, batchSize: 20, optimizer: .sgd(), schedule: LearningRateSchedule(base: 0.05), seed: 4
  )

  private func types(_ graph: Graph) -> Set<ElementType> {
    Set(graph.initializers.values.map(\.tensor.elementType))
  }

  @Test(arguments: [ElementType.float16, .bfloat16, .float64])
  func `pruning and training keep the type, quantization the types of inputs and outputs`(
    type: ElementType
  ) throws {
    let data = try smallImages(60)
    let start = Graph.smallChain(width: 8).stored(as: type)
    let pruned = try prune(
      start, scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.5), data: data)
    #expect(types(pruned.graph) == [type])

    let trained = try train(
      pruned.graph, loss: loss(["alpha": .double(1)]), settings: training, data: data)
    #expect(types(trained.graph) == [type])
    #expect(trained.record.weightTypes == ["\(type)"])
    #expect(trained.record.keptZeros.map(\.tensor) == ["conv1.weight", "fc.weight"])
    for name in ["conv1.weight", "fc.weight"] {
      let before = pruned.graph.constant(name)!.floats()
      let after = trained.graph.constant(name)!.floats()
      #expect(before != after)
      #expect(zip(before, after).allSatisfy { $0 != 0 || $1 == 0 })
    }

    let quantized = try quantize(
      trained.graph, quantizer: quantizer(), settings: QuantizeSettings(), data: data)
    #expect(quantized.record.layers.allSatisfy { $0.skipped == nil })
    #expect(
      quantized.record.warnings == [
        "The network has weights in \(type): what did not become integers is float32 now. Its "
          + "inputs and outputs keep their types."
      ])
    #expect(quantized.graph.inputs == trained.graph.inputs)
    #expect(quantized.graph.outputs == trained.graph.outputs)
    #expect(types(quantized.graph) == [.float32, .int8, .uint8, .int32])

    let before = try evaluate(trained.graph, on: data)
    let after = try evaluate(quantized.graph, on: data)
    #expect(abs(before.top1 - after.top1) <= 0.1)
  }

  @Test(arguments: [ElementType.float16, .bfloat16])
  func `a network of narrow floats runs in kernels`(type: ElementType) throws {
    let graph = Graph.smallChain().stored(as: type)
    let plan = try InferencePlan(graph, batchSize: 3)
    #expect(plan.operations.contains { $0.hasPrefix("Conv") })
    #expect(plan.operations.contains("Dense"))
    let x = Tensor.seeded([3, 1, 4, 4], seed: 4, "x").converted(to: type)
    let found = try plan.run(["x": x]).values.first!
    let expected = try ReferenceEvaluator.run(graph, ["x": x])[graph.outputs[0].name]!
    #expect(found.elementType == type && expected.elementType == type)
    let precision: Float = type == .float16 ? 0x1p-9 : 0x1p-6
    for (a, b) in zip(found.floats(), expected.floats()) {
      #expect(abs(a - b) <= precision * max(1, abs(b)))
    }
    #expect(try InferenceSession(graph).run(["x": x])[graph.outputs[0].name] == found)
  }

  @Test func `training in float16 ends with float32's weights, rounded`() throws {
    let data = try smallImages(60)
    // Weights that float16 holds exactly, so that both trainings start alike.
    let stored = Graph.smallChain().stored(as: .float16)
    let half = try train(stored, loss: loss(["alpha": .double(1)]), settings: training, data: data)
    let full = try train(
      stored.inFloat32(), loss: loss(["alpha": .double(1)]), settings: training, data: data)
    #expect(full.record.weightTypes == nil)
    #expect(half.record.epochs == full.record.epochs)
    for (name, initializer) in full.graph.initializers {
      #expect(half.graph.constant(name) == initializer.tensor.converted(to: .float16))
    }
  }

  @Test func `a weight that training makes too large for its type is named`() throws {
    let data = try smallImages(60)
    // Every sample is class 0 to the network, so that the bias of class 1, which half of them have,
    // grows by 1000 times about a half in one step. Float16 ends at 65504.
    var graph = Graph.smallChain().stored(as: .float16)
    graph.setConstant("fc.bias", Tensor([65504, 65440, 0] as [Float]).converted(to: .float16))
    graph.setConstant("fc.weight", Tensor(zeros: [3, 16], .float16))
    var settings = training
    settings.schedule = LearningRateSchedule(base: 1000)
    settings.stepLimit = 1
    #expect(
      sentence {
        _ = try train(graph, loss: loss(["alpha": .double(1)]), settings: settings, data: data)
      } == """
        The tensor "fc.bias" is not finite after training with the learning rate 1000.0; try a tenth \
        of that rate, or a warm-up.
        """)
  }

  @Test(arguments: [ElementType.float16, .float64])
  func `data of any floating-point type is normalised and gets the network's type`(
    type: ElementType
  ) throws {
    let images = Tensor([0, 51, 255, 102] as [UInt8], shape: [2, 1, 1, 2])
    let graph = Graph.testing("Relu", ["N", 1, 1, 2]).stored(as: type)
    let bytes = try Dataset(
      name: "bytes", inputs: ["x": images],
      normalization: Normalization(mean: [0.2], std: [0.5])
    ).fitted(to: graph)
    let batch = bytes.batch([0, 1])["x"]!
    #expect(batch.elementType == type)
    for (found, wanted) in zip(batch.floats(), [-0.4, 0, 1.6, 0.4] as [Float]) {
      #expect(abs(found - wanted) < 1e-3)
    }
    let floats = try Dataset(
      name: "floats",
      inputs: ["x": Tensor([1, 2] as [Float], shape: [1, 1, 1, 2]).converted(to: type)]
    )
    #expect(try floats.fitted(to: graph).batch([0])["x"]?.elementType == type)
    let float32 = Graph.testing("Relu", ["N", 1, 1, 2])
    #expect(try floats.fitted(to: float32).batch([0])["x"]?.elementType == .float32)
  }

  @Test func `statistics and gradients of a float16 network are measured`() throws {
    let data = try smallImages(40)
    let stored = Graph.smallChain().stored(as: .float16)
    let layers = try stored.weightedLayers()
    var statistics = try collectStatistics(
      stored.inFloat32(), layers: layers, needs: .inputAbsMean, data: data, samples: 40,
      batchSize: 10, seed: 0, progress: nil)
    try addWeightGradients(
      to: &statistics, stored.inFloat32(), layers: layers, data: data,
      settings: PruneSettings(ratio: 0.5),
      progress: nil)
    #expect(statistics.allSatisfy { $0.inputAbsMean != nil && $0.weightGradient != nil })

    var settings = PruneSettings(granularity: .channel, ratio: 0.5)
    settings.reestimateStatistics = true
    let outcome = try prune(stored, scorer: scorer("activation"), settings: settings, data: data)
    #expect(outcome.record.reestimatedSamples == 40)
    #expect(types(outcome.graph) == [.float16])
  }
}
