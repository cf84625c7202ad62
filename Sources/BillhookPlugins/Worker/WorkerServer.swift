internal import BillhookKernels
internal import BillhookSDK
internal import BillhookSandbox
internal import Foundation
internal import Synchronization

/// The worker's side: gives up its rights, loads the libraries of its order, and serves calls until
/// the host goes away.
///
/// Safety of `@unchecked`: what changes is behind the mutexes.
public final class WorkerServer: @unchecked Sendable {
  /// Safety of `@unchecked`: the address is the plugin's own, and is only handed back to it.
  private final class Served: @unchecked Sendable {
    let plugin: Loaded
    let instance: UnsafeMutableRawPointer?
    let seed: UInt64

    init(plugin: Loaded, instance: UnsafeMutableRawPointer?, seed: UInt64) {
      self.plugin = plugin
      self.instance = instance
      self.seed = seed
    }
  }

  /// Safety of `@unchecked`: the addresses are of functions of a library that stays loaded.
  private struct Loaded: @unchecked Sendable {
    let plugin: Plugin
    let functions: [UnsafeRawPointer?]
  }

  private struct State {
    /// By number; nil where an instance was destroyed.
    var served: [Served?] = []
    var blocks: [Int: UInt] = [:]
  }

  private let socket: Int32
  private let order: WorkerOrder
  private let control: UnsafeMutableRawPointer
  private var plugins: [Loaded] = []
  private let state = Mutex(State())
  private let remarkCount = Atomic<UInt64>(0)
  /// Remarks of several lanes, each sent and counted as one.
  private let remarkLock = Mutex(())

  private init?(socket: Int32) {
    var pieces: [UInt8] = []
    var received = WorkerProtocol.receive(from: socket)
    while let piece = received, piece.message == .piece {
      pieces += piece.payload
      received = WorkerProtocol.receive(from: socket)
    }
    guard let start = received, start.message == .start,
      let order = PluginJSON.decode(WorkerOrder.self, pieces + start.payload)
    else { return nil }
    let bytes = WorkerProcess.laneStart + order.laneCount * Int(BH_LANE_BYTES)
    guard let control = bh_map_guarded(start.descriptor, UInt64(bytes), 1, .max) else { return nil }
    close(start.descriptor)
    self.socket = socket
    self.order = order
    self.control = control
  }

  /// Serves the host that started this process.
  ///
  /// - Returns: The exit status: 0 when the host is gone, 2 when this process was not started by a
  ///   host of the same version.
  public static func run() -> Int32 {
    // Writing to a host that is gone must not look like a crash.
    signal(SIGPIPE, SIG_IGN)
    guard let server = WorkerServer(socket: BH_WORKER_SOCKET) else { return 2 }
    let fault = server.control + offset(of: \bh_control.fault)
    guard bh_tell_guard_faults(fault.assumingMemoryBound(to: bh_fault.self)) == 0 else { return 2 }
    return server.serve() ? 0 : 2
  }

  private func serve() -> Bool {
    if order.laneCount > 0 {
      guard let arena = WorkerProtocol.receive(from: socket), addBlock(arena) else { return false }
    }
    guard let confinement = confine() else { return false }
    _ = WorkerProtocol.send(.confined, json: confinement, to: socket)
    for (index, library) in order.libraries.enumerated() { load(library, index) }

    // The pool's threads start before the second filter, which then holds for them too.
    bh_set_thread_count(Int32(order.threads))
    bh_parallel_for(Int64(order.threads), 1, { _, _, _ in }, nil)
    guard bh_filter_system_calls(BH_FILTER_CALLING) >= 0 else { return false }
    for index in 0..<order.laneCount {
      Thread.detachNewThread {
        self.serve(WorkerProcess.Lane(index, control: self.control))
      }
    }
    _ = WorkerProtocol.send(.ready, to: socket)
    while let received = WorkerProtocol.receive(from: socket), addBlock(received) {}
    return true
  }

