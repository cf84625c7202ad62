import BillhookCompression
import BillhookFormats
import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@testable import BillhookPipeline

/// Files of third parties' formats that are read back, and files that cannot be.
@Suite struct RestoreTests {
  private let folder = TemporaryFolder()
  private let catalog = PluginCatalog(folders: [])
  private var packed: String { folder("packed.safetensors") }
  private var plain: String { folder("plain.safetensors") }

  private func plugin() throws -> String { try compiledPlugin(StoredFormatsTests.formats) }

  /// Quantizes tensors as `billhook quantize` does.
  private func quantize(
    _ tensors: OrderedDictionary<String, Tensor> = ["w": StoredFormatsTests.weight],
    _ form: String = "opaque"
  ) throws {
    try SafetensorsFile(tensors: tensors).write(to: folder("original.safetensors"))
    var stage = QuantizeStage(
      quantizer: PluginChoice(
        try plugin(), parameters: [.init(key: "form", values: [form], isList: false)]))
    stage.mode = .weightOnly
    _ = try StageJob(
      Stage(.quantize(stage)), input: folder("original.safetensors"), output: packed, data: nil,
      catalog: catalog
    ).run()
  }

  @discardableResult
  private func restore(
    _ parameters: [PluginChoice.Parameter] = [], quantizer: String? = nil
  ) throws -> RestoreReport {
    try RestoreReport.run(
      packed: packed, output: plain, quantizer: try quantizer ?? plugin(), parameters: parameters,
      catalog: catalog)
  }

  /// Changes the text of a metadata entry.
  private func replace(_ old: String, _ new: String) throws {
    var file = try SafetensorsFile.read(path: packed)
    let text = try #require(file.metadata[SafetensorsFile.quantizationKey])
    #expect(text.contains(old))
    file.metadata[SafetensorsFile.quantizationKey] = text.replacingOccurrences(of: old, with: new)
    // Beside it: the tensors are views of the file that would be replaced.
    try file.write(to: folder("changed.safetensors"))
    try FileManager.default.removeItem(atPath: packed)
    try FileManager.default.moveItem(atPath: folder("changed.safetensors"), toPath: packed)
  }

  private func expect(
    _ sentence: String, at location: SourceLocation = #_sourceLocation, _ body: () throws -> Void
  ) {
    #expect(BillhookTestSupport.sentence(body) == sentence, sourceLocation: location)
    #expect(!folder.names.contains("plain.safetensors"), sourceLocation: location)
  }

  @Test func `a checkpoint is quantized once, and loses no tensor`() throws {
    try quantize()
    expectRefused(
      packed,
      """
      Cannot quantize. "\(packed)" holds quantized tensors already: w. Quantize all that is wanted at \
      once, or run billhook restore on it first.
      """)

    let clashing = folder("clash.safetensors")
    try SafetensorsFile(tensors: [
      "w": StoredFormatsTests.weight, "w.scale": Tensor([1] as [Float]),
    ]).write(to: clashing)
    expectRefused(
      clashing,
      """
      Cannot quantize. "\(clashing)" has a tensor "w.scale", which is also what a quantized tensor \
      needs: rename it, or leave one of both alone with --exclude.
      """)
  }

  @Test(arguments: ["opaque", "packed", "custom"])
  func `a quantized checkpoint has as many parameters as the one before`(form: String) throws {
    try quantize(["w": StoredFormatsTests.weight, "b": Tensor([1, 2] as [Float])], form)
    let before = try CheckpointCost(path: folder("original.safetensors"))
    let after = try CheckpointCost(path: packed)
    #expect(before.parameters == StoredFormatsTests.weight.count + 2)
    #expect(after.parameters == before.parameters)
    #expect(after.layers.allSatisfy { !$0.name.hasPrefix("w.") || $0.parameters == 0 })
    // A shape that no tensor has is not believed.
    try replace("\"shape\":[", "\"shape\":[9000000000000000000,")
    _ = try CheckpointCost(path: packed)
  }

  private func expectRefused(
    _ path: String, _ sentence: String, at location: SourceLocation = #_sourceLocation
  ) {
    expect(sentence, at: location) {
      var stage = QuantizeStage(quantizer: PluginChoice("affine-int8"))
      stage.mode = .weightOnly
      _ = try StageJob(
        Stage(.quantize(stage)), input: path, output: plain, data: nil, catalog: PluginCatalog()
      ).run()
    }
  }

