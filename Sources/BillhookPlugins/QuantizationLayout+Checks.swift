internal import BillhookSDK
internal import BillhookTensor
internal import Glibc

/// Reads what a plugin's `layout` filled in, and refuses what the formats cannot hold.
struct LayoutReader {
  let quantizer: Quantizer
  let layer: LayerContext
  let shape: [Int]
  let maxBits: Int

  func layout(_ given: bh_qlayout) throws(PluginError) -> QuantizationLayout {
    guard
      let formula = QuantizationLayout.Formula.allCases.first(where: { $0.code == given.formula })
    else {
      throw wrong(
        "formula", "\(given.formula)",
        "\(BH_QFORMULA_AFFINE) (affine), \(BH_QFORMULA_CODEBOOK) (codebook) or "
          + "\(BH_QFORMULA_OPAQUE) (opaque)")
    }
    guard layer.role == .weight || formula == .affine else {
      throw wrong(
        "formula", "\(given.formula)", "\(BH_QFORMULA_AFFINE) (affine) for an activation")
    }
    let known = QuantizationLayout.Claims([.dequantizeExact, .quantizeExact])
    guard given.export_flags & ~known.rawValue == 0 else {
      throw wrong("export_flags", "\(given.export_flags)", "a sum of flags, 0 to \(known.rawValue)")
    }
    let granularity = try granularity(given)
    if formula == .opaque { return try opaque(given, granularity) }
    guard given.block_bytes == 0 else {
      throw wrong("block_bytes", "\(given.block_bytes)", "0 unless the formula is opaque")
    }
    let isSigned = Int32(given.q_code) == BH_CODE_INT
    try checkIntegers(given, formula, isSigned: isSigned)
    return QuantizationLayout(
      formula: formula, elementType: isSigned ? .int8 : .uint8, bits: Int(given.q_bits),
      minimum: Int(given.qmin), maximum: Int(given.qmax), isSymmetric: given.symmetric == 1,
      granularity: granularity, storage: try storage(given),
      claims: QuantizationLayout.Claims(rawValue: given.export_flags))
  }

  private func checkIntegers(
    _ given: bh_qlayout, _ formula: QuantizationLayout.Formula, isSigned: Bool
  ) throws(PluginError) {
    guard isSigned || Int32(given.q_code) == BH_CODE_UINT, formula == .affine || !isSigned else {
      throw wrong(
        "q_code", "\(given.q_code)",
        formula == .affine
          ? "\(BH_CODE_INT) (int) or \(BH_CODE_UINT) (uint)"
          : "\(BH_CODE_UINT) (uint) for a codebook")
    }
    guard layer.role == .weight ? (1...8).contains(given.q_bits) : given.q_bits == 8 else {
      throw wrong(
        "q_bits", "\(given.q_bits)", layer.role == .weight ? "1 to 8" : "8 for an activation")
    }
    let count = Int64(1) << Int64(given.q_bits)
    let type = isSigned ? -count / 2...count / 2 - 1 : 0...count - 1
    guard given.qmin < given.qmax, type.contains(given.qmin), type.contains(given.qmax) else {
      throw wrong(
        "qmin, qmax", "\(given.qmin), \(given.qmax)",
        "within \(type.lowerBound) to \(type.upperBound), qmin below qmax")
    }
    if formula == .codebook {
      guard given.qmin == 0 else { throw wrong("qmin", "\(given.qmin)", "0 for a codebook") }
      guard given.symmetric == 0 else {
        throw wrong("symmetric", "\(given.symmetric)", "0 for a codebook")
      }
      return
    }
    guard given.qmax - given.qmin < 1 << maxBits else {
      throw wrong(
        "qmax - qmin", "\(given.qmax - given.qmin)",
        "less than \(1 << maxBits): integers of this layer may use \(maxBits) bits")
    }
    guard given.symmetric <= 1, given.symmetric == 0 || (given.qmin <= 0 && given.qmax >= 0) else {
      throw wrong("symmetric", "\(given.symmetric)", "0, or 1 when qmin to qmax holds 0")
    }
  }

  private func granularity(
    _ given: bh_qlayout
  ) throws(PluginError) -> QuantizationLayout.Granularity {
    func noBlocks(
      _ granularity: QuantizationLayout.Granularity
    ) throws(PluginError) -> QuantizationLayout.Granularity {
      guard given.block_size == 0 else {
        throw wrong("block_size", "\(given.block_size)", "0 unless the granularity is blocks")
      }
      return granularity
    }
    switch (Int32(truncatingIfNeeded: given.granularity), layer.role) {
    case (BH_QGRANULARITY_TENSOR, _): return try noBlocks(.tensor)
    case (BH_QGRANULARITY_AXIS, .weight):
      guard shape.indices.contains(Int(given.axis)) else {
        throw wrong("axis", "\(given.axis)", "an axis of \(shape)")
      }
      return try noBlocks(.axis(Int(given.axis)))
    case (BH_QGRANULARITY_BLOCK, .weight):
      guard (1...1 << 30).contains(given.block_size) else {
        throw wrong("block_size", "\(given.block_size)", "1 to \(1 << 30)")
      }
      guard given.axis == -1 || shape.indices.contains(Int(given.axis)) else {
        throw wrong("axis", "\(given.axis)", "an axis of \(shape), or -1 for the whole tensor")
      }
      return .block(axis: given.axis < 0 ? nil : Int(given.axis), size: Int(given.block_size))
    default:
      throw wrong(
        "granularity", "\(given.granularity)",
        layer.role == .weight
          ? "\(BH_QGRANULARITY_TENSOR) (tensor), \(BH_QGRANULARITY_AXIS) (axis) or "
            + "\(BH_QGRANULARITY_BLOCK) (block)"
          : "\(BH_QGRANULARITY_TENSOR) (tensor) for an activation")
    }
  }

