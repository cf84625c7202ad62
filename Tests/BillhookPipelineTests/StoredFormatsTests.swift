import BillhookCompression
import BillhookFormats
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@testable import BillhookPipeline

/// Tensors in formats of third parties: written to a file, read back, compared.
@Suite struct StoredFormatsTests {
  static func quantizer(_ source: String, _ form: String? = nil) throws -> Quantizer {
    let path = try compiledPlugin(source)
    return try PluginCatalog(folders: []).plugin(path, hook: .quantizer)
      .makeQuantizer(form.map { ["form": .string($0)] } ?? [:])
  }

  static let formats = "Tests/BrokenPlugins/formats.c"
  static let weight = Tensor.seeded([61, 67, 3], seed: 7, "weight")

  /// What the file holds, as the job writes it, and the restored weight.
  static func roundTrip(
    _ quantizer: Quantizer, folder: TemporaryFolder
  ) throws -> (file: SafetensorsFile, bytes: Int, restored: Tensor) {
    var written: OrderedDictionary<String, Tensor> = [:]
    let record = try quantizeCheckpoint(
      ["w": weight, "b": Tensor([1, 2] as [Float])], quantizer: quantizer,
      settings: QuantizeSettings(mode: .weightOnly)
    ) { written[$0] = $1 }
    try SafetensorsFile(
      tensors: written,
      metadata: [SafetensorsFile.quantizationKey: try record.layouts.metadataText()]
    ).write(to: folder("w.safetensors"))
    let file = try SafetensorsFile.read(path: folder("w.safetensors"))
    let text = try #require(file.metadata[SafetensorsFile.quantizationKey])
    let layouts = try JSONDecoder().decode([String: StoredLayout].self, from: Data(text.utf8))
    #expect(layouts == record.layouts)
    let tensors = try restoreCheckpoint(file.tensors, layouts: layouts) { plugin in
      #expect(plugin == quantizer.descriptor.id)
      return quantizer
    }
    #expect(Array(tensors.keys) == ["w", "b"])
    #expect(tensors["b"] == Tensor([1, 2] as [Float]))
    let bytes = file.tensors.filter { $0.key != "b" }.values.reduce(0) { $0 + $1.byteCount }
    return (file, bytes, try #require(tensors["w"]))
  }

  @Test(arguments: [
    ("BLOCK_BYTES=1000000000000", "\"block_bytes\" is 1000000000000"),
    ("STORAGE_ID=\"a\\033[31mb\"", "empty, not UTF-8 or with a control character"),
  ])
  func `a layout that takes too much memory, or that no terminal may see, is refused`(
    define: String, found: String
  ) throws {
    let path = try compiledPlugin(Self.formats, defines: [define])
    let quantizer = try PluginCatalog(folders: []).plugin(path, hook: .quantizer)
      .makeQuantizer(["form": .string("opaque")])
    let layer = LayerContext(
      role: .weight, index: 0, name: "w", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
    let text = sentence { _ = try quantizer.layout(layer, shape: [61, 67, 3], weightBits: 8) }
    #expect(text.contains(found), "\(text)")
  }

  @Test(arguments: [
    ("opaque", 0.15), ("packed", 0.17), ("custom", 0.27),
  ])
  func `a format of a third party is read back as it was written`(
    form: String, share: Double
  ) throws {
    let folder = TemporaryFolder()
    let quantizer = try Self.quantizer(Self.formats, form)
    let (_, bytes, restored) = try Self.roundTrip(quantizer, folder: folder)
    #expect(Double(bytes) <= share * Double(Self.weight.byteCount))
    let layer = LayerContext(
      role: .weight, index: 0, name: "w", op: "Weight", outAxis: 0, inAxis: 1, groups: 1)
    let layout = try #require(
      try quantizer.layout(layer, shape: Self.weight.shape, weightBits: 8))
    let parameters = try quantizer.calibrate(layer, layout, values: Self.weight)
    let integers = try quantizer.quantize(layer, layout, parameters, values: Self.weight)
    #expect(
      try quantizer.dequantize(
        layer, layout, parameters, integers: integers, shape: Self.weight.shape) == restored)
  }

  @Test func `indices into a codebook take four bits`() throws {
    let folder = TemporaryFolder()
    let (file, bytes, restored) = try Self.roundTrip(
      Self.quantizer("Plugins/Examples/c-normal-float/normal_float.c"), folder: folder)
    #expect(Double(bytes) <= 0.16 * Double(Self.weight.byteCount))
    let table = try #require(file.tensors["w.table"]?.elements(of: Float.self))
    let scales = try #require(file.tensors["w.scale"]?.elements(of: Float.self))
    let packed = try #require(file.tensors["w"]?.elements(of: UInt8.self))
    // By hand from the bytes: element i is nibble i of the row, low first.
    let expected = (0..<Self.weight.count).map {
      table[Int(packed[$0 / 2] >> ($0 % 2 * 4) & 15)] * scales[$0 / 64]
    }
    #expect(restored.elements(of: Float.self) == expected)
  }

  @Test func `a file that was cut says which tensor is wrong`() throws {
    let folder = TemporaryFolder()
    let quantizer = try Self.quantizer("Plugins/Examples/c-normal-float/normal_float.c")
    let (file, _, _) = try Self.roundTrip(quantizer, folder: folder)
    let text = try #require(file.metadata[SafetensorsFile.quantizationKey])
    let layouts = try JSONDecoder().decode([String: StoredLayout].self, from: Data(text.utf8))
    var tensors = file.tensors
    tensors["w"] = Tensor([1, 2, 3] as [UInt8])
    let error = #expect(throws: CompressionError.self) {
      _ = try restoreCheckpoint(tensors, layouts: layouts) { _ in quantizer }
    }
    #expect(
      error?.description == """
        The quantized tensor "w" does not hold what its layout says: it has 3 bytes. Quantize the \
        original checkpoint again.
        """)
  }
}
