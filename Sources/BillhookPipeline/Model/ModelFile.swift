internal import BillhookFormats
public import BillhookGraph
internal import Foundation

/// Networks as files, by name.
public enum ModelFile {
  /// True for a checkpoint: tensors without a network.
  public static func isCheckpoint(_ path: String) -> Bool { path.hasSuffix(".safetensors") }

  /// Reads a network for a task that needs one.
  ///
  /// - Parameter computes: Whether the network must be one that can be computed.
  /// - Throws: ``PipelineError/needsGraph(path:task:)`` for a checkpoint,
  ///   ``PipelineError/network(path:reason:)`` for a network that cannot be computed, else
  ///   ``FormatError``.
  public static func readGraph(
    _ path: String, for task: String, computes: Bool = true
  ) throws -> Graph {
    guard !isCheckpoint(path) else { throw PipelineError.needsGraph(path: path, task: task) }
    let graph = try ONNXFile.read(path: path)
    guard computes else { return graph }
    do {
      try graph.verify()
    } catch {
      throw PipelineError.network(path: path, reason: error.description)
    }
    return graph
  }

  /// Checks that the name of an output does not promise another kind of file than what is written.
  ///
  /// - Parameters:
  ///   - holdsNetwork: A network is written, else a checkpoint.
  ///   - other: How a checkpoint could be written instead of a network, for the error.
  /// - Throws: ``PipelineError/outputKind(path:content:needed:other:)``.
  public static func checkKind(
    _ path: String, holdsNetwork: Bool, other: String? = nil
  ) throws(PipelineError) {
    if holdsNetwork, isCheckpoint(path) {
      throw .outputKind(
        path: path, content: "a network, which is an ONNX file", needed: ".onnx", other: other)
    }
    if !holdsNetwork, path.hasSuffix(".onnx") {
      throw .outputKind(
        path: path, content: "tensors without a network, which are a safetensors checkpoint",
        needed: ".safetensors")
    }
  }

  /// Checks that an output file can be written and is none of the inputs.
  ///
  /// - Throws: ``PipelineError/outputIsInput(path:)``, ``PipelineError/noFolder(path:folder:)``.
  public static func checkOutput(_ path: String, inputs: [String]) throws(PipelineError) {
    let target = canonicalPath(path)
    for input in inputs where canonicalPath(input) == target {
      throw .outputIsInput(path: path)
    }
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue
    else { throw .noFolder(path: path, folder: folder) }
  }

  /// The size of a file in bytes.
  public static func byteCount(_ path: String) throws(PipelineError) -> Int {
    guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
      let size = attributes[.size] as? NSNumber
    else { throw .cannotRead(path: path, reason: "its size cannot be found out") }
    return size.intValue
  }

  private static func canonicalPath(_ path: String) -> String {
    URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL.path
  }
}
