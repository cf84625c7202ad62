internal import BillhookKernels
internal import BillhookSDK

/// Sums, products and distances of rows.
extension KernelTable {
  /// What to return at once, for wrong arguments or no rows; nil when there is something to do.
  private static func check(
    _ call: Call?, _ function: String, rows: Int64, columns: Int64, pointers: [Bool]
  ) -> bh_status? {
    guard let all = elementCount(1, rows, columns) else {
      return invalid(call, function, "the shape is [\(rows), \(columns)]")
    }
    guard rows > 0 else { return BH_OK }
    guard pointers.dropLast().allSatisfy({ $0 }) || all == 0, pointers.last == true else {
      return invalid(call, function, "a pointer is null")
    }
    return nil
  }

  static let axisSums:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, Int64, UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, outer, count, inner, out in
      guard let all = elementCount(outer, count, inner) else {
        return invalid(call, "axis_sums", "a size is below 0")
      }
      guard count > 0 else { return BH_OK }
      guard let out, x != nil || all == 0 else {
        return invalid(call, "axis_sums", "a pointer is null")
      }
      bh_axis_sums_f32(x, all == 0 ? 0 : outer, count, inner, out)
      return BH_OK
    }

  static let rowDots:
    @convention(c) (
      Call?, UnsafePointer<Float>?, UnsafePointer<Float>?, Int64, Int64,
      UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, y, rows, columns, out in
      if let status = check(
        call, "row_dots", rows: rows, columns: columns,
        pointers: [x != nil, y != nil, out != nil])
      {
        return status
      }
      bh_row_dots_f32(x, y, rows, columns, out)
      return BH_OK
    }

  static let rowCosines:
    @convention(c) (
      Call?, UnsafePointer<Float>?, UnsafePointer<Float>?, Int64, Int64,
      UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, y, rows, columns, out in
      if let status = check(
        call, "row_cosines", rows: rows, columns: columns,
        pointers: [x != nil, y != nil, out != nil])
      {
        return status
      }
      bh_row_cosines_f32(x, y, rows, columns, out)
      return BH_OK
    }

  static let rowDistances:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, UInt32, UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, rows, columns, order, out in
      guard order == 1 || order == 2 else {
        return invalid(call, "row_distances", "order is \(order), not 1 or 2")
      }
      if let status = check(
        call, "row_distances", rows: rows, columns: columns, pointers: [x != nil, out != nil])
      {
        return status
      }
      guard elementCount(1, rows, rows) != nil else {
        return invalid(call, "row_distances", "there are \(rows) rows")
      }
      bh_row_distances_f32(x, rows, columns, Int32(order), out)
      return BH_OK
    }

  static let softmaxRows:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, Double, UInt32, UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, rows, columns, temperature, logarithm, out in
      guard temperature > 0, temperature.isFinite else {
        return invalid(call, "softmax_rows", "the temperature is \(temperature), not above 0")
      }
      if let status = check(
        call, "softmax_rows", rows: rows, columns: columns, pointers: [x != nil, out != nil])
      {
        return status
      }
      guard columns > 0 else { return BH_OK }
      if logarithm != 0 {
        bh_log_softmax_f32(x, rows, columns, Float(temperature), out)
      } else {
        bh_softmax_f32(x, rows, columns, Float(temperature), out)
      }
      return BH_OK
    }

  // MARK: - Selection

  static let selectSmallest:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, UnsafeMutablePointer<UInt8>?
    ) -> bh_status = { call, x, count, lowest, keep in
      guard count >= 0, (0...count).contains(lowest), count < 1 << 46 else {
        return invalid(call, "select_smallest", "k is \(lowest) of \(count)")
      }
      guard count > 0 else { return BH_OK }
      guard let x, let keep else { return invalid(call, "select_smallest", "a pointer is null") }
      guard bh_select_smallest_f32(x, count, lowest, keep) == 0 else {
        return fail(call, BH_E_NO_MEMORY, "no memory to select from \(count) numbers")
      }
      return BH_OK
    }

  static let kthSmallest:
    @convention(c) (
      Call?, UnsafePointer<Float>?, Int64, Int64, UnsafeMutablePointer<Float>?
    ) -> bh_status = { call, x, count, lowest, out in
      guard count > 0, (1...count).contains(lowest), count < 1 << 46 else {
        return invalid(call, "kth_smallest", "k is \(lowest) of \(count)")
      }
      guard let x, let out else { return invalid(call, "kth_smallest", "a pointer is null") }
      let found = bh_kth_smallest_f32(x, count, lowest)
      guard !found.isNaN else {
        return fail(
          call, BH_E_NUMERIC, "NaN is among the \(count) numbers, or memory is short")
      }
      out.pointee = found
      return BH_OK
    }
}
