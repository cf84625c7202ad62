internal import BillhookKernels
internal import BillhookSDK
internal import Glibc
internal import Synchronization

/// What the host keeps for one call of a plugin, or for one task inside of it: the failure, the
/// scratch memory, whose call it is. A plugin sees its address as `bh_call.host_data`.
final class CallContext: @unchecked Sendable {
  /// A class, because most calls have none and look at it all the same.
  final class Failure: Sendable {
    let status: bh_status
    let message: String?
    /// Set when a task changed the floating-point mode.
    let floatingPoint: (before: UInt64, after: UInt64)?
    /// Set when the call did not come to its end in another process.
    let error: PluginError?

    init(
      status: bh_status, message: String? = nil,
      floatingPoint: (before: UInt64, after: UInt64)? = nil, error: PluginError? = nil
    ) {
      self.status = status
      self.message = message
      self.floatingPoint = floatingPoint
      self.error = error
    }
  }

  let plugin: Plugin
  let seed: UInt64
  /// Its index is the key of random numbers.
  let layer: (index: Int, name: String)?
  /// The call that a task belongs to: its failure is the call's.
  private let parent: CallContext?
  /// The function of the call, for ``FaultMark``. Safety: set before the call has any tasks.
  private var function: StaticString
  private struct Remains {
    var failure: Failure?
    /// Scratch memory to free.
    var blocks: [UInt] = []
  }
  private let remains = Mutex(Remains())

  init(
    plugin: Plugin, seed: UInt64, layer: (index: Int, name: String)? = nil,
    parent: CallContext? = nil
  ) {
    self.plugin = plugin
    self.seed = seed
    self.layer = layer
    self.parent = parent
    function = parent?.function ?? "call"
  }

  deinit { freeScratch() }

  static func of(_ call: UnsafeMutablePointer<bh_call>?) -> CallContext? {
    guard let data = call?.pointee.host_data else { return nil }
    return Unmanaged<CallContext>.fromOpaque(data).takeUnretainedValue()
  }

  func task() -> CallContext {
    CallContext(plugin: plugin, seed: seed, layer: layer, parent: self)
  }

  /// Calls the plugin and turns what went wrong into an error.
  ///
  /// - Returns: The status: `BH_OK`, `BH_SKIP` or another remark.
  @discardableResult
  func run(
    _ function: StaticString, _ body: (UnsafeMutablePointer<bh_call>) -> bh_status
  ) throws(PluginError) -> bh_status {
    self.function = function
    let status = timed(function) { enter(body) }
    guard let failed = recorded ?? Self.failure(status) else { return status }
    if let error = failed.error { throw error }
    if let change = failed.floatingPoint {
      throw .changedFloatingPoint(
        plugin: plugin.descriptor.id, function: function.description, layer: layer?.name,
        before: change.before, after: change.after)
    }
    throw .failed(
      plugin: plugin.descriptor.id, function: function.description, layer: layer?.name,
      status: failed.status, message: failed.message)
  }

  /// Tells the observer how long a call was, if it wants to know.
  private func timed(_ function: StaticString, _ call: () -> bh_status) -> bh_status {
    guard let called = plugin.observer.called else { return call() }
    let start = ContinuousClock.now
    let status = call()
    called(plugin.descriptor.id, function.description, ContinuousClock.now - start)
    return status
  }

  /// Calls the plugin on this thread with a `bh_call` of its own, and guards the floating-point mode.
  func enter(_ body: (UnsafeMutablePointer<bh_call>) -> bh_status) -> bh_status {
    var call = bh_call()
    call.struct_size = UInt32(MemoryLayout<bh_call>.size)
    call.worker = UInt32(bh_thread_index())
    call.host = HostTable.pointer
    call.host_data = Unmanaged.passUnretained(self).toOpaque()
    let before = bh_fp_state()
    let earlier = FaultMark.enter(plugin.markedName, function)
    let status = withExtendedLifetime(self) { withUnsafeMutablePointer(to: &call) { body($0) } }
    FaultMark.leave(earlier)
    let after = bh_fp_state()
    freeScratch()
    guard after != before else { return status }
    bh_set_fp_state(before)
    record(
      Failure(status: BH_E_INTERNAL, floatingPoint: (before, after)))
    return BH_E_INTERNAL
  }

  private static func failure(_ status: bh_status) -> Failure? {
    status < 0 ? Failure(status: status) : nil
  }

  /// Keeps the first failure of a call.
  func record(_ new: Failure) {
    if let parent { return parent.record(new) }
    remains.withLock { $0.failure = $0.failure ?? new }
  }

  /// The failure that the call will throw, if any.
  var recorded: Failure? { remains.withLock { $0.failure } }

  func allocate(bytes: Int, alignment: Int) -> UnsafeMutableRawPointer? {
    var block: UnsafeMutableRawPointer?
    guard posix_memalign(&block, max(alignment, MemoryLayout<Int>.size), bytes) == 0, let block
    else { return nil }
    remains.withLock { $0.blocks.append(UInt(bitPattern: block)) }
    return block
  }

  private func freeScratch() {
    remains.withLock { remains in
      guard !remains.blocks.isEmpty else { return }
      for block in remains.blocks { free(UnsafeMutableRawPointer(bitPattern: block)) }
      remains.blocks = []
    }
  }
}
