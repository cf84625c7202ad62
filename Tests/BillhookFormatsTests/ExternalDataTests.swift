import BillhookFormats
import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Foundation
import Testing

/// Tensors whose bytes lie in a file beside the model.
@Suite struct ExternalDataTests {
  /// A model with one float32 initializer `w` of two elements in an external file.
  private static func model(_ entries: [(String, String)]) -> [UInt8] {
    WireBytes.model { graph in
      graph.initializer(type: 1, dims: [2]) { tensor in
        for (key, value) in entries {
          tensor.message(13) {
            $0.text(1, key)
            $0.text(2, value)
          }
        }
        tensor.integer(14, 1)
      }
    }
  }

  private static func floats(_ values: [Float]) -> [UInt8] {
    values.withUnsafeBytes { Array($0) }
  }

  @Test func `a tensor is read at its offset and written into the model`() throws {
    let folder = TemporaryFolder()
    _ = folder.file("weights.bin", Self.floats([9, 1, 2]))
    let path = folder.file(
      "m.onnx",
      Self.model([("location", "weights.bin"), ("offset", "4"), ("length", "8")]))
    let graph = try ONNXFile.read(path: path)
    #expect(graph.constant("w") == Tensor([1, 2] as [Float]))
    let again = try ONNXFile.decode(try ONNXFile.encode(graph), name: "again")
    #expect(again.constant("w") == Tensor([1, 2] as [Float]))
  }

  @Test(arguments: ["/etc/hostname", "../weights.bin", "a/../../weights.bin", ""])
  func `a name that leads out of the folder is refused`(name: String) {
    let folder = TemporaryFolder()
    let path = folder.file("m.onnx", Self.model([("location", name)]))
    #expect(
      sentence { _ = try ONNXFile.read(path: path) } == """
        Cannot read "\(path)" as ONNX: at initializer "w", found a tensor whose data lies in the \
        file "\(name)", which is not supported. Supported: files in the model's own folder, by \
        relative names without "..".
        """)
  }

  @Test func `a link that leads out of the folder is refused`() throws {
    let (folder, other) = (TemporaryFolder(), TemporaryFolder())
    let secret = other.file("secret.bin", Self.floats([1, 2]))
    try FileManager.default.createSymbolicLink(
      atPath: folder("weights.bin"), withDestinationPath: secret)
    let path = folder.file("m.onnx", Self.model([("location", "weights.bin")]))
    #expect(
      sentence { _ = try ONNXFile.read(path: path) } == """
        Cannot read "\(path)" as ONNX: at initializer "w", found a tensor whose data lies in the \
        file "weights.bin", which is not supported. Supported: files in the model's own folder, by \
        relative names without "..".
        """)
  }

  @Test func `a file that is missing or too short is named`() {
    let folder = TemporaryFolder()
    let path = folder.file("m.onnx", Self.model([("location", "weights.bin")]))
    #expect(
      sentence { _ = try ONNXFile.read(path: path) } == """
        Cannot read "\(folder("weights.bin"))": No such file or directory. Check the path and its \
        permissions.
        """)
    _ = folder.file("weights.bin", [0, 0, 0, 0])
    #expect(
      sentence { _ = try ONNXFile.read(path: path) } == """
        Cannot read "\(path)" as ONNX: at initializer "w", found 8 bytes from 0 on of "weights.bin", \
        but expected a range within its 4 bytes. The file is damaged, cut short or of another kind; \
        copy or export it again.
        """)
  }

  @Test func `a length that the shape does not need is refused`() {
    let folder = TemporaryFolder()
    let path = folder.file(
      "m.onnx", Self.model([("location", "weights.bin"), ("length", "12")]))
    #expect(
      sentence { _ = try ONNXFile.read(path: path) } == """
        Cannot read "\(path)" as ONNX: at initializer "w", found 12 bytes of external data, but \
        expected 8 for shape [2] of float32. The file is damaged, cut short or of another kind; copy \
        or export it again.
        """)
  }
}
