internal import BillhookSDK
internal import Glibc

/// A plugin's parameter values on their way to the worker.
final class WireValues {
  /// In declared order.
  private(set) var values: UnsafePointer<bh_value>?
  private var made: [UnsafeMutableRawPointer] = []

  /// Rebuilds what ``put(_:count:into:)`` wrote; the memory lives as long as this object.
  init(_ wire: inout WireReader) {
    let count = wire.integer()
    guard count > 0, count <= Int(ModuleReader.parameterLimit) else { return }
    let values = UnsafeMutablePointer<bh_value>.allocate(capacity: count)
    made.append(values)
    for index in 0..<count {
      var value = bh_value()
      value.type = UInt32(truncatingIfNeeded: wire.number())
      value.count = UInt32(truncatingIfNeeded: wire.number())
      switch Int32(value.type) {
      case BH_TYPE_STRING:
        if let text = wire.text(limit: .max >> 8) {
          let copy = cString(text)
          made.append(copy)
          value.u.str = UnsafePointer(copy)
        }
      case BH_TYPE_I64_LIST, BH_TYPE_F64_LIST:
        let bytes = Int(value.count) * 8
        if let source = wire.bytes(bytes), bytes > 0 {
          let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 8)
          copy.copyMemory(from: source, byteCount: bytes)
          made.append(copy)
          value.u.i64s = UnsafePointer(copy.assumingMemoryBound(to: Int64.self))
        }
      default: value.u.i64 = Int64(bitPattern: wire.number())
      }
      values[index] = value
    }
    self.values = UnsafePointer(values)
  }

  deinit { for pointer in made { pointer.deallocate() } }

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