  private func storage(_ given: bh_qlayout) throws(PluginError) -> QuantizationLayout.Storage {
    if Int32(truncatingIfNeeded: given.storage) != BH_QSTORAGE_PACKED {
      for (field, value) in [
        ("word_bits", Int64(given.word_bits)), ("pack_order", Int64(given.pack_order)),
        ("pack_bias", Int64(given.pack_bias)),
      ] where value != 0 {
        throw wrong(field, "\(value)", "0 unless the storage is packed")
      }
    }
    switch Int32(truncatingIfNeeded: given.storage) {
    case BH_QSTORAGE_NATURAL: return .natural
    case BH_QSTORAGE_PACKED:
      guard [8, 16, 32].contains(given.word_bits) else {
        throw wrong("word_bits", "\(given.word_bits)", "8, 16 or 32")
      }
      guard given.pack_order <= 1 else {
        throw wrong(
          "pack_order", "\(given.pack_order)",
          "\(BH_QPACK_LOW_FIRST) (low first) or \(BH_QPACK_HIGH_FIRST) (high first)")
      }
      let bias = Int64(given.pack_bias)
      guard given.qmin + bias >= 0, given.qmax + bias < 1 << Int64(given.q_bits) else {
        throw wrong(
          "pack_bias", "\(bias)",
          "what brings \(given.qmin) to \(given.qmax) within 0 to \((1 << Int(given.q_bits)) - 1)")
      }
      return .packed(
        wordBits: Int(given.word_bits), isHighFirst: given.pack_order == 1, bias: Int(bias))
    case BH_QSTORAGE_CUSTOM:
      let id = try storageID(given)
      guard quantizer.export != nil else {
        throw wrong(
          "storage", "\(given.storage) (custom)",
          "\(BH_QSTORAGE_NATURAL) or \(BH_QSTORAGE_PACKED) of a plugin without the extension "
            + "\"\(BH_EXT_QUANT_EXPORT)\"")
      }
      return .custom(id: id)
    default:
      throw wrong(
        "storage", "\(given.storage)",
        "\(BH_QSTORAGE_NATURAL) (natural), \(BH_QSTORAGE_PACKED) (packed) or "
          + "\(BH_QSTORAGE_CUSTOM) (custom)")
    }
  }

  private func opaque(
    _ given: bh_qlayout, _ granularity: QuantizationLayout.Granularity
  ) throws(PluginError) -> QuantizationLayout {
    guard case .block(nil, let size) = granularity else {
      throw wrong(
        "granularity, axis", "\(given.granularity), \(given.axis)",
        "\(BH_QGRANULARITY_BLOCK) (block), -1 for an opaque layout")
    }
    // More than twice the float32 tensor and some header is a mistake, and memory is made for all of it.
    let count = shape.reduce(1, *)
    let limit = (8 * count + 4096) / max((count + size - 1) / size, 1)
    guard given.block_bytes >= 1, given.block_bytes <= limit else {
      throw wrong(
        "block_bytes", "\(given.block_bytes)",
        "1 to \(limit) for an opaque layout of \(count) values: together at most 8 bytes a value and "
          + "4096 more")
    }
    for (field, value) in [
      ("q_code", Int64(given.q_code)), ("q_bits", Int64(given.q_bits)), ("qmin", given.qmin),
      ("qmax", given.qmax), ("symmetric", Int64(given.symmetric)),
      ("export_flags", Int64(given.export_flags)), ("word_bits", Int64(given.word_bits)),
      ("pack_order", Int64(given.pack_order)), ("pack_bias", Int64(given.pack_bias)),
    ] where value != 0 {
      throw wrong(field, "\(value)", "0 for an opaque layout")
    }
    guard Int32(truncatingIfNeeded: given.storage) == BH_QSTORAGE_CUSTOM else {
      throw wrong("storage", "\(given.storage)", "\(BH_QSTORAGE_CUSTOM) (custom) when opaque")
    }
    return QuantizationLayout(
      formula: .opaque, elementType: .uint8, bits: 0, minimum: 0, maximum: 0, isSymmetric: false,
      granularity: granularity, blockBytes: Int(given.block_bytes),
      storage: .custom(id: try storageID(given)), claims: [])
  }

  private func storageID(_ given: bh_qlayout) throws(PluginError) -> String {
    let limit = 256
    guard let pointer = given.storage_id else {
      throw wrong("storage_id", "null", "a name such as \"vendor.format/1\"")
    }
    let length = strnlen(pointer, limit + 1)
    guard (1...limit).contains(length),
      let id = String(
        validating: UnsafeRawBufferPointer(start: pointer, count: length), as: UTF8.self),
      ModuleReader.isDescriptive(id, allowsLines: false)
    else {
      throw wrong(
        "storage_id",
        length > limit
          ? "longer than \(limit) bytes" : "empty, not UTF-8 or with a control character",
        "a name such as \"vendor.format/1\"")
    }
    return id
  }

  private func wrong(_ field: String, _ found: String, _ expected: String) -> PluginError {
    quantizer.wrongResult("layout", layer, "\"\(field)\"", found, expected)
  }
}
