internal import BillhookSDK
internal import BillhookSandbox
internal import Glibc

/// Writes the arguments of a call for the worker, and puts its answers where the caller wants them.
///
/// Safety: the pointers are those of a call that the host itself makes, so they are what the table
/// says, and live until the call returns. Of the answers nothing is believed but their bytes.
struct CallEncoder {
  /// What an answer holds, in the order in which it was asked for.
  private enum Answer {
    case record(UnsafeMutableRawPointer, CallRecord)
    case number(UnsafeMutableRawPointer)
  }

  /// An output of the call: where the caller wants it, and where the worker writes it.
  private struct Output {
    var target: UnsafeMutableRawPointer
    var byteCount: Int
    var slot: OutputSlot
  }

  private(set) var wire: WireWriter
  private let memory: LaneMemory
  private var answers: [Answer] = []
  private var outputs: [Output] = []
  private(set) var outOfMemory = false
  /// What the host serves while the call runs; a call has at most one.
  private(set) var stream: CallStream?

  init(_ area: UnsafeMutableRawBufferPointer, memory: LaneMemory) {
    wire = WireWriter(area)
    self.memory = memory
    memory.beginCall()
  }

  mutating func put(_ value: Int) { wire.put(value) }

  mutating func put(_ argument: CallArgument, _ bits: UInt) {
    if case .integer = argument { return wire.put(UInt64(bits)) }
    guard let pointer = UnsafeMutableRawPointer(bitPattern: bits) else { return wire.put(0) }
    wire.put(1)
    switch argument {
    case .tensorIn: putTensor(pointer, isOutput: false)
    case .tensorOut: putTensor(pointer, isOutput: true)
    case .tensorUnwritten: putTensor(pointer, isOutput: true, isWritten: false)
    case .record(let record): put(record, pointer)
    case .writer: stream = .writer(pointer.load(as: bh_writer.self))
    case .reader: stream = .reader(pointer.load(as: bh_reader.self))
    case .number:
      wire.put(pointer.load(as: UInt64.self))
      answers.append(.number(pointer))
    case .integer: break
    }
  }

  private mutating func put(_ record: CallRecord, _ pointer: UnsafeMutableRawPointer) {
    wire.put(UnsafeRawPointer(pointer), count: record.byteCount)
    if record.isWritten { answers.append(.record(pointer, record)) }
    for (offset, kind) in record.fields {
      let field = (pointer + offset).load(as: UInt.self)
      switch kind {
      case .tensorIn: put(.tensorIn, field)
      case .tensorOut: put(.tensorOut, field)
      case .text: wire.put(cText: UnsafePointer(bitPattern: field))
      case .textOut: break
      case .numberOut: put(.number, field)
      case .integers(let countOffset):
        let count = (pointer + countOffset).load(as: Int64.self)
        wire.put(field == 0 ? 0 : Int(count))
        if let numbers = UnsafeRawPointer(bitPattern: field) {
          wire.put(numbers, count: Int(count) * 8)
        }
      case .list(let element, let countOffset):
        let count = (pointer + countOffset).load(as: UInt64.self)
        wire.put(field == 0 ? 0 : count)
        guard let entries = UnsafePointer<UInt>(bitPattern: field) else { continue }
        for index in 0..<Int(count) { put(element, entries[index]) }
      }
    }
  }

  private mutating func putTensor(
    _ pointer: UnsafeMutableRawPointer, isOutput: Bool, isWritten: Bool = true
  ) {
    let tensor = pointer.load(as: bh_tensor.self)
    let sizes = UnsafeBufferPointer(start: tensor.shape, count: max(Int(tensor.ndim), 0))
    // The host's tensors are row-major without gaps.
    let bytes = (sizes.reduce(1) { $0 * Int($1) } * Int(tensor.bits) + 7) / 8
    wire.put(pointer, count: MemoryLayout<bh_tensor>.size)
    if let shape = tensor.shape { wire.put(shape, count: sizes.count * 8) }
    if let strides = tensor.strides { wire.put(strides, count: sizes.count * 8) }
    guard let data = tensor.data, bytes > 0 else { return wire.put(0) }
    let first = data + Int(tensor.byte_offset)
    wire.put(bytes)
    if isOutput {
      guard let slot = memory.outputSlot(outputs.count, byteCount: bytes) else {
        outOfMemory = true
        return
      }
      slot.prepare(isWritten ? first : nil, byteCount: bytes)
      wire.put(slot.id)
      wire.put(slot.dataOffset(bytes))
      outputs.append(Output(target: first, byteCount: bytes, slot: slot))
    } else {
      guard let offset = memory.inputOffset(first, byteCount: bytes) else {
        outOfMemory = true
        return
      }
      wire.put(LaneMemory.arenaID)
      wire.put(offset)
    }
  }

  // MARK: - Answers

  /// True when the worker wrote around one of the outputs.
  var wroteOutside: Bool {
    outputs.contains { !$0.slot.isIntact($0.byteCount) }
  }

  /// What a crash did to the call's tensors, such as "it wrote behind its output, against rule
  /// BH-03"; nil when it did something else.
  func account(of fault: bh_fault) -> String? {
    let verb =
      switch fault.access {
      case BH_FAULT_READ: "read"
      case BH_FAULT_WRITE: "wrote"
      case BH_FAULT_UNKNOWN: "read or wrote"
      default: nil as String?
      }
    guard let verb else { return nil }
    let number = outputs.firstIndex { $0.slot.id == Int(fault.block) }
    if fault.block == LaneMemory.arenaID, fault.place == BH_FAULT_INSIDE {
      return "it wrote into an input, against rule BH-02"
    }
    guard let number else { return nil }
    let name = outputs.count == 1 ? "its output" : "output \(number + 1) of \(outputs.count)"
    return switch fault.place {
    case BH_FAULT_BEFORE: "it \(verb) before \(name), against rule BH-03"
    case BH_FAULT_BEHIND: "it \(verb) behind \(name), against rule BH-03"
    default: nil
    }
  }

  /// Copies outputs to where the caller wants them.
  func fetchOutputs() {
    for output in outputs {
      output.target.copyMemory(
        from: output.slot.data(output.byteCount), byteCount: output.byteCount)
    }
  }

  /// Reads what the plugin wrote into structs and single numbers; false when something is missing.
  func fetchAnswers(_ reader: inout WireReader) -> Bool {
    for answer in answers {
      switch answer {
      case .number(let target):
        let bits = reader.number()
        if !reader.failed { target.storeBytes(of: bits, as: UInt64.self) }
      case .record(let target, let record):
        // The pointers stay the host's own, whatever the worker wrote over its copies of them.
        let kept = record.fields.map { (target + $0.offset).load(as: UInt.self) }
        guard let bytes = reader.bytes(record.byteCount) else { return false }
        target.copyMemory(from: bytes, byteCount: record.byteCount)
        for (field, old) in zip(record.fields, kept) {
          var value = old
          if case .textOut = field.kind {
            value = reader.text(limit: ModuleReader.nameLimit).map(ConstantTexts.address) ?? 0
          }
          (target + field.offset).storeBytes(of: value, as: UInt.self)
        }
      }
    }
    return !reader.failed
  }
}
