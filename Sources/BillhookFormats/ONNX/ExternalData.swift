internal import BillhookTensor
internal import Foundation

/// The files beside a model that hold the bytes of its tensors.
///
/// A model comes from outside and names these files, so that a name must not lead out of the model's
/// folder: no absolute path, no "..", no link to another place.
final class ExternalData {
  private let folder: String
  private var files: [String: Storage] = [:]

  /// - Parameter model: The path of the model's own file.
  init(model: String) {
    folder = URL(fileURLWithPath: model).deletingLastPathComponent().path
  }

  /// The bytes of a file, mapped once.
  ///
  /// - Throws: ``FormatError/unsupported(path:format:location:found:supported:)`` for a name that
  ///   leads out of the folder, ``FormatError/cannotRead(path:reason:)``.
  func storage(
    _ name: String, model: String, at location: String
  ) throws(FormatError) -> Storage {
    if let known = files[name] { return known }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let path = folder + "/" + name
    let isInside =
      !name.isEmpty && !name.hasPrefix("/") && !parts.contains("..") && !name.contains("\0")
      && (Self.resolved(path) ?? path).hasPrefix((Self.resolved(folder) ?? folder) + "/")
    guard isInside else {
      throw .unsupported(
        path: model, format: .onnx, location: location,
        found: "a tensor whose data lies in the file \"\(name)\"",
        supported: "files in the model's own folder, by relative names without \"..\"")
    }
    let storage = try mapFile(path)
    files[name] = storage
    return storage
  }

  /// The path with every link followed; nil when nothing is there.
  private static func resolved(_ path: String) -> String? {
    guard let pointer = realpath(path, nil) else { return nil }
    defer { free(pointer) }
    let text = String(cString: pointer)
    return text == "/" ? "" : text
  }
}
