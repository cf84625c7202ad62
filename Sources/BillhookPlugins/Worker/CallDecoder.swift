internal import BillhookSDK
internal import BillhookSandbox
internal import Glibc

/// Rebuilds the arguments of a call in the worker from what a ``CallEncoder`` wrote.
///
/// Safety: what the host writes is believed, as far as it lies within the area. The structs live in
/// memory of this object, until the next call.
final class CallDecoder {
  /// Where the worker sees a block, which stays there: its first byte.
  typealias Blocks = (_ id: Int) -> UnsafeMutableRawPointer?

  private enum Answer {
    case record(UnsafeMutableRawPointer, CallRecord)
    case number(UnsafeMutableRawPointer)
  }

  private let blocks: Blocks
  private var knownBlocks: [(id: Int, start: UnsafeMutableRawPointer)] = []
  private let stream: LaneStream
  private let memory = CallMemory()
  private var answers: [Answer] = []

  init(stream: LaneStream, blocks: @escaping Blocks) {
    self.stream = stream
    self.blocks = blocks
  }

  func forget() {
    memory.reset()
    if !answers.isEmpty { answers.removeAll(keepingCapacity: true) }
  }

  /// The argument as the plugin gets it: a pointer, or an integer in its place.
  func argument(_ argument: CallArgument, _ wire: inout WireReader) -> UInt {
    if case .integer = argument { return UInt(wire.number()) }
    guard wire.number() == 1 else { return 0 }
    switch argument {
    case .tensorIn, .tensorOut, .tensorUnwritten: return UInt(bitPattern: tensor(&wire))
    case .record(let record): return UInt(bitPattern: self.record(record, &wire))
    case .writer: return UInt(bitPattern: memory.place(stream.writer()))
    case .reader: return UInt(bitPattern: memory.place(stream.reader()))
    case .number:
      let number = UnsafeMutableRawPointer(memory.place(wire.number()))
      answers.append(.number(number))
      return UInt(bitPattern: number)
    case .integer: return 0
    }
  }

  private func record(
    _ record: CallRecord, _ wire: inout WireReader
  ) -> UnsafeMutableRawPointer {
    let pointer = memory.copy(wire.bytes(record.byteCount), record.byteCount)
    if record.isWritten { answers.append(.record(pointer, record)) }
    for (offset, kind) in record.fields {
      var value: UInt = 0
      switch kind {
      case .tensorIn: value = argument(.tensorIn, &wire)
      case .tensorOut: value = argument(.tensorOut, &wire)
      case .text: value = UInt(bitPattern: wire.cText(in: memory))
      case .textOut: break
      case .numberOut: value = argument(.number, &wire)
      case .integers:
        let count = wire.integer()
        if count > 0 { value = UInt(bitPattern: memory.copy(wire.bytes(count * 8), count * 8)) }
      case .list(let element, _):
        let count = wire.integer()
        guard count > 0, count < 1 << 20 else { break }
        let entries = memory.copy(nil, count * 8)
        for index in 0..<count {
          let entry = argument(element, &wire)
          entries.storeBytes(of: entry, toByteOffset: index * 8, as: UInt.self)
        }
        value = UInt(bitPattern: entries)
      }
      (pointer + offset).storeBytes(of: value, as: UInt.self)
    }
    return pointer
  }

  private func tensor(_ wire: inout WireReader) -> UnsafeMutableRawPointer {
    let size = MemoryLayout<bh_tensor>.size
    let pointer = memory.copy(wire.bytes(size), size)
    var tensor = pointer.load(as: bh_tensor.self)
    let rank = max(Int(tensor.ndim), 0)
    if tensor.shape != nil {
      tensor.shape = memory.copy(wire.bytes(rank * 8), rank * 8)
        .assumingMemoryBound(to: Int64.self)
    }
    if tensor.strides != nil {
      tensor.strides = memory.copy(wire.bytes(rank * 8), rank * 8)
        .assumingMemoryBound(to: Int64.self)
    }
    tensor.data = nil
    tensor.byte_offset = 0
    if wire.number() > 0 {
      let id = wire.integer()
      let offset = wire.integer()
      tensor.data = block(id).map { $0 + offset }
    }
    pointer.storeBytes(of: tensor, as: bh_tensor.self)
    return pointer
  }

  private func block(_ id: Int) -> UnsafeMutableRawPointer? {
    for known in knownBlocks where known.id == id { return known.start }
    guard let start = blocks(id) else { return nil }
    knownBlocks.append((id, start))
    return start
  }

  /// What the plugin wrote into structs and single numbers.
  func putAnswers(_ wire: inout WireWriter) {
    for answer in answers {
      switch answer {
      case .number(let number): wire.put(number.load(as: UInt64.self))
      case .record(let pointer, let record):
        wire.put(UnsafeRawPointer(pointer), count: record.byteCount)
        for (offset, kind) in record.fields {
          guard case .textOut = kind else { continue }
          wire.put(cText: UnsafePointer(bitPattern: (pointer + offset).load(as: UInt.self)))
        }
      }
    }
  }
}
