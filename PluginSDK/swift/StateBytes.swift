internal import BillhookSDK

/// Whole states through the host's reader and writer, which may take and give them in parts.
enum StateBytes {
  static func write(
    _ bytes: [UInt8], to writer: UnsafePointer<bh_writer>?
  ) throws(HookFailure) {
    guard let writer, let write = writer.pointee.write else {
      throw HookFailure(BH_E_INVALID_ARG, "there is no writer")
    }
    var position = 0
    while position < bytes.count {
      let taken = bytes.withUnsafeBytes {
        write(writer, $0.baseAddress! + position, UInt64(bytes.count - position))
      }
      guard taken > 0, taken <= bytes.count - position else {
        throw HookFailure(BH_E_IO, "the host took \(position) of \(bytes.count) bytes of state")
      }
      position += Int(taken)
    }
  }

  static func read(_ reader: UnsafePointer<bh_reader>?) throws(HookFailure) -> [UInt8] {
    guard let reader, let read = reader.pointee.read else {
      throw HookFailure(BH_E_INVALID_ARG, "there is no reader")
    }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let given = part.withUnsafeMutableBytes { read(reader, $0.baseAddress, UInt64($0.count)) }
      guard given >= 0, given <= part.count else {
        throw HookFailure(BH_E_IO, "the host gave no more than \(bytes.count) bytes of state")
      }
      if given == 0 { return bytes }
      bytes += part[..<Int(given)]
    }
  }
}

/// Runs the body of a C function about an instance's state.
func stateful(
  _ instance: UnsafeMutableRawPointer?, _ call: UnsafeMutablePointer<bh_call>?,
  _ body: (any StatefulHook, HostCall) throws(HookFailure) -> Void
) -> bh_status {
  guarded(call) { (call) throws(HookFailure) in
    guard let hook = Instance<any ScorerHook>.of(instance) as? any StatefulHook else {
      throw HookFailure(BH_E_UNSUPPORTED, "the scorer keeps no state")
    }
    try body(hook, call)
  }
}
