internal import BillhookSandbox
internal import Foundation
internal import Synchronization

/// Calls of a worker, each through a lane of its own.
extension WorkerProcess {
  /// Where the report of probes and the lanes start in the control memory.
  static let reportStart = 4096
  static let laneStart = reportStart + ProbeReport.byteCount

  /// What the worker left of its probes.
  var report: ProbeReport { Self.report(in: control) }

  static func report(in control: UnsafeMutableRawPointer) -> ProbeReport {
    ProbeReport(words: (control + reportStart).assumingMemoryBound(to: Int.self))
  }

  struct Lane {
    let index: Int
    let header: UnsafeMutablePointer<bh_lane>
    let request: UnsafeMutableRawBufferPointer
    let reply: UnsafeMutableRawBufferPointer

    init(_ index: Int, control: UnsafeMutableRawPointer) {
      let start = control + WorkerProcess.laneStart + index * Int(BH_LANE_BYTES)
      self.index = index
      header = start.assumingMemoryBound(to: bh_lane.self)
      request = .init(start: start + Int(BH_LANE_REQUEST_OFFSET), count: Int(BH_LANE_AREA_BYTES))
      reply = .init(start: start + Int(BH_LANE_REPLY_OFFSET), count: Int(BH_LANE_AREA_BYTES))
    }
  }

  func lane(_ index: Int) -> Lane { Lane(index, control: control) }

  /// Not 0 when the worker is to end, or has ended.
  var closedFlag: UnsafeMutablePointer<UInt32> {
    (control + Self.closedOffset).assumingMemoryBound(to: UInt32.self)
  }
  private static let closedOffset = offset(of: \bh_control.closed)

  /// Not 0 when the user wants to stop.
  var cancelledFlag: UnsafeMutablePointer<UInt32> {
    (control + Self.cancelledOffset).assumingMemoryBound(to: UInt32.self)
  }
  private static let cancelledOffset = offset(of: \bh_control.cancelled)

  /// What ended the worker, as it says itself: it may lie, so this is for a sentence alone.
  var fault: bh_fault {
    (control + Self.faultOffset).loadUnaligned(as: bh_fault.self)
  }
  private static let faultOffset = offset(of: \bh_control.fault)

  /// Takes a lane, waiting for one when all are in use.
  func takeLane() -> (lane: Lane, memory: LaneMemory) {
    if let free = state.withLock({ $0.freeLanes.popLast() }) {
      return (lane(free), laneMemory[free])
    }
    changed.lock()
    defer { changed.unlock() }
    while true {
      if let free = state.withLock({ $0.freeLanes.popLast() }) {
        return (lane(free), laneMemory[free])
      }
      changed.wait()
    }
  }

  func giveBack(_ lane: Lane) {
    let others = state.withLock { state in
      state.freeLanes.append(lane.index)
      return state.freeLanes.count == 1
    }
    if others { announce() }
  }

  /// Wakes the worker in the lane that is taken next, so that it is awake when the call comes.
  func expectCall() {
    if let next = state.withLock({ $0.freeLanes.last }) { expectCall(in: lane(next)) }
  }

  func expectCall(in lane: Lane) {
    if bh_flag_load(&lane.header.pointee.asleep) != 0 { bh_lane_wake(lane.header) }
  }

  enum Answer {
    /// The bytes of the reply, out of the worker's reach, until the lane is given back.
    case reply(UnsafeRawBufferPointer)
    case ended(End)
    case timedOut
  }

  /// Long enough for a worker that was asleep and has many small layers to score: to be woken itself
  /// would cost the host as much again as to wake the worker.
  private static let spinNanoseconds: UInt64 = 1_000_000
  private static let sleepNanoseconds: UInt64 = 20_000_000

  /// Passes the turn to the worker and waits for it to come back.
  func transact(
    _ lane: Lane, _ turn: WorkerProtocol.Turn, requestBytes: Int, limits: WorkerLimits,
    stream: CallStream? = nil, isCancelled: () -> Bool
  ) -> Answer {
    if let end { return .ended(end) }
    let header = lane.header
    header.pointee.kind = turn.rawValue
    header.pointee.request_bytes = UInt32(requestBytes)
    var isStopping = isCancelled()
    bh_flag_store(cancelledFlag, isStopping ? 1 : 0)
    bh_lane_pass(header, BH_LANE_WORKER)

    var deadline: UInt64?
    var grace: UInt64?
    var spin = Self.spinNanoseconds
    while true {
      let isBack =
        bh_lane_wait(header, BH_LANE_HOST, closedFlag, spin, Self.sleepNanoseconds) == 1
      var asked: WorkerProtocol.Turn?
      if isBack {
        asked = WorkerProtocol.Turn(rawValue: header.pointee.kind)
        guard stream != nil, asked == .write || asked == .read else { break }
      } else if let end = waitForEnd(ifClosed: true) {
        return .ended(end)
      }
      spin = 0
      let now = bh_monotonic_nanoseconds()
      let limit = deadline ?? now &+ UInt64(limits.callSeconds * 1e9)
      deadline = limit
      if !isStopping, isCancelled() {
        isStopping = true
        bh_flag_store(cancelledFlag, 1)
      }
      if now >= limit, grace == nil {
        grace = now &+ UInt64(limits.graceSeconds * 1e9)
        bh_flag_store(cancelledFlag, 1)
      }
      if let grace, now >= grace {
        kill()
        _ = waitForEnd(ifClosed: false)
        return .timedOut
      }
      // Requests for more of a stream come back here too, so that they do not stop the clock.
      guard let asked, let stream else { continue }
      let count = stream.serve(asked, reply(of: lane), answer: lane.request)
      header.pointee.request_bytes = UInt32(count)
      spin = Self.spinNanoseconds
      bh_lane_pass(header, BH_LANE_WORKER)
    }
    if grace != nil { return .timedOut }
    return .reply(reply(of: lane))
  }

  /// What the worker left in the lane, out of its reach.
  private func reply(of lane: Lane) -> UnsafeRawBufferPointer {
    laneMemory[lane.index].copyReply(
      lane.reply.baseAddress!, byteCount: Int(lane.header.pointee.reply_bytes))
  }

  /// How the process ended, once it is known; nil while it lives.
  private func waitForEnd(ifClosed: Bool) -> End? {
    if let end { return end }
    guard !ifClosed || bh_flag_load(closedFlag) != 0 else { return nil }
    changed.lock()
    defer { changed.unlock() }
    let limit = Date(timeIntervalSinceNow: 5)
    while end == nil, changed.wait(until: limit) {}
    return end ?? (ifClosed ? nil : End(exitCode: -1, signal: SIGKILL, output: ""))
  }

  /// Waits until what the plugin said before its reply has been heard. A number that does not come
  /// true within a second is a lie, and is not waited for again.
  func waitForRemarks(_ count: UInt64) {
    if count == 0 { return }
    func isHeard() -> Bool {
      state.withLock { $0.remarkCount >= count || $0.end != nil || $0.hasLied }
    }
    if isHeard() { return }
    changed.lock()
    defer { changed.unlock() }
    // Ten seconds in all, and one without a single remark.
    let limit = Date(timeIntervalSinceNow: 10)
    while !isHeard() {
      let before = state.withLock { $0.remarkCount }
      if changed.wait(until: min(limit, Date(timeIntervalSinceNow: 1))) { continue }
      if Date() >= limit || state.withLock({ $0.remarkCount }) == before {
        return state.withLock { $0.hasLied = true }
      }
    }
  }
}
