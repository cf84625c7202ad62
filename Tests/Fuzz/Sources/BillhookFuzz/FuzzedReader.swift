internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import CLibFuzzer
internal import Glibc

/// A reader of files from outside. Whatever the bytes, it must return or throw.
enum FuzzedReader: String, CaseIterable {
  /// ONNX, then the checks and the shape inference of what was read.
  case onnx
  case safetensors
  case numpy
  case idx

  /// Safety: set once, before the first call of libFuzzer, which has one thread.
  nonisolated(unsafe) static var current = FuzzedReader.onnx

  func read(_ bytes: UnsafeBufferPointer<UInt8>) {
    switch self {
    case .onnx: readNetwork(Array(bytes))
    case .safetensors:
      withFile(bytes) { path in
        guard let file = try? SafetensorsFile.read(path: path) else { return }
        for (_, tensor) in file.tensors { _ = tensor.asFloat32() }
      }
    case .numpy:
      withFile(bytes) { path in
        _ = try? NumpyFile.readArray(path: path)
        _ = try? NumpyArchive.read(path: path)
      }
    case .idx: withFile(bytes) { _ = try? IDXFile.read(path: $0) }
    }
  }

  private func readNetwork(_ bytes: [UInt8]) {
    guard let graph = try? ONNXFile.decode(bytes, name: "fuzz.onnx") else { return }
    // What was read can be written, and read again to the same bytes.
    if let written = try? ONNXFile.encode(graph) {
      guard let again = try? ONNXFile.decode(written, name: "written.onnx"),
        (try? ONNXFile.encode(again)) == written
      else { fatalError("a network that was read and written is not read again as it was") }
    }
    guard (try? graph.verify()) != nil else { return }
    for batchSize in [1, 3] {
      _ = try? graph.inferTypes(binding: graph.binding(batchSize: batchSize))
    }
  }

  /// Readers map files, so the bytes become one, in memory.
  private func withFile(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (String) -> Void) {
    let descriptor = bh_fuzz_memory_file()
    precondition(descriptor >= 0, "there is no file in memory: \(errno)")
    defer { close(descriptor) }
    precondition(write(descriptor, bytes.baseAddress, bytes.count) == bytes.count)
    body("/proc/self/fd/\(descriptor)")
  }
}
