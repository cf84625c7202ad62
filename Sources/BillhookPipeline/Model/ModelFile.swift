internal import BillhookFormats
public import BillhookGraph
internal import Foundation

/// Networks as files, by name.
public enum ModelFile {
  /// True for a checkpoint: tensors without a network.
  public static func isCheckpoint(_ path: String) -> Bool { path.hasSuffix(".safetensors") }

  /// Reads a network for a task that needs one.
  ///
  /// - Throws: ``PipelineError/needsGraph(path:task:)`` for a checkpoint, else ``FormatError``.
  public static func readGraph(_ path: String, for task: String) throws -> Graph {
    guard !isCheckpoint(path) else { throw PipelineError.needsGraph(path: path, task: task) }
    return try ONNXFile.read(path: path)
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
