internal import BillhookKernels

/// The process's one thread pool.
public enum Threads {
  /// The number of threads that plans and kernels use, at least 1. Results do not depend on it.
  public static var count: Int {
    get { Int(bh_thread_count()) }
    set { bh_set_thread_count(Int32(clamping: newValue)) }
  }
}
