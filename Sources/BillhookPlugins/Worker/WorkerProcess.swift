internal import BillhookSandbox
internal import Foundation
internal import Synchronization

/// One worker process: started, watched by a thread of its own, called through lanes.
///
/// Safety of `@unchecked`: what changes is behind `state`; the control memory is shared by design,
/// its flags are read atomically, and a lane belongs to whoever took it.
final class WorkerProcess: @unchecked Sendable {
  /// How a worker came to its end.
  struct End: Sendable {
    /// Its exit status, or -1.
    var exitCode: Int32
    /// The signal that ended it, or 0.
    var signal: Int32
    /// The last that it wrote to its error output.
    var output: String
  }

  /// What it said of one library.
  enum Loading: Sendable {
    case loaded([PluginDescription])
    case refused(PluginError)
  }

  /// What a plugin says while it works.
  enum Remark: Sendable {
    case log(plugin: Int, level: UInt32, text: String)
    case progress(plugin: Int, fraction: Double, text: String)
  }

  struct State {
    var process: Int32 = 0
    var startError: Int32?
    var end: End?
    var confinement: Confinement?
    var loadings: [Int: Loading] = [:]
    var isReady = false
    var isOverdue = false
    var remarkCount: UInt64 = 0
    /// True when it spoke of more remarks than it made.
    var hasLied = false
    var freeLanes: [Int] = []
  }

  let order: WorkerOrder
  let control: UnsafeMutableRawPointer
  private let controlBytes: Int
  private let socket: Int32
  private let hear: @Sendable (Remark) -> Void
  let laneMemory: [LaneMemory]
  let state: Mutex<State>
  /// True once ``end`` is known.
  private let ended = Atomic(false)
  var hasEnded: Bool { ended.load(ordering: .acquiring) }
  let changed = NSCondition()
  /// Parts of a text that is still coming; used by the watching thread alone.
  private var pieces: [UInt8] = []

  private static let outputLimit = 4096
  /// How long a process may take to end once nobody needs it.
  private static let closingNanoseconds: UInt64 = 2_000_000_000

  /// Starts a process and gives it its order; it loads while the caller goes on.
  ///
  /// - Parameters:
  ///   - arena: Where inputs of calls are; nil for a process that only describes.
  ///   - hear: Gets what plugins say, on the watching thread.
  init(
    _ order: WorkerOrder, executable: String, arena: SharedArena?,
    hear: @escaping @Sendable (Remark) -> Void
  ) throws(PluginError) {
    func cannot(_ what: String) -> PluginError {
      .noWorker(executable: executable, reason: "\(what): \(String(cString: strerror(errno)))")
    }
    guard access(executable, X_OK) == 0 else { throw cannot("the program") }
    self.order = order
    self.hear = hear
    controlBytes = Self.laneStart + order.laneCount * Int(BH_LANE_BYTES)
    let memory = bh_shared_memory("billhook-control", UInt64(controlBytes))
    guard memory >= 0 else { throw cannot("shared memory") }
    guard bh_seal_memory(memory, 0) == 0,
      let control = mmap(nil, controlBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0),
      control != MAP_FAILED
    else {
      Glibc.close(memory)
      throw cannot("shared memory")
    }
    self.control = control
    var pair: [Int32] = [-1, -1]
    guard bh_message_sockets(&pair) == 0 else {
      munmap(control, controlBytes)
      Glibc.close(memory)
      throw cannot("a socket")
    }
    let ours = pair[0]
    socket = ours
    state = Mutex(State(freeLanes: Array((0..<order.laneCount).reversed())))
    laneMemory = (arena.map { [$0] } ?? []).flatMap { arena in
      (0..<order.laneCount).map { _ in
        LaneMemory(arena: arena) { slot in
          Self.sendBlock(slot.id, slot.descriptor, bytes: slot.capacity, writable: true, to: ours)
        }
      }
    }
    let theirs = pair[1]
    Thread.detachNewThread { self.run(executable, theirs, memory, arena) }
  }

  deinit {
    munmap(control, controlBytes)
    Glibc.close(socket)
  }