  private func confine() -> Confinement? {
    guard bh_end_with(order.host) == 0, bh_limit_resources(order.memoryBytes) == 0,
      bh_renounce_rights() == 0
    else { return nil }
    let paths = order.readable + LibraryStore.machineFiles + Self.runtimeFolders
    let copies = paths.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    let landlock = copies.map { UnsafePointer($0) }.withUnsafeBufferPointer {
      bh_restrict_files($0.baseAddress, UInt64($0.count))
    }
    let filter = bh_filter_system_calls(BH_FILTER_LOADING)
    guard landlock >= 0, filter >= 0 else { return nil }
    return Confinement(
      landlockVersion: Int(landlock), filtersSystemCalls: filter == 1,
      memoryBytes: order.memoryBytes)
  }

  /// Where the libraries of this process are: plugins may need the same ones.
  private static var runtimeFolders: [String] {
    ["swift_retain", "malloc"].compactMap { LibraryStore.folder(ofLibraryWith: $0) }
  }

  // MARK: - Loading

  private func load(_ library: LibraryFile, _ index: Int) {
    do throws(PluginError) {
      let first = plugins.count
      let probe = order.probes ? WorkerProcess.report(in: control) : nil
      let found = try ModuleLoader.load(library, probe: probe).enumerated().map { offset, plugin in
        Loaded(
          plugin: plugin.observed(by: observer(first + offset)),
          functions: plugin.entry.functionTable)
      }
      plugins += found
      let described = found.map {
        PluginDescription(
          descriptor: $0.plugin.descriptor, functions: $0.plugin.entry.functionNames)
      }
      _ = WorkerProtocol.send(.loaded, number: index, json: described, to: socket)
    } catch {
      _ = WorkerProtocol.send(.refused, number: index, json: error, to: socket)
    }
  }

  private func observer(_ plugin: Int) -> PluginObserver {
    PluginObserver(
      log: { _, level, text in self.remark(.log, plugin, UInt64(level.rawValue), text) },
      progress: { _, fraction, text in
        self.remark(.progress, plugin, fraction.bitPattern, text)
      },
      isCancelled: {
        bh_flag_load(
          (self.control + offset(of: \bh_control.cancelled)).assumingMemoryBound(to: UInt32.self))
          != 0
      })
  }

