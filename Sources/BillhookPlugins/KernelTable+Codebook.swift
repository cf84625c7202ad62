internal import BillhookKernels
internal import BillhookSDK

/// Tables of values, scales of blocks, and integers of less than eight bits.
extension KernelTable {
  static let blockAbsMax:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, Int64, UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, rows, columns, block, out in
      guard let all = elementCount(1, rows, columns), block > 0 else {
        return invalid(call, "block_abs_max", "[\(rows), \(columns)] in blocks of \(block)")
      }
      guard all > 0 else { return BH_OK }
      guard let x, let out else { return invalid(call, "block_abs_max", "a pointer is null") }
      bh_block_abs_max_f32(x, rows, columns, min(block, columns), out)
      return BH_OK
    }

  static let blockScale:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, Int64, UnsafePointer<Float>?, UInt32,
      UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, rows, columns, block, scales, multiply, out in
      guard let all = elementCount(1, rows, columns), block > 0 else {
        return invalid(call, "block_scale", "[\(rows), \(columns)] in blocks of \(block)")
      }
      guard all > 0 else { return BH_OK }
      guard let x, let scales, let out else {
        return invalid(call, "block_scale", "a pointer is null")
      }
      bh_block_scale_f32(
        x, rows, columns, min(block, columns), scales, multiply == 0 ? 0 : 1, out)
      return BH_OK
    }

  private static func check(
    _ call: Call?, _ function: String, _ count: Int64, entries: UInt32, pointers: [Bool]
  ) -> bh_status? {
    guard count >= 0, count < 1 << 46, (1...256).contains(entries) else {
      return invalid(
        call, function, "n is \(count) and the table has \(entries) entries, not 1 to 256")
    }
    guard count > 0 else { return BH_OK }
    return pointers.allSatisfy { $0 } ? nil : invalid(call, function, "a pointer is null")
  }

  static let codebookNearest:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, UnsafePointer<Float>?, UInt32,
      UnsafeMutablePointer<UInt8>?
    ) -> bh_status = { call, x, count, table, entries, index in
      if let status = check(
        call, "codebook_nearest", count, entries: entries,
        pointers: [x != nil, table != nil, index != nil])
      {
        return status
      }
      bh_codebook_nearest_f32(x, count, table, Int32(entries), index)
      return BH_OK
    }

  static let codebookLookup:
    @convention(c) (
      Call?, UnsafePointer<UInt8>?, Int64, UnsafePointer<Float>?, UInt32,
      UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, index, count, table, entries, out in
      if let status = check(
        call, "codebook_lookup", count, entries: entries,
        pointers: [index != nil, table != nil, out != nil])
      {
        return status
      }
      let outside = bh_codebook_lookup_f32(index, count, table, Int32(entries), out)
      guard outside == 0 else {
        return invalid(
          call, "codebook_lookup", "\(outside) of \(count) indices are not below \(entries)")
      }
      return BH_OK
    }

  private static func checkBits(
    _ call: Call?, _ function: String, _ count: Int64, _ bits: UInt32, pointers: [Bool]
  ) -> bh_status? {
    guard count >= 0, count < 1 << 46, (1...8).contains(bits) else {
      return invalid(call, function, "n is \(count) and bits is \(bits), not 1 to 8")
    }
    guard count > 0 else { return BH_OK }
    return pointers.allSatisfy { $0 } ? nil : invalid(call, function, "a pointer is null")
  }

  static let packBits:
    @convention(c) (
      Call?, UnsafePointer<UInt8>?, Int64, UInt32, UnsafeMutablePointer<UInt8>?
    ) -> bh_status = { call, codes, count, bits, packed in
      if let status = checkBits(
        call, "pack_bits", count, bits, pointers: [codes != nil, packed != nil])
      {
        return status
      }
      bh_pack_bits(codes, count, Int32(bits), packed)
      return BH_OK
    }

  static let unpackBits:
    @convention(c) (
      Call?, UnsafePointer<UInt8>?, Int64, UInt32, UnsafeMutablePointer<UInt8>?
    ) -> bh_status = { call, packed, count, bits, codes in
      if let status = checkBits(
        call, "unpack_bits", count, bits, pointers: [packed != nil, codes != nil])
      {
        return status
      }
      bh_unpack_bits(packed, count, Int32(bits), codes)
      return BH_OK
    }
}
