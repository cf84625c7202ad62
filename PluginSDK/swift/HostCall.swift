public import BillhookSDK

/// Why a hook cannot do its work: thrown by a plugin, handed to the host as a status and a text.
public struct HookFailure: Error {
  public var status: bh_status
  /// A sentence; nil when the host has it already (a kernel failed).
  public var message: String?

  public init(_ status: bh_status, _ message: String? = nil) {
    self.status = status
    self.message = message
  }
}

/// The call that a hook serves, and through it the host's functions. Valid until the hook returns.
public struct HostCall {
  public let pointer: UnsafeMutablePointer<bh_call>

  init(_ pointer: UnsafeMutablePointer<bh_call>) { self.pointer = pointer }

  @usableFromInline var host: bh_host { pointer.pointee.host.pointee }

  /// Memory of the host for this call, not zeroed.
  ///
  /// - Throws: ``HookFailure`` with `BH_E_NO_MEMORY`.
  @inlinable
  public func scratch<T: BitwiseCopyable>(
    _ type: T.Type, count: Int
  ) throws(HookFailure) -> UnsafeMutablePointer<T> {
    let bytes = UInt64(max(count, 1) * MemoryLayout<T>.stride)
    guard let block = host.scratch(pointer, bytes, 64) else {
      throw HookFailure(BH_E_NO_MEMORY, "\(bytes) bytes of scratch memory are not to be had")
    }
    return block.bindMemory(to: type, capacity: max(count, 1))
  }

  /// Writes words `offset` to `offset + count` of one of the plugin's random streams: a function of
  /// the run's seed, the layer and the position alone.
  public func random(
    stream: UInt64, offset: UInt64, into words: UnsafeMutablePointer<UInt32>, count: Int
  ) throws(HookFailure) {
    try check(host.random(pointer, stream, offset, words, UInt64(count)))
  }

  /// Whether the user wants to stop; then throw a ``HookFailure`` with `BH_E_CANCELLED`.
  public var isCancelled: Bool { host.cancelled(pointer) != 0 }

  /// The table `billhook.kernels/1`.
  ///
  /// - Throws: ``HookFailure`` with `BH_E_UNSUPPORTED` when the host does not have it.
  public func kernels() throws(HookFailure) -> bh_kernel_table {
    guard let table = host.get_extension(pointer, BH_EXT_KERNELS) else {
      throw HookFailure(BH_E_UNSUPPORTED, "the host has no \"\(BH_EXT_KERNELS)\"")
    }
    let kernels = table.assumingMemoryBound(to: bh_kernel_table.self)
    guard Int(kernels.pointee.struct_size) >= MemoryLayout<bh_kernel_table>.size else {
      throw HookFailure(
        BH_E_UNSUPPORTED, "the host's \"\(BH_EXT_KERNELS)\" is older than the plugin")
    }
    return kernels.pointee
  }

  /// Passes on the failure of a host function, which has said why already.
  public func check(_ status: bh_status) throws(HookFailure) {
    if status != BH_OK { throw HookFailure(status) }
  }
}

/// Parameter values in declared order.
public struct ParameterValues {
  private let values: UnsafePointer<bh_value>?

  init(_ values: UnsafePointer<bh_value>?) { self.values = values }

  public func double(_ index: Int) -> Double { values?[index].u.f64 ?? 0 }
  public func int(_ index: Int) -> Int64 { values?[index].u.i64 ?? 0 }
  public func bool(_ index: Int) -> Bool { int(index) != 0 }
  /// The index into the declared choices.
  public func choice(_ index: Int) -> Int { Int(int(index)) }
}

extension bh_tensor {
  /// The size of each axis.
  public var sizes: [Int] { (0..<Int(ndim)).map { Int(shape[$0]) } }

  /// The number of elements.
  public var count: Int { (0..<Int(ndim)).reduce(1) { $0 * Int(shape[$1]) } }

  /// The first element; nil when there is none.
  @inlinable
  public func pointer<T: BitwiseCopyable>(to type: T.Type) -> UnsafeMutablePointer<T>? {
    data.map { ($0 + Int(byte_offset)).assumingMemoryBound(to: type) }
  }
}

extension bh_layer {
  /// The size of each axis of the whole tensor.
  public var sizes: [Int] { (0..<Int(ndim)).map { Int(shape[$0]) } }

  /// The whole tensor seen as [outer, count, inner] around one of its axes; [1, 1, all] for axis -1.
  public func around(axis: Int32) -> (outer: Int64, count: Int64, inner: Int64) {
    let sizes = sizes.map { Int64($0) }
    guard sizes.indices.contains(Int(axis)) else { return (1, 1, sizes.reduce(1, *)) }
    return (
      sizes[..<Int(axis)].reduce(1, *), sizes[Int(axis)], sizes[(Int(axis) + 1)...].reduce(1, *)
    )
  }
}
