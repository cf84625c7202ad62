internal import BillhookPlugins
internal import BillhookSDK
internal import Foundation
internal import Glibc
internal import Synchronization

/// The host as one test wants it: its own functions, except where ``Surroundings`` say otherwise.
///
/// There is one for the process, because a test has a process of its own.
enum ProbeHost {
  /// What a plugin asked of the host.
  struct Record: Sendable {
    var scratchRequests = 0
    /// Requests that got none.
    var scratchRefusals = 0
    var cancelQuestions = 0
    /// How often the answer was "yes".
    var cancellations = 0
    var randomRequests = 0
    var loops = 0
    var logs: [String] = []
    var extensions: Set<String> = []

    /// What several calls asked for, one after the other.
    static func + (left: Record, right: Record) -> Record {
      var sum = left
      sum.scratchRequests += right.scratchRequests
      sum.scratchRefusals += right.scratchRefusals
      sum.cancelQuestions += right.cancelQuestions
      sum.cancellations += right.cancellations
      sum.randomRequests += right.randomRequests
      sum.loops += right.loops
      sum.logs += right.logs
      sum.extensions.formUnion(right.extensions)
      return sum
    }
  }

  /// Safety: set between calls only.
  nonisolated(unsafe) private(set) static var surroundings = Surroundings()
  private static let record = Mutex(Record())
  /// Safety: as `surroundings`.
  nonisolated(unsafe) private static var real = bh_host()
  /// The host's own table, which lives as long as the process.
  nonisolated(unsafe) private(set) static var realTable: UnsafePointer<bh_host>?

  /// Runs a function of the plugin.
  ///
  /// - Returns: How the call ended, and what was asked of the host meanwhile.
  static func call(
    _ plugin: Plugin, seed: UInt64, layer: LayerContext? = nil, in surroundings: Surroundings,
    _ body: (UnsafeMutablePointer<bh_call>) -> bh_status
  ) -> (outcome: Plugin.ProbeOutcome, record: Record) {
    self.surroundings = surroundings
    record.withLock { $0 = Record() }
    let outcome = plugin.probe(seed: seed, layer: layer) { call in
      realTable = call.pointee.host
      real = copyStruct(
        bh_host.self, from: call.pointee.host, theirSize: call.pointee.host.pointee.struct_size,
        zero: bh_host())
      let table = Structure(table(), isNewer: surroundings.isNewer)
      var own = call.pointee
      own.host = UnsafePointer(table.pointer)
      let structure = Structure(own, isNewer: surroundings.isNewer)
      return withExtendedLifetime(table) { body(structure.pointer) }
    }
    return (outcome, record.withLock { $0 })
  }

  /// The same for several calls at once: nothing is set, only counted.
  static func concurrentCall(
    _ plugin: Plugin, seed: UInt64, layer: LayerContext?,
    _ body: (UnsafeMutablePointer<bh_call>) -> bh_status
  ) -> Plugin.ProbeOutcome {
    plugin.probe(seed: seed, layer: layer, body)
  }

