internal import BillhookSDK
internal import Glibc

/// A plugin's parameter values on their way to the worker.
final class WireValues {
  /// In declared order.
  private(set) var values: UnsafePointer<bh_value>?
  private let memory = CallMemory()

  /// Rebuilds what ``put(_:count:into:)`` wrote; the memory lives as long as this object.
  init(_ wire: inout WireReader) {
    let count = wire.integer()
    guard count > 0, count <= Int(ModuleReader.parameterLimit) else { return }
    let values = memory.allocate(MemoryLayout<bh_value>.stride * count)
      .bindMemory(to: bh_value.self, capacity: count)
    for index in 0..<count {
      var value = bh_value()
      value.type = UInt32(truncatingIfNeeded: wire.number())
      value.count = UInt32(truncatingIfNeeded: wire.number())
      switch Int32(value.type) {
      case BH_TYPE_STRING: value.u.str = wire.cText(in: memory)
      case BH_TYPE_I64_LIST, BH_TYPE_F64_LIST:
        let bytes = Int(value.count) * 8
        if let source = wire.bytes(bytes), bytes > 0 {
          value.u.i64s = UnsafePointer(
            memory.copy(source, bytes).assumingMemoryBound(to: Int64.self))
        }
      default: value.u.i64 = Int64(bitPattern: wire.number())
      }
      values[index] = value
    }
    self.values = UnsafePointer(values)
  }

  static func put(_ values: UnsafePointer<bh_value>?, count: Int, into wire: inout WireWriter) {
    guard let values, count > 0 else { return wire.put(0) }
    wire.put(count)
    for value in UnsafeBufferPointer(start: values, count: count) {
      wire.put(UInt64(value.type))
      wire.put(UInt64(value.count))
      switch Int32(value.type) {
      case BH_TYPE_STRING: wire.put(cText: value.u.str)
      case BH_TYPE_I64_LIST, BH_TYPE_F64_LIST:
        if let numbers = value.u.i64s { wire.put(numbers, count: Int(value.count) * 8) }
      default: wire.put(UInt64(bitPattern: value.u.i64))
      }
    }
  }
}
