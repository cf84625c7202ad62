public import BillhookGraph
internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor

/// A teacher whose inner tensors a loss compares with the student's: it runs beside the student, batch
/// by batch, because inner tensors are often too large to be recorded.
public final class FeatureTeacher {
  /// A tensor of the student and the one of the teacher that it is compared with.
  public struct Pair: Sendable, Equatable {
    public var student: String
    public var teacher: String

    public init(student: String, teacher: String) {
      self.student = student
      self.teacher = teacher
    }
  }

  let pairs: [Pair]
  private let graph: Graph
  private let sampleAxes: [String: Int]
  private var data: Dataset?
  private var session: InferenceSession?

  /// - Parameter pairs: At least one.
  public init(_ graph: Graph, pairs: [Pair]) {
    self.graph = graph
    self.pairs = pairs
    sampleAxes = graph.sampleAxes(of: pairs.map(\.teacher))
  }

  /// Gets ready for batches of the training data, before it is fitted to the student.
  func prepare(_ data: Dataset) throws {
    self.data = try data.fitted(to: graph)
    session = try InferenceSession(graph, observed: Set(pairs.map(\.teacher)))
  }

  /// The teacher's tensors for one batch, in the order of the pairs, with the samples in front.
  func values(
    _ indices: [Int], augmentation: Augmentation?, seed: UInt64, views: [Int]
  ) throws -> [Tensor] {
    guard let data, let session else { return [] }
    let inputs = data.batch(indices, augmentation: augmentation, seed: seed, views: views)
    var found: [String: Tensor] = [:]
    _ = try session.run(inputs) { name, value in found[name] = value }
    return try pairs.map { pair in
      guard let value = found[pair.teacher] else {
        throw RuntimeError.unknownValue(name: pair.teacher)
      }
      return value.asFloat32().movingAxis(sampleAxes[pair.teacher] ?? 0, to: 0)
    }
  }
}
