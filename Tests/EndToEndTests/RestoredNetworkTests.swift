import Billhook
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

/// A trained network's checkpoint in formats of third parties, read back and measured.
@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct RestoredNetworkTests {
  private let folder = TemporaryFolder()

  /// 32 values in 18 bytes, by functions of a library that knows nothing of Billhook.
  private func blocks() throws -> String {
    let library = try compiledLibrary("Tests/Fixtures/plain/functions.c")
    let manifest = """
      {"schema": "billhook.plain/1", "library": "\(library)", "functions": [{
        "id": "org.example.blocks", "hook": "quantizer",
        "row_block": {"values": 32, "bytes": 18},
        "quantize": {
          "signature": "size_t pack_blocks(const float* from, void* to, int64_t rows, \
      int64_t cols, const float* weights)",
          "bind": {"from": "weight.data", "to": "q.data", "rows": "weight.rows",
                   "cols": "weight.cols", "weights": "null"}},
        "dequantize": {
          "signature": "void unpack_blocks(const void* from, float* to, int64_t n)",
          "bind": {"from": "q.data", "to": "weight.data", "n": "weight.count"}}
      }]}
      """
    return folder.file("blocks.bhplug.json", Array(manifest.utf8))
  }

  private func run(_ arguments: [String]) throws -> Data {
    let result = try BillhookProcess(arguments + ["--json", "--quiet"], folder: folder.path)
    #expect(result.code == 0, "\(arguments)\n\(result.errors)")
    return Data(result.output.utf8)
  }

  /// The share of the weights' bytes, and the points of accuracy that may be lost.
  @Test(arguments: [("normal-float", 0.16, 0.02), ("blocks", 0.15, 0.03)])
  func `a network with the weights of a packed file keeps its accuracy`(
    name: String, share: Double, loss: Double
  ) throws {
    try TrainedNetworks.copyGentle(to: folder("trained.onnx"))
    let graph = try ONNXFile.read(path: folder("trained.onnx"))
    let tensors = graph.constantTensors().filter { $0.value.elementType == .float32 }
    try SafetensorsFile(
      tensors: OrderedDictionary(
        uniqueKeysWithValues: tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    ).write(to: folder("trained.safetensors"))
    let quantizer =
      name == "blocks"
      ? try blocks() : try compiledPlugin("Plugins/Examples/c-normal-float/normal_float.c")
    _ = try run([
      "quantize", "trained.safetensors", "-o", "packed.safetensors", "--mode", "weight-only",
      "--quantizer", quantizer,
    ])
    // Tables and scales explain themselves; blocks are for their plugin to read.
    let restored = try JSONDecoder().decode(
      RestoreReport.self,
      from: run(
        ["restore", "packed.safetensors", "--network", "trained.onnx", "-o", "restored.onnx"]
          + (name == "blocks" ? ["--quantizer", quantizer] : [])))
    #expect(restored.warnings == [])
    #expect(restored.plugins.map(\.id) == (name == "blocks" ? ["org.example.blocks"] : []))
    #expect(restored.weights.count == 4)
    let stored = restored.weights.reduce(0) { $0 + $1.storedBytes }
    let floats = restored.weights.reduce(0) { $0 + $1.restoredBytes }
    #expect(Double(stored) <= share * Double(floats))

    let report = try JSONDecoder().decode(
      EvaluateReport.self,
      from: run([
        "evaluate", "restored.onnx", "--data", "fashion-mnist:test,limit=1000", "--against",
        "trained.onnx",
      ]))
    #expect(try #require(report.againstEvaluation).top1 >= 0.7)
    #expect(try #require(report.change) >= -loss)
    // The weights are others than before.
    #expect(try #require(report.agreement).maximumDifference > 0)
  }
}
