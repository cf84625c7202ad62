internal import BillhookSDK
internal import BillhookTensor

/// Tensors in the ABI's form, for as long as this object lives.
///
/// Safety: inputs are kept alive here, so their addresses stay valid; outputs are the caller's
/// memory, which must outlive the call.
final class BorrowedTensors {
  /// For all that goes to the plugin with the tensors.
  let memory = CallMemory()
  private struct Kept {
    let tensor: Tensor
    let earlier: UnsafeMutablePointer<Kept>?
  }
  private var kept: UnsafeMutablePointer<Kept>?
  /// Where the inputs of a plugin in a worker go, so that they are copied once and not each call.
  private let arena: SharedArena?
  /// Smaller ones are copied each call: that costs less than to keep track of them.
  private static let sharedByteCount = 16 * 1024

  /// - Parameter instance: Whom the tensors are for. In another process it wakes up while they are
  ///   made.
  init(for instance: PluginInstance? = nil) {
    guard let instance, instance.plugin.worker != nil else {
      arena = nil
      return
    }
    arena = SharedArena.common
    WorkerInstance.expectCall(instance.pointer)
  }

  deinit {
    while let last = kept {
      kept = last.pointee.earlier
      last.deinitialize(count: 1)
    }
  }

  /// An input; nil stays nil.
  func input(_ tensor: Tensor?) -> UnsafePointer<bh_tensor>? {
    guard var tensor else { return nil }
    // A tensor of a mapped file may start anywhere; plugins are promised aligned elements.
    if tensor.withUnsafeBytes({
      Int(bitPattern: $0.baseAddress) % tensor.elementType.byteCount != 0
    }) {
      tensor = tensor.copied()
    }
    let place = memory.allocate(MemoryLayout<Kept>.size).bindMemory(to: Kept.self, capacity: 1)
    place.initialize(to: Kept(tensor: tensor, earlier: kept))
    kept = place
    if let arena, tensor.byteCount >= Self.sharedByteCount, let copy = arena.place(tensor) {
      return view(
        UnsafeMutableRawPointer(mutating: copy), tensor.elementType, shape: tensor.shape)
    }
    return tensor.withUnsafeBytes {
      view(
        UnsafeMutableRawPointer(mutating: $0.baseAddress), tensor.elementType,
        shape: tensor.shape)
    }
  }

  /// A view of memory that the caller owns.
  func view(
    _ data: UnsafeMutableRawPointer?, _ type: ElementType, shape: [Int]
  ) -> UnsafePointer<bh_tensor> {
    let sizes = memory.allocate(16 * shape.count).bindMemory(
      to: Int64.self, capacity: 2 * shape.count)
    var stride: Int64 = 1
    for axis in shape.indices.reversed() {
      sizes[axis] = Int64(shape[axis])
      sizes[shape.count + axis] = stride
      stride *= Int64(max(shape[axis], 1))
    }
    let code =
      switch type {
      case .int8, .int16, .int32, .int64: BH_CODE_INT
      case .float16, .float32, .float64: BH_CODE_FLOAT
      case .bfloat16: BH_CODE_BFLOAT
      default: BH_CODE_UINT
      }
    return UnsafePointer(
      memory.place(
        bh_tensor(
          data: shape.contains(0) ? nil : data, device_type: 1, device_id: 0,
          ndim: Int32(shape.count), code: UInt8(code), bits: UInt8(type.byteCount * 8), lanes: 1,
          shape: shape.isEmpty ? nil : sizes, strides: shape.isEmpty ? nil : sizes + shape.count,
          byte_offset: 0)))
  }
}

/// The index of the first value that is NaN or infinite.
func firstNotFinite(_ values: UnsafeBufferPointer<Float>) -> Int? {
  values.firstIndex { !$0.isFinite }
}
