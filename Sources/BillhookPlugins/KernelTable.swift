internal import BillhookKernels
internal import BillhookSDK
internal import Synchronization

/// Extension `billhook.kernels/1` over the kernel core: arguments are checked here, because a wrong
/// one from a plugin must be its failure and not the process's.
enum KernelTable {
  typealias Call = UnsafeMutablePointer<bh_call>

  /// Safety: written once before anyone sees it, and never freed.
  nonisolated(unsafe) static let pointer: UnsafePointer<bh_kernel_table> = {
    let table = UnsafeMutablePointer<bh_kernel_table>.allocate(capacity: 1)
    table.initialize(
      to: bh_kernel_table(
        struct_size: UInt32(MemoryLayout<bh_kernel_table>.size), reserved: 0, abs_power: absPower,
        abs_times_channel: absTimesChannel, abs_power_sums: absPowerSums, min_max: minMax,
        affine_params: affineParameters, affine_quantize: affineQuantize,
        affine_dequantize: affineDequantize, soft_target_loss: softTargetLoss,
        axis_sums: axisSums, row_dots: rowDots, row_cosines: rowCosines,
        row_distances: rowDistances, softmax_rows: softmaxRows, select_smallest: selectSmallest,
        kth_smallest: kthSmallest, block_abs_max: blockAbsMax, block_scale: blockScale,
        codebook_nearest: codebookNearest, codebook_lookup: codebookLookup, pack_bits: packBits,
        unpack_bits: unpackBits))
    return UnsafePointer(table)
  }()

  static func fail(_ call: Call?, _ status: bh_status, _ message: String) -> bh_status {
    CallContext.of(call)?.record(.init(status: status, message: message))
    return status
  }

  static func invalid(_ call: Call?, _ function: String, _ what: String) -> bh_status {
    fail(call, BH_E_INVALID_ARG, "\(BH_EXT_KERNELS) \(function): \(what)")
  }

  /// The elements of [outer, count, inner], or nil when a size is negative or they do not fit.
  static func elementCount(_ outer: Int64, _ count: Int64, _ inner: Int64) -> Int64? {
    guard outer >= 0, count >= 0, inner >= 0 else { return nil }
    let (rows, overflow) = outer.multipliedReportingOverflow(by: count)
    let (all, overflow2) = rows.multipliedReportingOverflow(by: inner)
    return overflow || overflow2 || all >= 1 << 46 ? nil : all
  }

  // MARK: - Scores

  private static let absPower:
    @convention(c) (Call?, UnsafePointer<Float>?, Int64, Double, UnsafeMutablePointer<Float>?)
      -> bh_status = { call, x, count, exponent, out in
        guard count > 0 else { return count == 0 ? BH_OK : invalid(call, "abs_power", "n < 0") }
        guard let x, let out else { return invalid(call, "abs_power", "a pointer is null") }
        guard exponent > 0 else { return invalid(call, "abs_power", "exponent is not above 0") }
        if exponent == 1 {
          bh_abs_f32(x, count, out)
        } else {
          bh_abs_power_f32(x, count, Float(exponent), out)
        }
        return BH_OK
      }

