import BillhookTestSupport
import Foundation

/// Small networks that went through the whole main job on real images, made once for all tests.
///
/// teacher.onnx → pruned.onnx (half of the channels) → student.onnx (distilled).
struct TrainedNetworks: Sendable {
  let folder: String

  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  static func made() throws -> TrainedNetworks { try result.get() }

  /// Copies one of the files into a test's own folder.
  static func copy(_ names: String..., to folder: TemporaryFolder) throws {
    for name in names {
      try FileManager.default.copyItem(
        atPath: try made().folder + "/" + name, toPath: folder(name))
    }
  }

  /// Copies a network that was trained at a rate at which its weights stay near a normal distribution.
  static func copyGentle(to path: String) throws {
    try FileManager.default.copyItem(atPath: try gentle.get(), toPath: path)
  }

  private static let gentle = Result {
    let folder = try made().folder
    let result = try BillhookProcess(
      "train new.onnx -o gentle.onnx --data fashion-mnist:train,limit=3000 --epochs 1 --seed 1"
        .split(separator: " ").map(String.init)
        + ["--batch-size", "50", "--learning-rate", "0.01", "--quiet"], folder: folder)
    guard result.code == 0 else { throw Failure(description: "gentle.onnx: \(result.errors)") }
    return folder + "/gentle.onnx"
  }

  private static let result = Result { try TrainedNetworks() }

  private init() throws {
    folder = NSTemporaryDirectory() + "billhook-trained-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    Self.remove(atExit: folder)
    let train = "fashion-mnist:train,limit=3000"
    let brief = "--data \(train) --epochs 1 --batch-size 50"
    for command in [
      "new cnn -o new.onnx --seed 1",
      "train new.onnx -o teacher.onnx \(brief) --seed 1",
      "prune teacher.onnx -o pruned.onnx --granularity channel --ratio 0.5 --data \(train)",
      "distill pruned.onnx -o student.onnx --teacher teacher.onnx \(brief)",
    ] {
      let result = try BillhookProcess(
        command.split(separator: " ").map(String.init) + ["--quiet"], folder: folder)
      guard result.code == 0 else {
        throw Failure(description: "billhook \(command): \(result.errors)")
      }
    }
  }

  nonisolated(unsafe) private static var removed = ""

  private static func remove(atExit folder: String) {
    removed = folder
    atexit { try? FileManager.default.removeItem(atPath: TrainedNetworks.removed) }
  }
}
