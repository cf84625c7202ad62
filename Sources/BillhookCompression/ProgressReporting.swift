/// Where long work reports how far it is.
///
/// Called often, so it must be cheap. Reports have no influence on results.
public protocol ProgressReporting: AnyObject {
  /// A piece of work starts: "distil: epoch 1 of 4", 60,000, "samples".
  func begin(_ task: String, total: Int, unit: String)
  /// `done` units are finished since ``begin(_:total:unit:)``; `detail` is a short text such as
  /// "loss 0.31".
  func advance(_ done: Int, detail: String)
  /// The piece of work is finished.
  func end(_ summary: String)
}
