internal import BillhookSDK
internal import BillhookSandbox
internal import Synchronization

/// Several calls in one turn of the worker: many small layers do not each wait for it.
extension WorkerInstance {
  struct Part {
    var arguments: [UInt]
    var context: CallContext
  }

  /// Makes calls whose answers are a status and their outputs, in their order, up to the first one
  /// that fails.
  ///
  /// - Returns: The statuses of the calls that were made. Nil when they have to be made one by one:
  ///   that is how it is told which of them ended the worker or wrote where it must not.
  static func callTogether(
    _ call: HookCall, _ instance: UnsafeMutableRawPointer?, _ parts: [Part]
  ) -> [bh_status]? {
    guard let instance else { return nil }
    return Unmanaged<WorkerInstance>.fromOpaque(instance).takeUnretainedValue()
      .callTogether(call, parts)
  }

  /// False when ``callTogether(_:_:_:)`` would say that calls have to be made one by one.
  static func mayCallTogether(_ call: HookCall, _ instance: UnsafeMutableRawPointer?) -> Bool {
    guard let instance else { return false }
    return Unmanaged<WorkerInstance>.fromOpaque(instance).takeUnretainedValue()
      .mayCallTogether(call)
  }

  /// Calls that are made again must give the same.
  private func mayCallTogether(_ call: HookCall) -> Bool {
    HookCall.entries[call.rawValue].isPure && descriptor.capabilities.contains(.deterministic)
      && !remote.withLock { $0.hasState || $0.callsApart }
  }

  private func callTogether(_ call: HookCall, _ parts: [Part]) -> [bh_status]? {
    let entry = HookCall.entries[call.rawValue]
    guard mayCallTogether(call), let first = parts.first?.context,
      let place = try? connect(first), place.status >= 0
    else { return nil }
    let (lane, memory) = place.process.takeLane()
    defer { place.process.giveBack(lane) }
    var encoder = CallEncoder(lane.request, memory: memory)
    encoder.put(parts.count)
    for part in parts {
      encoder.put(place.id)
      encoder.put(call.rawValue)
      encoder.put(part.context.layer?.index ?? -1)
      for (argument, bits) in zip(entry.arguments, part.arguments) { encoder.put(argument, bits) }
    }
    guard !encoder.wire.overflowed, !encoder.outOfMemory else { return nil }
    let answer = place.process.transact(
      lane, .calls, requestBytes: encoder.wire.count, limits: library.settings.limits,
      isCancelled: first.plugin.observer.isCancelled)
    guard case .reply(let reply) = answer, !encoder.wroteOutside else {
      remote.withLock { $0.callsApart = true }
      return nil
    }
    var reader = WireReader(reply)
    var statuses: [bh_status] = []
    for part in parts {
      let status = Self.outcome(&reader, place.process, part.context)
      guard !reader.failed else { return nil }
      statuses.append(status)
      guard status >= 0 else { break }
    }
    encoder.fetchOutputs()
    return statuses
  }
}
