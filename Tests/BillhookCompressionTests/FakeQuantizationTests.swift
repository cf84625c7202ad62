import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Testing

@testable import BillhookCompression

@Suite struct FakeQuantizationTests {
  static func settings(epochs: Int = 1) -> TrainSettings {
    TrainSettings(epochs: epochs, batchSize: 8, schedule: LearningRateSchedule(base: 0.01))
  }

  @Test func `a network is rounded where static quantization rounds it`() throws {
    let fake = try FakeQuantization(Graph.smallChain(), quantizer: quantizer())
    let rounded = fake.graph.nodes.filter { fake.substitutions[$0.name] != nil }
    #expect(rounded.allSatisfy { $0.op == "Identity" })
    #expect(Set(rounded.map { $0.inputs[0] }).contains("fc.weight"))
    let reader = fake.graph.nodes.first { $0.name == "fc" }
    #expect(reader?.inputs[1] == "fc.weight_rounded")
    try fake.graph.verify()
  }

  @Test func `training through a quantizer changes what is learned and keeps whole weights`() throws
  {
    let data = try smallImages(32)
    let plain = try train(
      Graph.smallChain(), loss: loss(["alpha": .double(1)]), settings: Self.settings(), data: data)
    let aware = try train(
      Graph.smallChain(), loss: loss(["alpha": .double(1)]), settings: Self.settings(), data: data,
      quantizer: quantizer())
    #expect(aware.record.roundedValues ?? 0 >= 2)
    #expect(plain.record.roundedValues == nil)
    let weight = try #require(aware.graph.constant("fc.weight")).floats()
    #expect(weight != (try #require(plain.graph.constant("fc.weight")).floats()))
    // The whole weights do not lie on the quantizer's grid.
    let again = try quantize(
      aware.graph, quantizer: quantizer(), settings: QuantizeSettings(), data: data)
    #expect(again.record.layers.contains { $0.name == "fc" && $0.signalToNoise != nil })
    #expect(aware.graph.nodes.map(\.name) == Graph.smallChain().nodes.map(\.name))
  }

  @Test func `training lowers the loss of the rounded network`() throws {
    let outcome = try train(
      Graph.smallChain(), loss: loss(["alpha": .double(1)]), settings: Self.settings(epochs: 12),
      data: smallImages(64), quantizer: quantizer())
    let losses = outcome.record.epochs.map(\.meanLoss)
    #expect(losses.last! < losses.first! * 0.95)
  }

  @Test func `a codebook without a gradient is refused`() throws {
    let path = try compiledPlugin("Plugins/Examples/c-normal-float/normal_float.c")
    let quantizer = try PluginCatalog(folders: []).plugin(path, hook: .quantizer).makeQuantizer()
    let error = #expect(throws: PluginError.self) {
      _ = try train(
        Graph.smallChain(), loss: loss(["alpha": .double(1)]), settings: Self.settings(),
        data: smallImages(32), quantizer: quantizer)
    }
    #expect(
      error?.description == """
        A network cannot be trained through plugin "org.billhook.example.normal-float": it stores \
        "conv1" by the formula "codebook" and has no function "fake_quant_grad". Train first and \
        quantize afterwards, or choose a quantizer that has it.
        """)
  }
}
