internal import BillhookSDK

/// The arguments of one call, each in memory that obeys the ``Surroundings``.
final class ProbeArena {
  /// What a plugin wrote.
  struct Output {
    let name: String
    let buffer: ProbeBuffer
    let view: UnsafePointer<bh_tensor>
  }

  let surroundings: Surroundings
  private var inputs: [ProbeBuffer] = []
  private(set) var outputs: [Output] = []

  init(_ surroundings: Surroundings) { self.surroundings = surroundings }

  /// An input of 4-byte numbers.
  func input<T: BitwiseCopyable>(
    _ values: [T], shape: [Int], code: Int32 = BH_CODE_FLOAT
  ) throws -> UnsafePointer<bh_tensor> {
    let buffer = try values.withUnsafeBytes { try input(bytes: $0, surroundings.placement) }
    return try view(buffer, shape, code: code, bits: MemoryLayout<T>.size * 8)
  }

  func input(_ values: [Float]?, shape: [Int]) throws -> UnsafePointer<bh_tensor>? {
    guard let values else { return nil }
    return try input(values, shape: shape) as UnsafePointer<bh_tensor>
  }

  /// What an earlier call wrote, handed to the next one.
  func input(
    _ output: OutputBytes
  ) throws -> UnsafePointer<bh_tensor> {
    let buffer = try output.bytes.withUnsafeBytes { try input(bytes: $0, surroundings.placement) }
    return try view(buffer, output.shape, code: output.code, bits: output.bits)
  }

  /// A struct or an array that the plugin reads.
  func constant<T>(_ value: T) throws -> UnsafePointer<T> {
    var value = value
    let buffer = try withUnsafeBytes(of: &value) { try input(bytes: $0, .middle) }
    return UnsafePointer(buffer.pointer.bindMemory(to: T.self, capacity: 1))
  }

  /// A struct that begins with its size.
  func structure<T>(_ value: T) throws -> UnsafeMutablePointer<T> {
    let tail = surroundings.isNewer ? 64 : 0
    let size = MemoryLayout<T>.size
    var bytes = withUnsafeBytes(of: value) { Array($0) }
    bytes += [UInt8](repeating: 0xCC, count: tail)
    let buffer = try bytes.withUnsafeBytes { try input(bytes: $0, .middle) }
    buffer.pointer.storeBytes(of: UInt32(size + tail), as: UInt32.self)
    return buffer.pointer.bindMemory(to: T.self, capacity: 1)
  }

  func array<T: BitwiseCopyable>(_ values: [T]) throws -> UnsafePointer<T> {
    let buffer = try values.withUnsafeBytes { try input(bytes: $0, .middle) }
    return UnsafePointer(buffer.pointer.bindMemory(to: T.self, capacity: max(values.count, 1)))
  }

  /// What a newer host may hang on a struct: nothing that this plugin can read.
  func unknownNext() -> UnsafeRawPointer? {
    guard let buffer = try? ProbeBuffer(bytes: 64, .middle) else { return nil }
    buffer.forbid()
    inputs.append(buffer)
    return UnsafeRawPointer(buffer.pointer)
  }

  func text(_ text: String) throws -> UnsafePointer<CChar> {
    let bytes = Array(text.utf8) + [0]
    let buffer = try bytes.withUnsafeBytes { try input(bytes: $0, .middle) }
    return UnsafePointer(buffer.pointer.bindMemory(to: CChar.self, capacity: bytes.count))
  }

  /// Memory for a result.
  func output(
    _ name: String, shape: [Int], code: Int32 = BH_CODE_FLOAT, bits: Int = 32
  ) throws -> UnsafePointer<bh_tensor> {
    let count = shape.reduce(1, *)
    let buffer = try ProbeBuffer(bytes: (count * bits + 7) / 8, surroundings.placement)
    fill(buffer)
    let view = try view(buffer, shape, code: code, bits: bits)
    outputs.append(Output(name: name, buffer: buffer, view: view))
    return view
  }

  /// Memory for one number that is no tensor.
  func output<T: BitwiseCopyable>(
    _ name: String, _ type: T.Type
  ) throws -> UnsafeMutablePointer<T> {
    let bits = MemoryLayout<T>.size * 8
    let view = try output(name, shape: [], code: BH_CODE_FLOAT, bits: bits)
    return view.pointee.data.bindMemory(to: T.self, capacity: 1)
  }

  /// To be called before the plugin is.
  func seal() {
    if surroundings.protectsInputs { for buffer in inputs { buffer.makeReadOnly() } }
  }

  /// What the plugin wrote; inputs may be gone after it.
  func results() -> [OutputBytes] {
    if surroundings.forbidsInputs {
      let results = outputs.map(OutputBytes.init)
      for buffer in inputs { buffer.forbid() }
      for output in outputs { output.buffer.forbid() }
      // Unmapped memory could be given to somebody else; forbidden memory shows who comes back.
      ProbeArena.forbidden.append(contentsOf: inputs + outputs.map(\.buffer))
      return results
    }
    return outputs.map(OutputBytes.init)
  }

  /// Safety: used on the test's own thread.
  nonisolated(unsafe) private static var forbidden: [ProbeBuffer] = []

  private func fill(_ buffer: ProbeBuffer) {
    var word = surroundings.fill.littleEndian
    withUnsafeBytes(of: &word) { word in
      for index in 0..<buffer.byteCount { buffer.bytes[index] = word[index % 4] }
    }
  }

  private func input(
    bytes: UnsafeRawBufferPointer, _ placement: ProbeBuffer.Placement
  ) throws -> ProbeBuffer {
    let buffer = try ProbeBuffer(bytes: bytes.count, placement)
    buffer.bytes.copyMemory(from: bytes)
    inputs.append(buffer)
    return buffer
  }

  private func view(
    _ buffer: ProbeBuffer, _ shape: [Int], code: Int32, bits: Int
  ) throws -> UnsafePointer<bh_tensor> {
    var sizes = shape.map { Int64($0) }
    var stride: Int64 = 1
    var strides: [Int64] = []
    for size in sizes.reversed() {
      strides.insert(stride, at: 0)
      stride *= max(size, 1)
    }
    sizes += strides
    let dimensions = try sizes.withUnsafeBytes { try input(bytes: $0, .middle) }
    let first = dimensions.pointer.bindMemory(to: Int64.self, capacity: max(sizes.count, 1))
    return try constant(
      bh_tensor(
        data: shape.contains(0) ? nil : buffer.pointer, device_type: 1, device_id: 0,
        ndim: Int32(shape.count), code: UInt8(code), bits: UInt8(bits), lanes: 1,
        shape: shape.isEmpty ? nil : first, strides: shape.isEmpty ? nil : first + shape.count,
        byte_offset: 0))
  }
}

/// A copy of an output.
struct OutputBytes: Equatable, Sendable {
  let name: String
  let shape: [Int]
  let code: Int32
  let bits: Int
  let bytes: [UInt8]

  init(_ output: ProbeArena.Output) {
    name = output.name
    let view = output.view.pointee
    shape = (0..<Int(view.ndim)).map { Int(view.shape[$0]) }
    code = Int32(view.code)
    bits = Int(view.bits)
    bytes = Array(output.buffer.bytes)
  }

  func values<T: BitwiseCopyable>(_ type: T.Type) -> [T] {
    bytes.withUnsafeBytes { raw in
      (0..<raw.count / MemoryLayout<T>.size).map {
        raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self)
      }
    }
  }

  var floats: [Float] { values(Float.self) }
}
