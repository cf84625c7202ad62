internal import BillhookSDK
internal import Glibc

/// The tensors of one call of a probe. They live as long as its process.
final class ProbeTensors {
  struct Output {
    var tensor: PlainTensor
    var block: GuardedBlock
    var elementBytes: Int
    /// What each element was filled with.
    fileprivate var filling: [UInt8]

    var bytes: UnsafeMutableRawBufferPointer {
      UnsafeMutableRawBufferPointer(start: block.data, count: block.byteCount)
    }

    /// Elements that are as they were.
    var untouched: [Int] {
      (0..<block.byteCount / elementBytes).filter { element in
        (0..<elementBytes).allSatisfy { bytes[element * elementBytes + $0] == filling[$0] }
      }
    }
  }

  private(set) var outputs: [Output] = []
  private let placement: GuardedBlock.Placement
  private let report: ProbeReport

  init(_ placement: GuardedBlock.Placement, _ report: ProbeReport) {
    self.placement = placement
    self.report = report
  }

  /// Values from -1 to 1, none of them 0, the same each time; or the given bytes.
  func input(
    _ tensor: PlainTensor, _ shape: [Int], elementBytes: Int = 4, positive: Bool = false,
    bytes: [UInt8]? = nil
  ) throws(PlainFault) -> UnsafePointer<bh_tensor> {
    let count = shape.reduce(1, *)
    let block = try block(tensor, count * elementBytes, elementBytes)
    if let bytes {
      block.data.copyMemory(from: bytes, byteCount: min(bytes.count, block.byteCount))
    } else {
      let values = block.data.assumingMemoryBound(to: Float.self)
      var state: UInt32 = 2_463_534_242 &+ UInt32(truncatingIfNeeded: tensor.index)
      for index in 0..<count {
        // Marsaglia's xorshift: any scattered values will do.
        state ^= state << 13
        state ^= state >> 17
        state ^= state << 5
        let value = (Float(state >> 8) + 1) / Float(1 << 24)
        values[index] = positive || state & 1 == 0 ? value : -value
      }
    }
    block.makeReadOnly()
    report.add(block, tensor, isInput: true)
    return UnsafePointer(view(block.data, shape, elementBytes, isFloat: elementBytes == 4))
  }

  func labels(_ count: Int, classes: Int) throws(PlainFault) -> UnsafePointer<bh_tensor> {
    let values = (0..<count).map { Int32($0 % classes) }
    let pointer = try input(
      .labels, [count], bytes: values.withUnsafeBytes { Array($0) })
    UnsafeMutablePointer(mutating: pointer).pointee.code = UInt8(BH_CODE_INT)
    return pointer
  }

  func output(
    _ tensor: PlainTensor, _ shape: [Int], elementBytes: Int = 4
  ) throws(PlainFault) -> UnsafeMutablePointer<bh_tensor> {
    let block = try block(tensor, shape.reduce(1, *) * elementBytes, elementBytes)
    // NaNs that no arithmetic makes, and bytes that two calls would not leave both times.
    let mark: UInt8 = placement == .atEnd ? 0xA5 : 0x5A
    let filling = elementBytes == 4 ? [mark, mark, 0xE5, 0x7F] : [mark]
    for index in 0..<block.byteCount {
      block.data.storeBytes(of: filling[index % elementBytes], toByteOffset: index, as: UInt8.self)
    }
    report.add(block, tensor, isInput: false)
    outputs.append(
      Output(tensor: tensor, block: block, elementBytes: elementBytes, filling: filling))
    return view(block.data, shape, elementBytes, isFloat: elementBytes == 4)
  }

  private func block(
    _ tensor: PlainTensor, _ bytes: Int, _ alignment: Int
  ) throws(PlainFault) -> GuardedBlock {
    // Packed bytes have the alignment that the library's own allocations have.
    let alignment = tensor == .q ? 16 : alignment
    guard let block = GuardedBlock(bytes, alignment: alignment, placement) else {
      throw PlainFault("there is no memory for \(bytes) bytes")
    }
    return block
  }

  private func view(
    _ data: UnsafeMutableRawPointer, _ shape: [Int], _ elementBytes: Int, isFloat: Bool
  ) -> UnsafeMutablePointer<bh_tensor> {
    let sizes = UnsafeMutablePointer<Int64>.allocate(capacity: max(2 * shape.count, 1))
    var stride: Int64 = 1
    for axis in shape.indices.reversed() {
      sizes[axis] = Int64(shape[axis])
      sizes[shape.count + axis] = stride
      stride *= Int64(max(shape[axis], 1))
    }
    let pointer = UnsafeMutablePointer<bh_tensor>.allocate(capacity: 1)
    pointer.initialize(
      to: bh_tensor(
        data: data, device_type: 1, device_id: 0, ndim: Int32(shape.count),
        code: UInt8(isFloat ? BH_CODE_FLOAT : BH_CODE_UINT), bits: UInt8(elementBytes * 8),
        lanes: 1,
        shape: sizes, strides: sizes + shape.count, byte_offset: 0))
    return pointer
  }
}
