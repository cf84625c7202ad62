internal import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

/// A recorded teacher in the words of the training loop.
struct RecordedTeacher: TeacherOutputs {
  let record: TeacherRecord
  let augmentation: Augmentation?
  let augmentationSeed: UInt64

  var count: Int { record.sampleCount }
  var views: Int { record.views }

  func rows(_ indices: [Int], views: [Int]) throws -> Tensor {
    let width = record.outputShape.reduce(1, *)
    var result = Tensor(zeros: [indices.count] + record.outputShape)
    let outputs = record.outputs
    outputs.withUnsafeElements(of: Float.self) { from in
      result.withUnsafeMutableElements(of: Float.self) { to in
        for (row, index) in indices.enumerated() {
          let view = views.isEmpty ? 0 : views[views.count == 1 ? 0 : row]
          // The file holds all samples of view 0, then all of view 1, and so on.
          let start = (view * record.sampleCount + index) * width
          for column in 0..<width { to[row * width + column] = from[start + column] }
        }
      }
    }
    return result
  }
}

/// Recorded teachers in a folder, each under the hash of what it was made from.
struct TeacherStore {
  let folder: String

  /// The record of a teacher on some data: the one that is there, or a new one.
  ///
  /// - Returns: The teacher and whether it was there already.
  func teacher(
    _ graph: Graph, on data: LoadedData, augmentation: Augmentation?, seed: UInt64,
    output: String? = nil, progress: (any BillhookCompression.ProgressReporting)?
  ) throws -> (teacher: RecordedTeacher, isReused: Bool) {
    let fitted = try data.dataset.fitted(to: graph)
    let key = try key(graph, data, fitted.normalization, augmentation, seed, output)
    let path = "\(folder)/teacher-\(key.prefix(16)).bin"
    func recorded(_ record: TeacherRecord) -> RecordedTeacher {
      RecordedTeacher(record: record, augmentation: augmentation, augmentationSeed: seed)
    }
    // A damaged or foreign file is no reason to stop: it is made again.
    if FileManager.default.fileExists(atPath: path),
      let record = try? TeacherRecord.read(path: path, expectedKey: key),
      record.sampleCount == fitted.count
    {
      return (recorded(record), true)
    }
    let writer = RowWriter(
      path: path, key: key, sampleCount: fitted.count, views: augmentation?.views ?? 1)
    try recordTeacher(
      graph, on: fitted, augmentation: augmentation, seed: seed, output: output, progress: progress,
      append: writer.append)
    try writer.finish()
    return (recorded(try TeacherRecord.read(path: path, expectedKey: key)), false)
  }

  /// Everything that the outputs depend on; not the metadata, which says nothing of the arithmetic.
  private func key(
    _ graph: Graph, _ data: LoadedData, _ normalization: Normalization?,
    _ augmentation: Augmentation?, _ seed: UInt64, _ output: String?
  ) throws -> String {
    var bare = graph
    bare.metadata = [:]
    var digest = Digest()
    digest.add("model", try ONNXFile.encode(bare))
    digest.add("output", output ?? "")
    digest.add("data", data.sha256)
    digest.add("normalization", "\(String(describing: normalization))")
    if let augmentation {
      digest.add("augmentation", Digest.of(augmentation))
      digest.add("seed", "\(seed)")
    }
    return digest.text()
  }
}

/// Opens the record when the first outputs say how wide a row is.
private final class RowWriter {
  private let path: String
  private let key: String
  private let sampleCount: Int
  private let views: Int
  private var writer: TeacherRecordWriter?

  init(path: String, key: String, sampleCount: Int, views: Int) {
    self.path = path
    self.key = key
    self.sampleCount = sampleCount
    self.views = views
  }

  func append(_ outputs: Tensor) throws {
    if writer == nil {
      writer = try TeacherRecordWriter(
        path: path, key: key, sampleCount: sampleCount, views: views,
        outputShape: Array(outputs.shape.dropFirst()))
    }
    try writer!.append(outputs)
  }

  func finish() throws { try writer?.finish() }
}
