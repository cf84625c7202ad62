internal import BillhookSDK
internal import BillhookSandbox
internal import Foundation
internal import Synchronization

/// The host's side of an instance that lives in a worker. The rest of the host sees its address as
/// `self`, and calls it through the functions of ``HookCall``.
///
/// Safety of `@unchecked`: what changes is behind `remote`.
final class WorkerInstance: @unchecked Sendable {
  let library: WorkerLibrary
  private let pluginIndex: Int
  let descriptor: PluginDescriptor
  /// The parameters' values, as they go to the worker.
  private let values: [UInt8]
  private let seed: UInt64
  let remote = Mutex(RemoteState())

  struct RemoteState {
    /// The process and the instance's number in it.
    var place: (process: WorkerProcess, id: Int)?
    /// True when calls changed the instance, so that a new one would not be the same.
    var hasState = false
    /// True when several calls in one turn ended in another way than with an answer.
    var callsApart = false
  }

  private init(_ remote: WorkerLibrary.Remote, _ context: CallContext, values: [UInt8]) {
    library = remote.library
    pluginIndex = remote.index
    descriptor = context.plugin.descriptor
    self.values = values
    seed = context.seed
  }

  deinit {
    let place = remote.withLock { $0.place }
    guard let place, !place.process.hasEnded else { return }
    let (lane, _) = place.process.takeLane()
    defer { place.process.giveBack(lane) }
    var wire = WireWriter(lane.request)
    wire.put(place.id)
    var limits = library.settings.limits
    limits.callSeconds = min(limits.callSeconds, limits.endSeconds)
    let answer = place.process.transact(
      lane, .destroy, requestBytes: wire.count, limits: limits, isCancelled: { false })
    // Nobody waits for a result, so this is no error of the stage.
    switch answer {
    case .reply: break
    case .timedOut:
      warn(
        .timedOut(
          plugin: descriptor.id, function: "destroy", layer: nil, seconds: limits.callSeconds))
    case .ended(let end): warn(WorkerLibrary.crash(end, descriptor.id, "destroy", nil))
    }
  }

  private func warn(_ error: PluginError) {
    library.observer.log(descriptor.id, .warning, error.description)
  }

  /// Wakes the process of the instance, if it has one already.
  static func expectCall(_ instance: UnsafeMutableRawPointer?) {
    guard let instance else { return }
    let place = Unmanaged<WorkerInstance>.fromOpaque(instance).takeUnretainedValue()
      .remote.withLock { $0.place }
    if let place, !place.process.hasEnded { place.process.expectCall() }
  }

  // MARK: - C functions

  static let create: PluginEntry.Create = { call, values, place in
    guard let context = CallContext.of(call), let remote = context.plugin.worker, let place else {
      return BH_E_INVALID_ARG
    }
    guard let bytes = encoded(values, context) else { return BH_E_INVALID_ARG }
    let instance = WorkerInstance(remote, context, values: bytes)
    do throws(PluginError) {
      let status = try instance.connect(context).status
      if status >= 0 { place.pointee = Unmanaged.passRetained(instance).toOpaque() }
      return status
    } catch {
      context.record(.init(status: BH_E_INTERNAL, error: error))
      return BH_E_INTERNAL
    }
  }

  static let destroy: PluginEntry.Destroy = { pointer in
    guard let pointer else { return }
    Unmanaged<WorkerInstance>.fromOpaque(pointer).release()
  }

  static let validate: PluginEntry.Validate = { call, values in
    guard let context = CallContext.of(call), let remote = context.plugin.worker,
      let bytes = encoded(values, context)
    else { return BH_E_INVALID_ARG }
    do throws(PluginError) {
      return try WorkerInstance(remote, context, values: bytes).validate(context)
    } catch {
      context.record(.init(status: BH_E_INTERNAL, error: error))
      return BH_E_INTERNAL
    }
  }

