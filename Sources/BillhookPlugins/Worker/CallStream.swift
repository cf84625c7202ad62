internal import BillhookSDK
internal import BillhookSandbox

/// The host's end of a reader or writer that a plugin in a worker uses: while its call runs, the
/// turn comes back with a request to read or write, and goes again with the answer.
enum CallStream {
  case writer(bh_writer)
  case reader(bh_reader)

  /// Serves one request.
  ///
  /// - Parameter request: What the worker asks, out of its reach.
  /// - Returns: The number of bytes that `answer` holds.
  func serve(
    _ turn: WorkerProtocol.Turn, _ request: UnsafeRawBufferPointer,
    answer: UnsafeMutableRawBufferPointer
  ) -> Int {
    var wire = WireReader(request)
    var reply = WireWriter(answer)
    let count = min(max(wire.integer(), 0), LaneStream.pieceBytes)
    switch (turn, self) {
    case (.write, .writer(var writer)):
      guard let bytes = wire.bytes(count), let write = writer.write else {
        reply.put(-1)
        break
      }
      reply.put(Int(write(&writer, bytes, UInt64(count))))
    case (.read, .reader(var reader)):
      withUnsafeTemporaryAllocation(byteCount: max(count, 8), alignment: 8) { bytes in
        let given = reader.read.map { Int($0(&reader, bytes.baseAddress, UInt64(count))) } ?? -1
        reply.put(given)
        if given > 0 { reply.put(bytes.baseAddress!, count: given) }
      }
    default: reply.put(-1)
    }
    return reply.count
  }
}

/// The worker's end: the readers and writers that its plugins get, all through one lane.
///
/// Safety of `@unchecked`: used by the thread that serves the lane.
final class LaneStream: @unchecked Sendable {
  /// The most bytes of one request.
  static let pieceBytes = 128 * 1024

  private let lane: WorkerProcess.Lane
  private let closed: UnsafePointer<UInt32>

  init(_ lane: WorkerProcess.Lane, closed: UnsafePointer<UInt32>) {
    self.lane = lane
    self.closed = closed
  }

  func writer() -> bh_writer {
    var writer = bh_writer()
    writer.context = Unmanaged.passUnretained(self).toOpaque()
    writer.write = { writer, data, count in
      guard let context = writer?.pointee.context, let data else { return -1 }
      return Unmanaged<LaneStream>.fromOpaque(context).takeUnretainedValue().write(data, count)
    }
    return writer
  }

  func reader() -> bh_reader {
    var reader = bh_reader()
    reader.context = Unmanaged.passUnretained(self).toOpaque()
    reader.read = { reader, data, count in
      guard let context = reader?.pointee.context, let data else { return -1 }
      return Unmanaged<LaneStream>.fromOpaque(context).takeUnretainedValue().read(data, count)
    }
    return reader
  }

  private func write(_ data: UnsafeRawPointer, _ count: UInt64) -> Int64 {
    let count = Int(min(count, UInt64(Self.pieceBytes)))
    var wire = WireWriter(lane.reply)
    wire.put(count)
    wire.put(data, count: count)
    guard var answer = ask(.write, wire) else { return -1 }
    return Int64(answer.integer())
  }

  private func read(_ data: UnsafeMutableRawPointer, _ count: UInt64) -> Int64 {
    var wire = WireWriter(lane.reply)
    wire.put(Int(min(count, UInt64(Self.pieceBytes))))
    guard var answer = ask(.read, wire) else { return -1 }
    let given = answer.integer()
    guard given > 0 else { return Int64(given) }
    guard let bytes = answer.bytes(given) else { return -1 }
    data.copyMemory(from: bytes, byteCount: given)
    return Int64(given)
  }

  private func ask(_ turn: WorkerProtocol.Turn, _ wire: WireWriter) -> WireReader? {
    lane.header.pointee.kind = turn.rawValue
    lane.header.pointee.reply_bytes = UInt32(wire.count)
    bh_lane_pass(lane.header, BH_LANE_HOST)
    while bh_lane_wait(lane.header, BH_LANE_WORKER, closed, 50_000, 1_000_000_000) == 0 {
      if bh_flag_load(closed) != 0 { return nil }
    }
    let count = min(Int(lane.header.pointee.request_bytes), lane.request.count)
    return WireReader(UnsafeRawBufferPointer(rebasing: lane.request[..<count]))
  }
}
