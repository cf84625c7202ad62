internal import BillhookSDK
internal import Glibc
internal import Synchronization

/// Begins and ends the use of one library: `bh_module.init` before its first instance, and
/// `bh_module.fini` when the process ends in order. Looking at a library runs neither.
final class ModuleLifetime: Sendable {
  typealias Initialize = @convention(c) (UnsafePointer<bh_host>?) -> bh_status
  typealias Finish = @convention(c) () -> Void

  private enum State: Sendable {
    case new
    case ready
    case failed(bh_status)
  }
  private let id: String
  private let initialize: Initialize?
  private let finish: Finish?
  private let state = Mutex(State.new)

  /// What is to be called at the end of the process, in the order of the beginnings.
  private static let begun = Mutex<[@Sendable () -> Void]>([])

  /// By the address of the module: a library that is looked at again is begun only once.
  private static let known = Mutex<[UInt: ModuleLifetime]>([:])

  init(id: String, initialize: Initialize?, finish: Finish?) {
    self.id = id
    self.initialize = initialize
    self.finish = finish
  }

  /// The lifetime of the module at an address.
  static func of(
    _ pointer: UnsafeRawPointer, id: String, initialize: Initialize?, finish: Finish?
  ) -> ModuleLifetime {
    known.withLock { known in
      let address = UInt(bitPattern: pointer)
      if let lifetime = known[address] { return lifetime }
      let lifetime = ModuleLifetime(id: id, initialize: initialize, finish: finish)
      known[address] = lifetime
      return lifetime
    }
  }

  /// Runs `init` once; a second instance gets the first one's result.
  ///
  /// - Throws: `PluginError.failed` when it returned an error, each time.
  func begin() throws(PluginError) {
    let status = state.withLock { state -> bh_status in
      switch state {
      case .ready: return BH_OK
      case .failed(let status): return status
      case .new: break
      }
      let name = cString(id)
      let earlier = FaultMark.enter(name, "init")
      let status = initialize.map { $0(HostTable.pointer) } ?? BH_OK
      FaultMark.leave(earlier)
      name.deallocate()
      if status < 0 {
        state = .failed(status)
        return status
      }
      state = .ready
      if let finish { atEnd(finish) }
      return BH_OK
    }
    guard status < 0 else { return }
    throw .failed(plugin: id, function: "init", layer: nil, status: status, message: nil)
  }

  private func atEnd(_ finish: @escaping Finish) {
    // Made now: the end of the process is no time to take memory. It is never freed.
    nonisolated(unsafe) let name = UnsafePointer(cString(id))
    let isFirst = Self.begun.withLock { list in
      list.append {
        let earlier = FaultMark.enter(name, "fini")
        finish()
        FaultMark.leave(earlier)
      }
      return list.count == 1
    }
    guard isFirst else { return }
    atexit {
      let list = ModuleLifetime.begun.withLock { list in
        defer { list = [] }
        return list
      }
      for finish in list.reversed() { finish() }
    }
  }
}
