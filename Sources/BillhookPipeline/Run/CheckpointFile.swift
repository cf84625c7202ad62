internal import BillhookCompression
internal import BillhookFormats
internal import BillhookRuntime
internal import Foundation
internal import OrderedCollections

/// The state of an interrupted training stage in a file beside the stage's coming result.
///
/// A safetensors file; its metadata tell the epochs done. It goes when the stage is finished.
struct CheckpointFile: TrainingCheckpoints {
  let path: String

  private struct Progress: Codable {
    var steps: Int
    var runs: Int
    var epochs: [TrainRecord.Epoch]
  }

  private static let metadataKey = "billhook.training/1"

  /// A damaged file is as good as none: the stage starts from its beginning.
  func latest() -> TrainingCheckpoint? {
    guard FileManager.default.fileExists(atPath: path),
      let file = try? SafetensorsFile.read(path: path),
      let text = file.metadata[Self.metadataKey],
      let progress = try? JSONDecoder().decode(Progress.self, from: Data(text.utf8))
    else { return nil }
    return TrainingCheckpoint(
      epochs: progress.epochs,
      state: TrainingState(steps: progress.steps, runs: progress.runs, tensors: file.tensors))
  }

  func keep(_ checkpoint: TrainingCheckpoint) throws {
    let state = checkpoint.state
    let progress = try canonicalJSON(
      Progress(steps: state.steps, runs: state.runs, epochs: checkpoint.epochs))
    try SafetensorsFile(
      tensors: state.tensors,
      metadata: [Self.metadataKey: String(decoding: progress, as: UTF8.self)]
    ).write(to: path)
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}
