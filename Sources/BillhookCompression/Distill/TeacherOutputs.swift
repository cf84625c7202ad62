public import BillhookTensor

/// A teacher's recorded outputs.
public protocol TeacherOutputs {
  /// The number of samples.
  var count: Int { get }
  /// Recorded views of each sample; 1 without augmentation.
  var views: Int { get }
  /// What view `k` was made with; nil when the record was made without augmentation.
  var augmentation: Augmentation? { get }
  /// The seed of the augmentation.
  var augmentationSeed: UInt64 { get }
  /// Logits `[indices.count, C]`, float32: row `j` is that of view `views[j]` of sample
  /// `indices[j]`.
  func rows(_ indices: [Int], views: [Int]) throws -> Tensor
}