  private static func sendBlock(
    _ id: Int, _ descriptor: Int32, bytes: Int, writable: Bool, to socket: Int32
  ) {
    var payload: [UInt8] = []
    for number in [UInt64(id), UInt64(bytes), writable ? 1 : 0] {
      withUnsafeBytes(of: number) { payload += $0 }
    }
    _ = WorkerProtocol.send(.block, payload, to: socket, carrying: descriptor)
  }

  // MARK: - Watching

  /// Starts the process and follows it to its end. The kernel ends a worker together with the thread
  /// that started it, so this one lives as long.
  ///
  /// - Parameter memory: The control memory; closed here.
  private func run(_ executable: String, _ theirs: Int32, _ memory: Int32, _ arena: SharedArena?) {
    var errors: [Int32] = [-1, -1]
    var pidfd: Int32 = -1
    defer { Glibc.close(memory) }
    guard bh_pipe(&errors) == 0 else {
      Glibc.close(theirs)
      return finish(startError: errno)
    }
    let environment = Self.environment.map { strdup($0) } + [nil]
    let process = bh_start_worker(executable, theirs, errors[1], environment, &pidfd)
    for text in environment { free(text) }
    Glibc.close(theirs)
    Glibc.close(errors[1])
    defer {
      Glibc.close(errors[0])
      if pidfd >= 0 { Glibc.close(pidfd) }
    }
    guard process > 0 else { return finish(startError: -process) }
    state.withLock { $0.process = process }
    // An order of many libraries is larger than the socket's buffer: somebody must read.
    _ = WorkerProtocol.send(.start, json: order, to: socket, carrying: memory)
    if let arena {
      Self.sendBlock(
        LaneMemory.arenaID, arena.descriptor, bytes: arena.byteCount, writable: false, to: socket)
    }

    var output: [UInt8] = []
    var exitCode: Int32 = -1
    var signal: Int32 = 0
    let watched = [errors[0], socket, pidfd]
    var isOpen = [true, true]
    var killTime: UInt64?
    while true {
      // A worker that hung up, talks nonsense, or was hung up on (`close`) is to end. The flag that
      // tells it so is memory that it can write, so it is not asked here.
      if killTime == nil, !isOpen[1] {
        killTime = bh_monotonic_nanoseconds() + Self.closingNanoseconds
      }
      if let time = killTime, bh_monotonic_nanoseconds() >= time { bh_kill_group(process) }
      var ready: [Int32] = [0, 0, 0]
      let descriptors = [isOpen[0] ? watched[0] : -1, isOpen[1] ? watched[1] : -1, pidfd]
      _ = bh_wait_readable(
        descriptors, &ready, 3, pidfd < 0 ? 20 : killTime == nil ? -1 : 100)
      if ready[1] != 0, !receive() { isOpen[1] = false }
      if ready[0] != 0 { isOpen[0] = Self.read(errors[0], &output) }
      if ready[1] != 0 || ready[0] != 0 { continue }
      if pidfd < 0 || ready[2] != 0, bh_reap(process, 0, &exitCode, &signal) != 0 { break }
    }
    finish(
      end: End(
        exitCode: exitCode, signal: signal,
        output: String(decoding: output, as: UTF8.self)
          .trimmingCharacters(in: .whitespacesAndNewlines)))
  }

  private static func read(_ descriptor: Int32, _ output: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    guard count > 0 else { return false }
    output = (output + buffer[..<count]).suffix(outputLimit)
    return true
  }

  private func finish(startError: Int32? = nil, end: End? = nil) {
    state.withLock {
      $0.startError = startError
      $0.end = end ?? End(exitCode: -1, signal: 0, output: "")
      $0.process = 0
    }
    ended.store(true, ordering: .releasing)
    bh_flag_store(closedFlag, 1)
    for index in 0..<order.laneCount { bh_lane_wake(lane(index).header) }
    announce()
  }

  func announce() {
    changed.lock()
    changed.broadcast()
    changed.unlock()
  }