  @Test(arguments: ["opaque", "packed", "custom"])
  func `the parameters in the file are those of the plugin that reads it`(form: String) throws {
    let bias = Tensor([1, 2] as [Float])
    try quantize(["w": StoredFormatsTests.weight, "b": bias], form)
    let report = try restore()
    if form == "packed" {
      #expect(report.plugins == [])
      let path = try plugin()
      #expect(
        report.warnings == ["No tensor needs a plugin to be read; \"\(path)\" was not used."])
    } else {
      #expect(report.plugins.map(\.id) == ["org.example.formats"])
      #expect(report.plugins.first?.parameters.map(\.key) == ["form"])
      #expect(report.plugins.first?.parameters.map(\.value) == [form])
      #expect(report.warnings == [])
    }
    #expect(report.weights.map(\.name) == ["w"])
    let file = try SafetensorsFile.read(path: plain)
    #expect(file.metadata[SafetensorsFile.quantizationKey] == nil)
    #expect(file.metadata[Provenance.Key.plugins] != nil)
    #expect(Array(file.tensors.keys) == ["w", "b"])
    #expect(file.tensors["b"] == bias)
    let restored = try #require(file.tensors["w"])
    #expect(restored.shape == StoredFormatsTests.weight.shape)
    let pairs = zip(restored.floats(), StoredFormatsTests.weight.floats())
    // Half a step of a seventh of the largest value, 1, and what the scale is rounded by.
    #expect(pairs.allSatisfy { abs($0 - $1) <= 0.5 / 7 * 1.01 })
  }

  @Test func `a network gets the restored weights`() throws {
    let graph = Graph.smallChain()
    try ONNXFile.write(graph, to: folder("network.onnx"))
    try quantize(
      OrderedDictionary(
        uniqueKeysWithValues: graph.constantTensors().sorted { $0.key < $1.key }
          .map { ($0.key, $0.value) }))
    let output = folder("restored.onnx")
    let report = try RestoreReport.run(
      packed: packed, output: output, network: folder("network.onnx"), quantizer: try plugin(),
      catalog: catalog)
    try restore()
    let restored = try ONNXFile.read(path: output)
    for (name, tensor) in try SafetensorsFile.read(path: plain).tensors {
      #expect(restored.constant(name) == tensor, "\(name)")
    }
    let weight = try #require(report.weights.first)
    #expect(restored.constant(weight.name) != graph.constant(weight.name))
    #expect(restored.nodes.count == graph.nodes.count)
    #expect(restored.metadata[Provenance.Key.plugins]?.contains("org.example.formats") == true)
  }

  @Test func `a network that the checkpoint does not belong to is refused`() throws {
    let graph = Graph.smallChain()
    let network = folder("network.onnx")
    try ONNXFile.write(graph, to: network)
    let output = folder("restored.onnx")
    func run() throws {
      _ = try RestoreReport.run(
        packed: packed, output: output, network: network, quantizer: try plugin(),
        catalog: catalog)
    }
    try quantize()
    #expect(
      sentence(run) == """
        The network "\(network)" has no weight "w", which the checkpoint has. Give the network that \
        the checkpoint belongs to.
        """)
    let weights = graph.constantTensors().filter { $0.value.rank == 4 }
    let (name, weight) = try #require(weights.min { $0.key < $1.key })
    try quantize([name: Tensor.seeded([2, 3], seed: 1, "other")])
    #expect(
      sentence(run) == """
        The weight "\(name)" of the network "\(network)" is float32 \(weight.shape), but the \
        checkpoint has float32 [2, 3]. Give the network that the checkpoint belongs to.
        """)
    #expect(!folder.names.contains("restored.onnx"))
  }

  @Test func `the kind of the output follows from the network`() throws {
    try quantize()
    expect(
      """
      The output "\(folder("a.onnx"))" does not end in .safetensors, which is what is written \
      without a network; choose such a name, or add --network NETWORK.onnx.
      """
    ) {
      _ = try RestoreReport.run(packed: packed, output: folder("a.onnx"), catalog: catalog)
    }
    expect(
      """
      The output "\(plain)" is a checkpoint, but the weights go into the network "n.onnx"; write an \
      ONNX file, or leave --network out.
      """
    ) {
      _ = try RestoreReport.run(packed: packed, output: plain, network: "n.onnx", catalog: catalog)
    }
  }

  @Test func `a file that was cut names the tensor behind its end`() throws {
    try quantize()
    let bytes = folder.bytes("packed.safetensors")
    _ = folder.file("packed.safetensors", Array(bytes.dropLast(5)))
    expect(
      """
      Cannot read "\(packed)" as safetensors: at data_offsets of tensor "w", found [0, 6912], but \
      expected a start and an end within the 6907 bytes of data. The file is damaged, cut short or \
      of another kind; copy or export it again.
      """
    ) { try restore() }
  }

  @Test(arguments: [
    ("\"blockSize\":32", "\"blockSize\":16", "it is uint8 [384, 18]"),
    ("\"blockBytes\":18", "\"blockBytes\":17", "it is uint8 [384, 18]"),
    ("[61,67,3]", "[61,67,30]", "it is uint8 [384, 18]"),
    ("[61,67,3]", "[1048576,1048576]", "it has 6912 bytes for the shape [1048576, 1048576]"),
    ("\"blockBytes\":18", "\"blockBytes\":0", "its layout contradicts itself"),
    ("\"blockSize\":32", "\"blockSize\":9223372036854775807", "its layout contradicts itself"),
    ("[61,67,3]", "[0,9223372036854775807,9223372036854775807]", "its layout contradicts itself"),
  ])
  func `a layout that the tensor contradicts is a sentence`(
    old: String, new: String, problem: String
  ) throws {
    try quantize()
    try replace(old, new)
    expect(
      """
      The quantized tensor "w" does not hold what its layout says: \(problem). Quantize the \
      original checkpoint again.
      """
    ) { try restore() }
  }

  @Test func `a layout of a tensor that is not there is a sentence`() throws {
    try quantize()
    try replace("{\"w\":", "{\"v\":")
    expect(
      """
      The quantized tensor "v" does not hold what its layout says: it is not in the file. Quantize \
      the original checkpoint again.
      """
    ) { try restore() }
  }

  @Test func `a form that the plugin does not know is not read by it`() throws {
    try quantize()
    try replace("example.blocks/1", "example.blocks/2")
    expect(
      """
      The quantizer "org.example.formats" cannot read the tensor "w": the file has it as \
      "example.blocks/2" (18 bytes for 32 values), and with these parameters the plugin stores it \
      as "example.blocks/1" (18 bytes for 32 values). Name the plugin that wrote the file with \
      --quantizer, and its parameters with --param.
      """
    ) { try restore() }
  }

  @Test func `a plugin with other parameters does not read the file`() throws {
    try quantize()
    expect(
      """
      The quantizer "org.example.formats" cannot read the tensor "w": the file has it as \
      "example.blocks/1" (18 bytes for 32 values), and with these parameters the plugin stores it \
      as affine, 5 bits along axis 0. Name the plugin that wrote the file with --quantizer, and its \
      parameters with --param.
      """
    ) { try restore([.init(key: "form", values: ["packed"], isList: false)]) }
  }

  @Test func `a formula that nobody knows names its place`() throws {
    try quantize()
    try replace("\"formula\":\"opaque\"", "\"formula\":\"zip\"")
    expect(
      """
      Cannot read "\(packed)" as safetensors: at metadata "billhook.quantization", "w", "formula", \
      found an unknown value, but expected a layout for each quantized tensor. The file is damaged, \
      cut short or of another kind; copy or export it again.
      """
    ) { try restore() }
  }

  @Test func `a checkpoint that was not quantized is said`() throws {
    try SafetensorsFile(tensors: ["w": StoredFormatsTests.weight]).write(to: packed)
    expect(
      """
      "\(packed)" does not say how its tensors are stored: it has no metadata \
      "billhook.quantization". Give a file that quantize --mode weight-only wrote.
      """
    ) { try restore() }
  }

  @Test func `a plugin that is not there is named, and a file cannot make one load`() throws {
    try quantize()
    func run() throws {
      _ = try RestoreReport.run(packed: packed, output: plain, catalog: catalog)
    }
    expect(
      """
      "\(packed)" holds tensors that only the quantizer "org.example.formats" can read, and there \
      is no quantizer of that id. Name its file with --quantizer, or put it into a plugin folder.
      """, run)
    let path = try plugin()
    try replace("\"org.example.formats\"", "\"\(path)\"")
    expect(
      """
      "\(packed)" holds tensors that only the quantizer "\(path)" can read, and there is no \
      quantizer of that id. Name its file with --quantizer, or put it into a plugin folder.
      """, run)
  }

  @Test func `a weight with NaN stays as it is`() throws {
    var bad = StoredFormatsTests.weight.floats()
    bad[5] = .nan
    let broken = Tensor(bad, shape: StoredFormatsTests.weight.shape)
    expect("No layer was quantized. \"v\": its weights are not all finite.") {
      try quantize(["v": broken])
    }
    #expect(!folder.names.contains("packed.safetensors"))
    try quantize(["v": broken, "w": StoredFormatsTests.weight])
    #expect(try restore().weights.map(\.name) == ["w"])
    let kept = try #require(try SafetensorsFile.read(path: plain).tensors["v"])
    #expect(kept.floats().map(\.bitPattern) == bad.map(\.bitPattern))
  }
}
