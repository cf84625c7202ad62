import BillhookPlugins
import BillhookTensor
import Foundation
import Testing

@Suite struct PlainQuantizerTests {
  private static let blocks =
    "size_t pack_blocks(const float* src, void* dst, int64_t nrows, int64_t n_per_row, "
    + "const float* imatrix)|weight.data,q.data,weight.rows,weight.cols,null;"
    + "void unpack_blocks(const void* x, float* y, int64_t k)|q.data,weight.data,weight.count;"
    + "row_block=32/18"
  private static let rows =
    "size_t pack_blocks(const float* src, void* dst, int64_t nrows, int64_t n_per_row, "
    + "const float* imatrix)|row.data,row.out,const:1,row.count,null;"
    + "void unpack_blocks(const void* x, float* y, int64_t k)|row.data,row.out,row.count;"
    + "row_block=32/18"

  private func packed(
    _ form: String, _ values: Tensor
  ) throws -> (bytes: Tensor, values: Tensor) {
    let quantizer = try plainPlugin(form, .quantizer).makeQuantizer()
    let layout = try #require(try quantizer.layout(layer(), shape: values.shape, weightBits: 8))
    #expect(layout.formula == .opaque)
    #expect(layout.blockBytes == 18)
    let parameters = try quantizer.calibrate(layer(), layout, values: values)
    let bytes = try quantizer.quantize(layer(), layout, parameters, values: values)
    return (
      bytes,
      try quantizer.dequantize(layer(), layout, parameters, integers: bytes, shape: values.shape)
    )
  }

  /// Rows of whole blocks, a tensor of whole blocks, one block, and tensors that do not divide.
  @Test(arguments: [[4, 64], [8, 3, 4, 4], [1, 32], [3, 11], [1, 1], [5, 7, 3, 3]])
  func `a library's block format packs 32 values in 18 bytes and reads them back`(
    shape: [Int]
  ) throws {
    let values = randomTensor(shape, seed: 3)
    let result = try packed(Self.blocks, values)
    #expect(result.bytes.shape == [(values.count + 31) / 32, 18])
    #expect(result.values.shape == shape)
    var signal = 0.0
    var noise = 0.0
    for (x, y) in zip(values.elements(of: Float.self), result.values.elements(of: Float.self)) {
      signal += Double(x * x)
      noise += Double((x - y) * (x - y))
    }
    // A step of an eighth of the largest value: an error below step / sqrt(12), twice for the edge.
    #expect(noise < signal * 0.02)
  }

  @Test func `rows one by one and all at once give the same bytes`() throws {
    let values = randomTensor([6, 96], seed: 9)
    let whole = try packed(Self.blocks, values)
    let rows = try packed(Self.rows, values)
    #expect(whole.bytes == rows.bytes)
    #expect(whole.values == rows.values)
  }

  @Test func `a block size that is not the library's is refused when it is tried`() throws {
    let form = Self.blocks.replacingOccurrences(of: "32/18", with: "32/20")
    let text = try #require(try refusal(form, .quantizer))
    #expect(text.contains("pack_blocks returned"), "\(text)")
    let small = Self.blocks.replacingOccurrences(of: "32/18", with: "32/16")
    #expect(try refusal(small, .quantizer)?.contains("failed when it was tried on") == true)
    let few =
      "size_t pack_too_few(const float*, void*, int64_t)|weight.data,q.data,weight.count;"
      + "void unpack_blocks(const void* x, float* y, int64_t k)|q.data,weight.data,weight.count;"
      + "row_block=32/18"
    #expect(try refusal(few, .quantizer)?.contains("of \"q\" unwritten") == true)
  }

  @Test func `a packed format is for weights alone`() throws {
    let quantizer = try plainPlugin(Self.blocks, .quantizer).makeQuantizer()
    let text = sentence {
      _ = try quantizer.layout(layer(role: .activation), shape: [4, 4], weightBits: 8)
    }
    #expect(text?.contains("a packed format is for weights: use the mode \"weight-only\"") == true)
  }

  @Test func `integers of a manifest's layout get a scale that holds every value`() throws {
    let folder = TemporaryFolderOfPlugins()
    let manifest = try folder.manifest(
      """
      {"schema": "billhook.plain/1", "library": "\(try plainLibrary())", "functions": [{
        "id": "org.example.round", "hook": "quantizer",
        "layout": {"type": "int8", "qmin": -127, "qmax": 127, "symmetric": true},
        "quantize": {"signature":
          "void round_to(const float* x, int8_t* q, int n, const float* scale, int qmin, int qmax)",
          "bind": {"x": "weight.data", "q": "q.data", "n": "weight.count", "scale": "scale.data",
                   "qmin": "qmin", "qmax": "qmax"}},
        "dequantize": {"signature":
          "void times(const int8_t* q, float* x, int n, const float* scale)",
          "bind": {"q": "q.data", "x": "weight.data", "n": "weight.count", "scale": "scale.data"}}
      }]}
      """)
    let quantizer = try PluginCatalog(folders: []).plugin(manifest, hook: .quantizer)
      .makeQuantizer()
    let values = Tensor([1.27, -0.5, 0, 0.014] as [Float], shape: [2, 2])
    let layout = try #require(try quantizer.layout(layer(), shape: [2, 2], weightBits: 8))
    let parameters = try quantizer.calibrate(layer(), layout, values: values)
    let integers = try quantizer.quantize(layer(), layout, parameters, values: values)
    #expect(integers.integers() == [127, -50, 0, 1])
    // Seven bits: a function that is told the range uses the smaller one.
    let narrow = try #require(try quantizer.layout(layer(), shape: [2, 2], weightBits: 7))
    #expect(narrow.maximum == 63)
  }
}