  private func remark(
    _ message: WorkerProtocol.Message, _ plugin: Int, _ value: UInt64, _ text: String
  ) {
    // Cut at a character, as the host does with long texts.
    let text = String(decoding: text.utf8.prefix(WorkerProtocol.textLimit), as: UTF8.self)
    withUnsafeTemporaryAllocation(byteCount: text.utf8.count + 64, alignment: 8) { bytes in
      var wire = WireWriter(bytes)
      wire.put(value)
      wire.put(text)
      remarkLock.withLock { _ in
        _ = WorkerProtocol.send(
          message, number: plugin,
          UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<wire.count]),
          to: socket)
        remarkCount.add(1, ordering: .sequentiallyConsistent)
      }
    }
  }

  // MARK: - Blocks

  private func addBlock(_ received: WorkerProtocol.Received) -> Bool {
    defer { if received.descriptor >= 0 { close(received.descriptor) } }
    guard received.message == .block, received.payload.count == 24 else { return false }
    let numbers = received.payload.withUnsafeBytes { bytes in
      (0..<3).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) }
    }
    guard
      let start = bh_map_guarded(
        received.descriptor, numbers[1], numbers[2] == 1 ? 1 : 0,
        UInt32(truncatingIfNeeded: numbers[0]))
    else { return false }
    state.withLock { $0.blocks[Int(numbers[0])] = UInt(bitPattern: start) }
    return true
  }

  /// Where a block is. The host sends a block before the first call that uses it, but on another
  /// way, so it may still be coming.
  private func block(_ id: Int) -> UnsafeMutableRawPointer? {
    for _ in 0..<100_000 {
      if let start = state.withLock({ $0.blocks[id] }) {
        return UnsafeMutableRawPointer(bitPattern: start)
      }
      usleep(50)
    }
    return nil
  }

  // MARK: - Calls

  private static let sleepNanoseconds: UInt64 = 1_000_000_000
  /// What the host does between ``WorkerProcess/expectCall()`` and its call mostly takes less.
  private static let expectantSpin: UInt64 = 1_000_000

  private func serve(_ lane: WorkerProcess.Lane) {
    let closed = (control + offset(of: \bh_control.closed)).assumingMemoryBound(to: UInt32.self)
    let decoder = CallDecoder(stream: LaneStream(lane, closed: closed), blocks: block)
    var spin: UInt64 = 0
    while bh_flag_load(closed) == 0 {
      let start = bh_monotonic_nanoseconds()
      guard
        bh_lane_wait(lane.header, BH_LANE_WORKER, closed, spin, Self.sleepNanoseconds) == 1
      else {
        // Woken before the time is over: the host is about to call.
        let isExpected = bh_monotonic_nanoseconds() - start < Self.sleepNanoseconds
        spin = isExpected ? Self.expectantSpin : 0
        continue
      }
      let count = min(Int(lane.header.pointee.request_bytes), lane.request.count)
      var request = WireReader(UnsafeRawBufferPointer(rebasing: lane.request[..<count]))
      var reply = WireWriter(lane.reply)
      switch WorkerProtocol.Turn(rawValue: lane.header.pointee.kind) {
      case .create: create(&request, &reply)
      case .destroy: destroy(&request, &reply)
      case .validate: validate(&request, &reply)
      case .call: call(&request, &reply, decoder)
      case .calls:
        var rest = request.integer()
        while rest > 0, call(&request, &reply, decoder) >= 0 {
          decoder.forget()
          rest -= 1
        }
      case .reply, .write, .read, nil: break
      }
      decoder.forget()
      lane.header.pointee.kind = WorkerProtocol.Turn.reply.rawValue
      lane.header.pointee.reply_bytes = UInt32(reply.overflowed ? 0 : reply.count)
      bh_lane_pass(lane.header, BH_LANE_HOST)
      // The next call often follows at once.
      spin = 50_000
    }
  }

  private func create(_ request: inout WireReader, _ reply: inout WireWriter) {
    let index = request.integer()
    let seed = request.number()
    guard plugins.indices.contains(index) else { return }
    let plugin = plugins[index].plugin
    let values = WireValues(&request)
    let context = CallContext(plugin: plugin, seed: seed)
    var pointer: UnsafeMutableRawPointer?
    var status = BH_E_INTERNAL
    do throws(PluginError) {
      try plugin.entry.lifetime.begin()
      status = withUnsafeMutablePointer(to: &pointer) { place in
        context.enter { plugin.entry.create($0, values.values, place) }
      }
    } catch {
      context.record(.init(status: status, error: error))
    }
    putOutcome(status, context, &reply)
    let served = Served(plugin: plugins[index], instance: pointer, seed: seed)
    let id = state.withLock { state in
      state.served.append(served)
      return state.served.count - 1
    }
    reply.put(id)
  }

  private func validate(_ request: inout WireReader, _ reply: inout WireWriter) {
    let index = request.integer()
    guard plugins.indices.contains(index), let validate = plugins[index].plugin.entry.validate
    else {
      return
    }
    let values = WireValues(&request)
    let context = CallContext(plugin: plugins[index].plugin, seed: 0)
    putOutcome(context.enter { validate($0, values.values) }, context, &reply)
  }

  private func destroy(_ request: inout WireReader, _ reply: inout WireWriter) {
    let id = request.integer()
    let found = state.withLock { state -> Served? in
      guard state.served.indices.contains(id) else { return nil }
      defer { state.served[id] = nil }
      return state.served[id]
    }
    guard let served = found else { return }
    let plugin = served.plugin.plugin
    let context = CallContext(plugin: plugin, seed: 0)
    let status = context.enter { _ in
      plugin.entry.destroy(served.instance)
      return BH_OK
    }
    putOutcome(status, context, &reply)
  }

  private func served(_ id: Int) -> Served? {
    state.withLock { $0.served.indices.contains(id) ? $0.served[id] : nil }
  }

  @discardableResult
  private func call(
    _ request: inout WireReader, _ reply: inout WireWriter, _ decoder: CallDecoder
  ) -> bh_status {
    let id = request.integer()
    let number = request.integer()
    let layerIndex = request.integer()
    guard let served = served(id), HookCall.entries.indices.contains(number),
      let function = served.plugin.functions[number]
    else { return BH_E_INVALID_ARG }
    let plugin = served.plugin.plugin
    // Nobody asks here for the layer's name.
    let context = CallContext(
      plugin: plugin, seed: served.seed, layer: layerIndex < 0 ? nil : (layerIndex, ""))
    let kinds = HookCall.entries[number].arguments
    let status = withUnsafeTemporaryAllocation(of: UInt.self, capacity: kinds.count) { arguments in
      for (index, kind) in kinds.enumerated() {
        arguments[index] = decoder.argument(kind, &request)
      }
      let arguments = UnsafeBufferPointer(arguments)
      return number == HookCall.scorePieces.rawValue
        ? PieceLoop(plugin, served.instance, context, arguments)?.run() ?? BH_E_INVALID_ARG
        : context.enter {
          callFunction(function, served.instance, UnsafeMutableRawPointer($0), arguments)
        }
    }
    putOutcome(status, context, &reply)
    decoder.putAnswers(&reply)
    return status
  }

  private func putOutcome(_ status: bh_status, _ context: CallContext, _ reply: inout WireWriter) {
    reply.put(Int(status))
    reply.put(Int(remarkCount.load(ordering: .sequentiallyConsistent)))
    guard let failure = context.recorded else { return reply.put(0) }
    reply.put(1)
    reply.put(Int(failure.status))
    reply.put(failure.message)
    reply.put(failure.floatingPoint == nil ? 0 : 1)
    reply.put(failure.floatingPoint?.before ?? 0)
    reply.put(failure.floatingPoint?.after ?? 0)
    let error = failure.error.flatMap { try? PluginJSON.encoder.encode($0) }
    reply.put(error.map { String(decoding: $0, as: UTF8.self) })
  }
}