  private static func table() -> bh_host {
    var table = real
    table.log = { call, level, text, length in
      if let text, length < 65536 {
        let bytes = UnsafeRawBufferPointer(start: text, count: Int(length))
        let line = String(decoding: bytes, as: UTF8.self)
        ProbeHost.record.withLock { $0.logs.append(line) }
      }
      ProbeHost.real.log(call, level, text, length)
    }
    table.scratch = { call, bytes, alignment in
      let number = ProbeHost.record.withLock { record in
        record.scratchRequests += 1
        return record.scratchRequests - 1
      }
      if number == ProbeHost.surroundings.failingScratch {
        ProbeHost.record.withLock { $0.scratchRefusals += 1 }
        return nil
      }
      return ProbeHost.real.scratch(call, bytes, alignment)
    }
    table.cancelled = { call in
      let number = ProbeHost.record.withLock { record in
        record.cancelQuestions += 1
        return record.cancelQuestions - 1
      }
      if let limit = ProbeHost.surroundings.cancelsAfter, number >= limit {
        ProbeHost.record.withLock { $0.cancellations += 1 }
        return 1
      }
      return ProbeHost.real.cancelled(call)
    }
    table.random = { call, stream, offset, out, count in
      ProbeHost.record.withLock { $0.randomRequests += 1 }
      if ProbeHost.surroundings.failsRandom { return BH_E_INTERNAL }
      return ProbeHost.real.random(call, stream, offset, out, count)
    }
    table.get_extension = { call, id in
      if let id { ProbeHost.record.withLock { _ = $0.extensions.insert(String(cString: id)) } }
      if ProbeHost.surroundings.hidesExtensions { return nil }
      return ProbeHost.real.get_extension(call, id)
    }
    table.parallel_for = { call, count, grain, task, context in
      ProbeHost.record.withLock { $0.loops += 1 }
      guard let call, let task, count >= 0, grain > 0 else { return BH_E_INVALID_ARG }
      return Loop(call: call, count: count, grain: grain, task: task, context: context).run()
    }
    return table
  }

  /// One `parallel_for`: the same pieces as the host's, in an order of the test's.
  private final class Loop: @unchecked Sendable {
    let call: UnsafeMutablePointer<bh_call>
    let count: Int64
    let grain: Int64
    let task: bh_task
    let context: UnsafeMutableRawPointer?
    private let next = Atomic<Int64>(0)
    private let failure = Mutex<(piece: Int64, status: bh_status)?>(nil)

    init(
      call: UnsafeMutablePointer<bh_call>, count: Int64, grain: Int64, task: @escaping bh_task,
      context: UnsafeMutableRawPointer?
    ) {
      self.call = call
      self.count = count
      self.grain = grain
      self.task = task
      self.context = context
    }

    func run() -> bh_status {
      let pieces = (count + grain - 1) / grain
      switch ProbeHost.surroundings.order {
      case .forward:
        for piece in 0..<pieces where failure.withLock({ $0 }) == nil { run(piece) }
      case .reversed:
        for piece in (0..<pieces).reversed() where failure.withLock({ $0 }) == nil { run(piece) }
      case .threads(let threads):
        onThreads(min(threads, Int(pieces))) { _ in
          while self.failure.withLock({ $0 }) == nil {
            let piece = self.next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard piece < pieces else { return }
            self.run(piece)
          }
        }
      }
      return failure.withLock { $0?.status } ?? BH_OK
    }

    private func run(_ piece: Int64) {
      let structure = Structure(call.pointee, isNewer: ProbeHost.surroundings.isNewer)
      let begin = piece * grain
      let status = task(structure.pointer, begin, min(begin + grain, count), context)
      guard status != BH_OK else { return }
      failure.withLock { if $0.map({ piece < $0.piece }) ?? true { $0 = (piece, status) } }
    }
  }
}

/// A struct of the host's, which begins with its size; one of a newer host goes on behind its end.
final class Structure<T> {
  let pointer: UnsafeMutablePointer<T>
  private let block: UnsafeMutableRawPointer

  init(_ value: T, isNewer: Bool) {
    let tail = isNewer ? 64 : 0
    let bytes = MemoryLayout<T>.stride + tail
    block = .allocate(byteCount: bytes, alignment: 16)
    block.initializeMemory(as: UInt8.self, repeating: 0xCC, count: bytes)
    pointer = block.bindMemory(to: T.self, capacity: 1)
    pointer.initialize(to: value)
    block.storeBytes(of: UInt32(MemoryLayout<T>.size + tail), as: UInt32.self)
  }

  deinit { block.deallocate() }
}

/// Runs `body` on `count` new threads with the numbers from 0 on, and waits for all of them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for number in 0..<count {
    group.enter()
    let thread = Thread {
      body(number)
      group.leave()
    }
    thread.stackSize = 8 << 20
    thread.start()
  }
  group.wait()
}
