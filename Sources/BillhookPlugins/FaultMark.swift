internal import BillhookKernels

/// Says which plugin it was, should this process die or end inside of its code.
///
/// Only plugins that run in this process are marked: a worker's crash is an error like others. A
/// mark costs two stores, because the calls of a plugin may be as short as a microsecond.
enum FaultMark {
  /// What a mark set aside.
  struct Earlier {
    fileprivate let mark: bh_fault_mark
  }

  /// Faults are told from now on. Called before the first library is loaded into this process, and
  /// never in a worker or where plugins are tested: who watches those tells it better.
  static func install() { bh_tell_faults() }

  /// Marks this thread as being inside of a plugin.
  ///
  /// - Parameter plugin: Its id, which must live until ``leave(_:)``; nil for no plugin of this
  ///   process.
  static func enter(_ plugin: UnsafePointer<CChar>?, _ function: StaticString) -> Earlier {
    // Safety: the text of a literal lives as long as the process and ends with a zero byte.
    let name = UnsafeRawPointer(function.utf8Start).assumingMemoryBound(to: CChar.self)
    return Earlier(mark: bh_set_fault_mark(bh_fault_mark(plugin: plugin, function: name)))
  }

  static func leave(_ earlier: Earlier) { _ = bh_set_fault_mark(earlier.mark) }
}