/// Calls a C function of a hook by its address. All arguments are pointers or integers, which go
/// the same way on the machines that Billhook runs on.
private func callFunction(
  _ function: UnsafeRawPointer, _ instance: UnsafeMutableRawPointer?,
  _ call: UnsafeMutableRawPointer, _ a: UnsafeBufferPointer<UInt>
) -> bh_status {
  typealias P = UnsafeMutableRawPointer?
  typealias F0 = @convention(c) (P, P) -> bh_status
  typealias F1 = @convention(c) (P, P, UInt) -> bh_status
  typealias F2 = @convention(c) (P, P, UInt, UInt) -> bh_status
  typealias F3 = @convention(c) (P, P, UInt, UInt, UInt) -> bh_status
  typealias F4 = @convention(c) (P, P, UInt, UInt, UInt, UInt) -> bh_status
  typealias F5 = @convention(c) (P, P, UInt, UInt, UInt, UInt, UInt) -> bh_status
  typealias F6 = @convention(c) (P, P, UInt, UInt, UInt, UInt, UInt, UInt) -> bh_status
  typealias F7 = @convention(c) (P, P, UInt, UInt, UInt, UInt, UInt, UInt, UInt) -> bh_status
  typealias F8 = @convention(c) (P, P, UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt) -> bh_status
  func to<F>(_ type: F.Type) -> F { unsafeBitCast(function, to: type) }
  let (i, c) = (instance, call)
  return switch a.count {
  case 0: to(F0.self)(i, c)
  case 1: to(F1.self)(i, c, a[0])
  case 2: to(F2.self)(i, c, a[0], a[1])
  case 3: to(F3.self)(i, c, a[0], a[1], a[2])
  case 4: to(F4.self)(i, c, a[0], a[1], a[2], a[3])
  case 5: to(F5.self)(i, c, a[0], a[1], a[2], a[3], a[4])
  case 6: to(F6.self)(i, c, a[0], a[1], a[2], a[3], a[4], a[5])
  case 7: to(F7.self)(i, c, a[0], a[1], a[2], a[3], a[4], a[5], a[6])
  case 8: to(F8.self)(i, c, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7])
  default: BH_E_UNSUPPORTED
  }
}