  /// Handles one message; false when there will be no more.
  private func receive() -> Bool {
    guard let received = WorkerProtocol.receive(from: socket) else { return false }
    if received.descriptor >= 0 { Glibc.close(received.descriptor) }
    switch received.message {
    case .piece:
      // A description has at most 256 plugins with bounded texts.
      guard pieces.count < 64 << 20 else { return false }
      pieces += received.payload
    case .loaded:
      let all = takePieces(received.payload)
      let found = PluginJSON.decode([PluginDescription].self, all)
      let loading: Loading =
        found.map { .loaded($0) }
        ?? .refused(.cannotLoad(path: path(received.number), reason: "its description is damaged"))
      state.withLock { $0.loadings[received.number] = loading }
    case .refused:
      let all = takePieces(received.payload)
      let error =
        PluginJSON.error(all)
        ?? .cannotLoad(path: path(received.number), reason: "it does not say why")
      state.withLock { $0.loadings[received.number] = .refused(error) }
    case .confined:
      let found = PluginJSON.decode(Confinement.self, received.payload)
      state.withLock { $0.confinement = found }
    case .ready: state.withLock { $0.isReady = true }
    case .log, .progress:
      // Plugins have nobody to talk to before they are called; the library's lock is taken till then.
      if state.withLock({ $0.isReady }) { remark(received) }
      state.withLock { $0.remarkCount += 1 }
    case .start, .block: return false
    }
    announce()
    return true
  }

  private func path(_ index: Int) -> String {
    order.libraries.indices.contains(index) ? order.libraries[index].path : ""
  }

  private func takePieces(_ last: [UInt8]) -> [UInt8] {
    defer { pieces = [] }
    return pieces + last
  }

  private func remark(_ received: WorkerProtocol.Received) {
    received.payload.withUnsafeBytes { bytes in
      var wire = WireReader(bytes)
      let value = wire.number()
      let text = wire.text(limit: WorkerProtocol.messageLimit) ?? ""
      guard !wire.failed else { return }
      hear(
        received.message == .log
          ? .log(plugin: received.number, level: UInt32(truncatingIfNeeded: value), text: text)
          : .progress(
            plugin: received.number, fraction: Double(bitPattern: value), text: text))
    }
  }

  private static let environment: [String] = {
    let given = ProcessInfo.processInfo.environment
    let kept = ["LD_LIBRARY_PATH", "TZ"]
    // A crashed Swift program would leave a backtracer behind; pool threads that wait in a loop would
    // take the time of the host's.
    return ["SWIFT_BACKTRACE=enable=no", "OMP_WAIT_POLICY=passive", "LC_ALL=C"]
      + kept.compactMap { key in given[key].map { "\(key)=\($0)" } }
  }()

  // MARK: - State

  /// What the worker said of each library, when it is ready or at its end.
  ///
  /// - Returns: Nil when it is neither after `seconds`; it is then killed.
  func loadings(
    within seconds: Double
  ) -> (loadings: [Int: Loading], confinement: Confinement?, end: End?, startError: Int32?)? {
    let limit = Date(timeIntervalSinceNow: seconds)
    changed.lock()
    defer { changed.unlock() }
    while true {
      let now = state.withLock { $0 }
      if now.isReady || now.end != nil {
        return (now.loadings, now.confinement, now.end, now.startError)
      }
      if !changed.wait(until: limit) {
        state.withLock { $0.isOverdue = true }
        bh_kill_group(now.process)
        return nil
      }
    }
  }

  /// True when it was killed because it was not ready in time.
  var isOverdue: Bool { state.withLock { $0.isOverdue } }
  /// What it said until now.
  var loadingsSoFar:
    (loadings: [Int: Loading], confinement: Confinement?, end: End?, startError: Int32?)
  { state.withLock { ($0.loadings, $0.confinement, $0.end, $0.startError) } }
  var end: End? { hasEnded ? state.withLock { $0.end } : nil }
  var confinement: Confinement? { state.withLock { $0.confinement } }

  /// Asks the process to end, and kills it when it does not.
  func close() {
    bh_flag_store(closedFlag, 1)
    for index in 0..<order.laneCount { bh_lane_wake(lane(index).header) }
    shutdown(socket, Int32(SHUT_RDWR))
  }

  func kill() { bh_kill_group(state.withLock { $0.process }) }
}