  /// Parameter values as bytes; nil, with a failure on record, when there are too many.
  private static func encoded(
    _ values: UnsafePointer<bh_value>?, _ context: CallContext
  ) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: Int(BH_LANE_AREA_BYTES) - 64)
    let (count, overflowed) = bytes.withUnsafeMutableBytes { area in
      var wire = WireWriter(area)
      WireValues.put(values, count: context.plugin.descriptor.parameters.count, into: &wire)
      return (wire.count, wire.overflowed)
    }
    guard !overflowed else {
      context.record(
        .init(status: BH_E_INVALID_ARG, message: "the parameters are too long for a worker"))
      return nil
    }
    return Array(bytes[..<count])
  }

  static func call(
    _ call: HookCall, _ instance: UnsafeMutableRawPointer?, _ cCall: UnsafeMutablePointer<bh_call>?,
    _ arguments: [UInt]
  ) -> bh_status {
    guard let instance, let context = CallContext.of(cCall) else { return BH_E_INVALID_ARG }
    return Unmanaged<WorkerInstance>.fromOpaque(instance).takeUnretainedValue()
      .call(call, arguments, context)
  }

  // MARK: - Calls

  private func call(_ call: HookCall, _ arguments: [UInt], _ context: CallContext) -> bh_status {
    let entry = HookCall.entries[call.rawValue]
    do throws(PluginError) {
      return try attempt(call, entry, arguments, context)
    } catch {
      if library.settings.crashPolicy == .skipLayer, entry.mayDecline, error.isCrash {
        context.plugin.observer.log(
          descriptor.id, .warning, "\(error) The layer stays as it was (skip-layer).")
        return BH_SKIP
      }
      context.record(.init(status: BH_E_INTERNAL, error: error))
      return BH_E_INTERNAL
    }
  }

  private func attempt(
    _ call: HookCall, _ entry: HookCall.Entry, _ arguments: [UInt], _ context: CallContext
  ) throws(PluginError) -> bh_status {
    var isRepeated = false
    while true {
      let place = try connect(context)
      if place.status < 0 { return place.status }
      if !entry.isPure { remote.withLock { $0.hasState = true } }
      let (lane, memory) = place.process.takeLane()
      defer { place.process.giveBack(lane) }
      place.process.expectCall(in: lane)
      var encoder = CallEncoder(lane.request, memory: memory)
      encoder.put(place.id)
      encoder.put(call.rawValue)
      encoder.put(context.layer?.index ?? -1)
      for (argument, bits) in zip(entry.arguments, arguments) { encoder.put(argument, bits) }
      guard !encoder.wire.overflowed, !encoder.outOfMemory else {
        context.record(
          .init(status: BH_E_NO_MEMORY, message: "the arguments are too large for a worker"))
        return BH_E_NO_MEMORY
      }
      let answer = place.process.transact(
        lane, .call, requestBytes: encoder.wire.count, limits: library.settings.limits,
        stream: encoder.stream, isCancelled: context.plugin.observer.isCancelled)
      let layer = context.layer?.name
      switch answer {
      case .reply(let reply):
        guard !encoder.wroteOutside else {
          throw .wroteOutside(plugin: descriptor.id, function: entry.name, layer: layer)
        }
        return try finish(reply, encoder, place.process, entry, context)
      case .timedOut:
        throw .timedOut(
          plugin: descriptor.id, function: entry.name, layer: layer,
          seconds: library.settings.limits.callSeconds)
      case .ended(let end):
        let error = WorkerLibrary.crash(
          end, descriptor.id, entry.name, layer,
          doing: end.signal == SIGSEGV ? encoder.account(of: place.process.fault) : nil)
        let mayRepeat =
          entry.isPure && descriptor.capabilities.contains(.deterministic)
          && !remote.withLock { $0.hasState }
        guard mayRepeat, !isRepeated else {
          if isRepeated {
            library.settings.quarantine.add(
              library.file, stage: entry.name, reason: error.lastingDescription, output: end.output)
          }
          throw error
        }
        isRepeated = true
      }
    }
  }

  private func finish(
    _ reply: UnsafeRawBufferPointer, _ encoder: CallEncoder, _ process: WorkerProcess,
    _ entry: HookCall.Entry, _ context: CallContext
  ) throws(PluginError) -> bh_status {
    var reader = WireReader(reply)
    let status = Self.outcome(&reader, process, context)
    let isAnswered = status >= 0 && status != BH_SKIP
    guard !reader.failed, !isAnswered || encoder.fetchAnswers(&reader) else {
      throw .crashed(
        plugin: descriptor.id, function: entry.name, layer: context.layer?.name,
        how: "its worker process gave an answer that is none")
    }
    if isAnswered { encoder.fetchOutputs() }
    return status
  }

  /// Reads the status of a call and the failure that came with it.
  static func outcome(
    _ reader: inout WireReader, _ process: WorkerProcess, _ context: CallContext
  ) -> bh_status {
    let status = bh_status(truncatingIfNeeded: reader.integer())
    process.waitForRemarks(reader.number())
    guard reader.number() == 1 else { return status }
    let failed = bh_status(truncatingIfNeeded: reader.integer())
    let message = reader.text(limit: WorkerProtocol.messageLimit)
    let changed = reader.number() == 1
    let (before, after) = (reader.number(), reader.number())
    let error = reader.text(limit: WorkerProtocol.messageLimit)
    context.record(
      .init(
        status: failed < 0 ? failed : BH_E_INTERNAL, message: message.map { printable($0) },
        floatingPoint: changed ? (before, after) : nil,
        error: error.flatMap { PluginJSON.error([UInt8]($0.utf8)) }))
    return status
  }

  /// The instance in the running process, made there when it is not yet.
  func connect(
    _ context: CallContext
  ) throws(PluginError) -> (process: WorkerProcess, id: Int, status: bh_status) {
    if let place = remote.withLock({ $0.place }), !place.process.hasEnded {
      return (place.process, place.id, BH_OK)
    }
    let result = remote.withLock { remote -> Result<(WorkerProcess, Int, bh_status), PluginError> in
      do throws(PluginError) {
        let process = try library.process()
        if let place = remote.place, place.process === process {
          return .success((process, place.id, BH_OK))
        }
        guard remote.place == nil || !remote.hasState else {
          throw PluginError.lostState(plugin: descriptor.id)
        }
        let (id, status) = try make(in: process, context)
        if status >= 0 { remote.place = (process, id) }
        return .success((process, id, status))
      } catch {
        return .failure(error)
      }
    }
    let (process, id, status) = try result.get()
    return (process, id, status)
  }

  private func validate(_ context: CallContext) throws(PluginError) -> bh_status {
    let process = try library.process()
    let (lane, _) = process.takeLane()
    defer { process.giveBack(lane) }
    var wire = WireWriter(lane.request)
    wire.put(pluginIndex)
    values.withUnsafeBytes { wire.put($0.baseAddress!, count: $0.count) }
    let answer = process.transact(
      lane, .validate, requestBytes: wire.count, limits: library.settings.limits,
      isCancelled: context.plugin.observer.isCancelled)
    switch answer {
    case .reply(let reply):
      var reader = WireReader(reply)
      return Self.outcome(&reader, process, context)
    case .timedOut:
      throw .timedOut(
        plugin: descriptor.id, function: "validate", layer: nil,
        seconds: library.settings.limits.callSeconds)
    case .ended(let end):
      throw WorkerLibrary.crash(end, descriptor.id, "validate", nil)
    }
  }

  private func make(
    in process: WorkerProcess, _ context: CallContext
  ) throws(PluginError) -> (id: Int, status: bh_status) {
    let (lane, _) = process.takeLane()
    defer { process.giveBack(lane) }
    var wire = WireWriter(lane.request)
    wire.put(pluginIndex)
    wire.put(seed)
    values.withUnsafeBytes { wire.put($0.baseAddress!, count: $0.count) }
    let answer = process.transact(
      lane, .create, requestBytes: wire.count, limits: library.settings.limits,
      isCancelled: context.plugin.observer.isCancelled)
    switch answer {
    case .reply(let reply):
      var reader = WireReader(reply)
      let status = Self.outcome(&reader, process, context)
      let id = reader.integer()
      guard !reader.failed else {
        throw .crashed(
          plugin: descriptor.id, function: "create", layer: nil,
          how: "its worker process gave an answer that is none")
      }
      return (id, status)
    case .timedOut:
      throw .timedOut(
        plugin: descriptor.id, function: "create", layer: nil,
        seconds: library.settings.limits.callSeconds)
    case .ended(let end):
      throw WorkerLibrary.crash(end, descriptor.id, "create", nil)
    }
  }
}
