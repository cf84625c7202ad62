internal import BillhookSDK
internal import BillhookTensor

extension QuantizationLayout {
  /// The layout as plugins see it, while `body` runs.
  func withCLayout<R>(_ body: (UnsafePointer<bh_qlayout>) -> R) -> R {
    var layout = bh_qlayout()
    layout.struct_size = UInt32(MemoryLayout<bh_qlayout>.size)
    layout.max_bits = 8
    layout.formula = formula.code
    layout.q_code = formula != .opaque && elementType == .uint8 ? UInt8(BH_CODE_UINT) : 0
    layout.q_bits = UInt8(bits)
    layout.qmin = Int64(minimum)
    layout.qmax = Int64(maximum)
    layout.symmetric = isSymmetric ? 1 : 0
    layout.export_flags = claims.rawValue
    layout.block_bytes = Int64(blockBytes)
    layout.axis = -1
    switch granularity {
    case .tensor: layout.granularity = UInt32(BH_QGRANULARITY_TENSOR)
    case .axis(let axis):
      layout.granularity = UInt32(BH_QGRANULARITY_AXIS)
      layout.axis = Int32(axis)
    case .block(let axis, let size):
      layout.granularity = UInt32(BH_QGRANULARITY_BLOCK)
      layout.axis = Int32(axis ?? -1)
      layout.block_size = Int64(size)
    }
    switch storage {
    case .natural: layout.storage = UInt32(BH_QSTORAGE_NATURAL)
    case .packed(let wordBits, let isHighFirst, let bias):
      layout.storage = UInt32(BH_QSTORAGE_PACKED)
      layout.word_bits = UInt32(wordBits)
      layout.pack_order = UInt32(isHighFirst ? BH_QPACK_HIGH_FIRST : BH_QPACK_LOW_FIRST)
      layout.pack_bias = Int32(bias)
    case .custom(let id):
      layout.storage = UInt32(BH_QSTORAGE_CUSTOM)
      let text = cString(id)
      defer { text.deallocate() }
      layout.storage_id = UnsafePointer(text)
      return withUnsafePointer(to: layout, body)
    }
    return withUnsafePointer(to: layout, body)
  }
}

extension QuantizationLayout.Formula {
  var code: UInt32 {
    switch self {
    case .affine: UInt32(BH_QFORMULA_AFFINE)
    case .codebook: UInt32(BH_QFORMULA_CODEBOOK)
    case .opaque: UInt32(BH_QFORMULA_OPAQUE)
    }
  }
}
