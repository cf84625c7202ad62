internal import BillhookFormats
internal import BillhookGraph
internal import BillhookPlugins
internal import Foundation

/// Finished stages in a folder, each under the hash of all that it depends on.
struct StageCache {
  let folder: String

  /// The folder inside a recipe's output folder.
  static let folderName = ".billhook"

  /// What a stage's result depends on: everything before it and itself.
  static func key(
    _ recipe: CheckedRecipe, through index: Int?, modelSHA256: String
  ) -> String {
    var digest = Digest()
    digest.add("version", billhookVersion)
    digest.add("model", modelSHA256)
    digest.add("seed", "\(recipe.recipe.seed)")
    digest.add("data", recipe.dataSHA256)
    if let index {
      for stage in 0...index {
        digest.add("stage", Digest.of(recipe.recipe.stages[stage].work))
        // Its network is the one that the weights in the file make.
        if recipe.recipe.stages[stage].savedPacking != nil { digest.add("form", "packed") }
        if let plugin = recipe.plugins[stage] { digest.add("plugin", Digest.of(plugin)) }
        if case .distill(let distill) = recipe.recipe.stages[stage].work,
          case .file(let path) = distill.teacher
        {
          // The check has read the file; if it is gone since, the stage itself will say so.
          digest.add(
            "teacher", [UInt8]((try? Data(contentsOf: URL(fileURLWithPath: path))) ?? Data()))
        }
      }
    }
    return String(digest.text().prefix(16))
  }

  func modelPath(_ key: String) -> String { "\(folder)/stage-\(key).onnx" }
  func packedPath(_ key: String) -> String { "\(folder)/stage-\(key).safetensors" }
  func checkpoint(_ key: String) -> CheckpointFile {
    CheckpointFile(path: "\(folder)/training-\(key).safetensors")
  }
  private func reportPath(_ key: String) -> String { "\(folder)/stage-\(key).json" }

  /// The row of a finished stage whose files are there; nil when one is missing or damaged, which only
  /// means that the stage runs again.
  func finished(_ key: String, _ stage: Stage) -> StageReport? {
    let files = [modelPath(key)] + (stage.savedPacking == nil ? [] : [packedPath(key)])
    guard files.allSatisfy({ FileManager.default.fileExists(atPath: $0) }),
      let data = try? Data(contentsOf: URL(fileURLWithPath: reportPath(key)))
    else { return nil }
    return try? JSONDecoder().decode(StageReport.self, from: data)
  }

  func keep(_ row: StageReport, _ key: String) throws {
    try AtomicFile.write(try canonicalJSON(row), to: reportPath(key))
  }
}
