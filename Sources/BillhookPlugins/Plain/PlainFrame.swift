internal import BillhookSDK

/// A tensor as bindings see it: row-major, in main memory.
struct PlainView {
  var data: UnsafeMutableRawPointer?
  var count = 0
  /// The first axis, and what is behind it; a tensor of one axis is one row.
  var rows = 0
  var cols = 0
  /// Of all elements.
  var bytes = 0
  var ndim = 0
  var shape: UnsafePointer<Int64>?
  var strides: UnsafePointer<Int64>?

  init() {}

  init(_ tensor: bh_tensor) {
    data = tensor.data.map { $0 + Int(tensor.byte_offset) }
    ndim = Int(tensor.ndim)
    shape = UnsafePointer(tensor.shape)
    strides = UnsafePointer(tensor.strides)
    count = 1
    cols = 1
    for axis in 0..<ndim {
      let size = Int(tensor.shape[axis])
      count *= size
      if axis > 0 || ndim == 1 { cols *= size }
    }
    rows = ndim > 1 ? Int(tensor.shape[0]) : 1
    bytes = count * Int(tensor.bits) / 8
  }

  init(_ data: UnsafeMutableRawPointer?, rows: Int, cols: Int, elementBytes: Int) {
    self.data = data
    self.rows = rows
    self.cols = cols
    count = rows * cols
    bytes = count * elementBytes
  }
}

/// Everything that the bindings of one call can refer to.
///
/// Safety: the memory is the caller's (``with(_:)``), and outlives the calls that use it.
struct PlainFrame {
  let views: UnsafeMutablePointer<PlainView>
  let integers: UnsafeMutablePointer<Int>
  var lossScale = 1.0
  /// Scratch memory, one an argument that asks for it; made before the first call.
  var scratch: UnsafeMutablePointer<UnsafeMutableRawPointer?>

  subscript(tensor: PlainTensor) -> PlainView {
    get { views[tensor.index] }
    nonmutating set { views[tensor.index] = newValue }
  }

  subscript(integer: PlainInteger) -> Int {
    get { integers[integer.index] }
    nonmutating set { integers[integer.index] = newValue }
  }

  /// A frame on the stack: a call of a small function would cost less than an allocation.
  static func with<R, E: Error>(_ body: (inout PlainFrame) throws(E) -> R) throws(E) -> R {
    let viewCount = PlainTensor.allCases.count
    let integerCount = PlainInteger.allCases.count
    let result: Result<R, E> = withUnsafeTemporaryAllocation(
      of: PlainView.self, capacity: viewCount
    ) {
      views in
      views.initialize(repeating: PlainView())
      return withUnsafeTemporaryAllocation(of: Int.self, capacity: integerCount) { integers in
        integers.initialize(repeating: 0)
        return withUnsafeTemporaryAllocation(
          of: UnsafeMutableRawPointer?.self, capacity: PlainSignatureParser.parameterLimit
        ) { scratch in
          scratch.initialize(repeating: nil)
          var frame = PlainFrame(
            views: views.baseAddress!, integers: integers.baseAddress!,
            scratch: scratch.baseAddress!)
          do throws(E) {
            return .success(try body(&frame))
          } catch {
            return .failure(error)
          }
        }
      }
    }
    return try result.get()
  }
}