  private static let absTimesChannel:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, UnsafePointer<Float>?, Int64, Int64,
      UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, first, count, factors, channels, inner, out in
      guard count != 0 else { return BH_OK }
      guard let x, let factors, let out else {
        return invalid(call, "abs_times_channel", "a pointer is null")
      }
      guard count > 0, first >= 0, channels > 0, inner > 0 else {
        return invalid(call, "abs_times_channel", "a size is below 1")
      }
      bh_abs_times_channel_f32(x, first, count, factors, channels, inner, out)
      return BH_OK
    }

  private static let absPowerSums:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, Int64, Double, UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, outer, count, inner, exponent, out in
      guard let all = elementCount(outer, count, inner), exponent > 0 else {
        return invalid(call, "abs_power_sums", "a size is below 0, or the exponent is not above 0")
      }
      guard count > 0 else { return BH_OK }
      guard let out, x != nil || all == 0 else {
        return invalid(call, "abs_power_sums", "a pointer is null")
      }
      guard all > 0 else {
        out.update(repeating: 0, count: Int(count))
        return BH_OK
      }
      withUnsafeTemporaryAllocation(of: Double.self, capacity: Int(count)) { sums in
        bh_channel_power_sums_f32(x, outer, count, inner, Float(exponent), sums.baseAddress)
        for channel in 0..<Int(count) { out[channel] = Float(sums[channel]) }
      }
      return BH_OK
    }

  // MARK: - Ranges

  private final class RangeLoop: Sendable {
    nonisolated(unsafe) let x: UnsafePointer<Float>
    nonisolated(unsafe) let min: UnsafeMutablePointer<Float>
    nonisolated(unsafe) let max: UnsafeMutablePointer<Float>
    let inner: Int64
    let bad = Atomic<Int64>(0)

    init(
      x: UnsafePointer<Float>, min: UnsafeMutablePointer<Float>, max: UnsafeMutablePointer<Float>,
      inner: Int64
    ) {
      self.x = x
      self.min = min
      self.max = max
      self.inner = inner
    }
  }

  private static let minMax:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, Int64, UnsafeMutablePointer<Float>?,
      UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, outer, count, inner, min, max in
      guard let all = elementCount(outer, count, inner) else {
        return invalid(call, "min_max", "a size is below 0")
      }
      guard count > 0 else { return BH_OK }
      guard let min, let max, x != nil || all == 0 else {
        return invalid(call, "min_max", "a pointer is null")
      }
      guard let x, all > 0 else {
        min.update(repeating: 0, count: Int(count))
        max.update(repeating: 0, count: Int(count))
        return BH_OK
      }
      let bad: Int64
      if outer == 1 && count > 1 {
        // Rows of one piece stay in the cache for the second look, so memory is read once.
        let loop = RangeLoop(x: x, min: min, max: max, inner: inner)
        let grain = Swift.max(1, 16 * 1024 / inner)
        withExtendedLifetime(loop) {
          bh_parallel_for(
            count, grain,
            { begin, end, data in
              let loop = Unmanaged<RangeLoop>.fromOpaque(data!).takeUnretainedValue()
              let rows = loop.x + Int(begin * loop.inner)
              bh_channel_min_max_f32(
                rows, 1, end - begin, loop.inner, loop.min + Int(begin), loop.max + Int(begin))
              let bad = bh_count_nonfinite_f32(rows, (end - begin) * loop.inner)
              if bad != 0 { loop.bad.wrappingAdd(bad, ordering: .relaxed) }
            }, Unmanaged.passUnretained(loop).toOpaque())
        }
        bad = loop.bad.load(ordering: .relaxed)
      } else {
        bh_channel_min_max_f32(x, outer, count, inner, min, max)
        bad = bh_count_nonfinite_f32(x, all)
      }
      guard bad == 0 else {
        return fail(
          call, BH_E_NUMERIC, "\(bad) of \(all) values are NaN or infinite; all must be finite")
      }
      return BH_OK
    }

  private static let affineParameters:
    @convention(c) (
      Call?, UnsafePointer<Float>?, UnsafePointer<Float>?, Int64, Int32, Int32, UInt32,
      UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Int32>?
    ) -> bh_status = { call, min, max, count, qmin, qmax, symmetric, scale, zeroPoint in
      guard count > 0 else { return BH_OK }
      guard let min, let max, let scale, let zeroPoint else {
        return invalid(call, "affine_params", "a pointer is null")
      }
      guard qmin < qmax, qmin <= 0, qmax >= 1 else {
        return invalid(call, "affine_params", "\(qmin) to \(qmax) does not hold 0 and 1")
      }
      for index in 0..<Int(count) {
        guard min[index].isFinite, max[index].isFinite, min[index] <= max[index] else {
          return fail(
            call, BH_E_NUMERIC, "range \(index) is \(min[index]) to \(max[index])")
        }
        if symmetric != 0 {
          scale[index] = bh_symmetric_scale(min[index], max[index], qmax)
          zeroPoint[index] = 0
        } else {
          scale[index] = bh_affine_scale(min[index], max[index], qmin, qmax, zeroPoint + index)
        }
      }
      return BH_OK
    }

  // MARK: - Integers

  private static func checkAffine(
    _ call: Call?, _ function: String, _ all: Int64?, code: UInt32, pointers: [Bool]
  ) -> bh_status {
    guard all != nil else { return invalid(call, function, "a size is below 0") }
    guard code == UInt32(BH_CODE_INT) || code == UInt32(BH_CODE_UINT) else {
      return invalid(call, function, "code is \(code), not BH_CODE_INT or BH_CODE_UINT")
    }
    return pointers.allSatisfy { $0 } ? BH_OK : invalid(call, function, "a pointer is null")
  }

  private static let affineQuantize:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, Int64, UnsafePointer<Float>?,
      UnsafePointer<Int32>?, Int32, Int32, UInt32, UnsafeMutableRawPointer?
    ) -> bh_status = { call, x, outer, count, inner, scale, zeroPoint, qmin, qmax, code, q in
      let all = elementCount(outer, count, inner)
      guard all != 0 else { return BH_OK }
      let status = checkAffine(
        call, "affine_quantize", all, code: code,
        pointers: [x != nil, scale != nil, zeroPoint != nil, q != nil])
      guard status == BH_OK, let q else { return status }
      let isSigned = code == UInt32(BH_CODE_INT)
      guard qmin <= qmax, qmin >= (isSigned ? -128 : 0), qmax <= (isSigned ? 127 : 255) else {
        return invalid(call, "affine_quantize", "\(qmin) to \(qmax) is not within the integers")
      }
      if isSigned {
        bh_quantize_f32_s8(
          x, outer, count, inner, scale, zeroPoint, qmin, qmax,
          q.assumingMemoryBound(to: Int8.self))
      } else {
        bh_quantize_f32_u8(
          x, outer, count, inner, scale, zeroPoint, qmin, qmax,
          q.assumingMemoryBound(to: UInt8.self))
      }
      return BH_OK
    }

  private static let affineDequantize:
    @convention(c) (
      Call?, UnsafeRawPointer?, UInt32, Int64, Int64, Int64, UnsafePointer<Float>?,
      UnsafePointer<Int32>?, UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, q, code, outer, count, inner, scale, zeroPoint, out in
      let all = elementCount(outer, count, inner)
      guard all != 0 else { return BH_OK }
      let status = checkAffine(
        call, "affine_dequantize", all, code: code,
        pointers: [q != nil, scale != nil, zeroPoint != nil, out != nil])
      guard status == BH_OK, let q else { return status }
      if code == UInt32(BH_CODE_INT) {
        bh_dequantize_s8_f32(
          q.assumingMemoryBound(to: Int8.self), outer, count, inner, scale, zeroPoint, out)
      } else {
        bh_dequantize_u8_f32(
          q.assumingMemoryBound(to: UInt8.self), outer, count, inner, scale, zeroPoint, out)
      }
      return BH_OK
    }
}
