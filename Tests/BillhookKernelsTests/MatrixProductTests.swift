import BillhookKernels
import Testing

/// Products of two matrices, as a plan runs them.
@Suite struct MatrixProductTests {
  /// Rows, inner size and columns: few and many rows, no multiple of a vector, and steps of a power of
  /// two between rows.
  struct Form: CustomStringConvertible, Sendable {
    var rows, inner, columns: Int
    var turnsLeft = false
    var turnsRight = false
    var hasBias = false

    var description: String {
      "\(rows)×\(inner)\(turnsLeft ? "ᵀ" : "") · \(inner)×\(columns)\(turnsRight ? "ᵀ" : "")"
        + (hasBias ? " + bias" : "")
    }
  }

  static let forms = [
    Form(rows: 1, inner: 4, columns: 3), Form(rows: 64, inner: 5, columns: 7, hasBias: true),
    Form(rows: 131, inner: 7, columns: 9, hasBias: true),
    Form(rows: 200, inner: 1, columns: 1, hasBias: true), Form(rows: 200, inner: 6, columns: 1),
    Form(rows: 1, inner: 200, columns: 8, turnsLeft: true),
    Form(rows: 300, inner: 256, columns: 256, hasBias: true),
    Form(rows: 300, inner: 256, columns: 40, turnsRight: true),
    Form(rows: 3, inner: 64, columns: 5, turnsLeft: true),
    Form(rows: 9, inner: 515, columns: 11, turnsLeft: true),
    Form(rows: 256, inner: 515, columns: 256, turnsLeft: true),
    Form(rows: 512, inner: 260, columns: 30, turnsLeft: true),
    Form(rows: 6, inner: 130, columns: 8, turnsLeft: true, turnsRight: true),
  ]

  private func product(
    _ form: Form, _ a: [Float], _ b: [Float], _ bias: [Float]
  ) -> [Float] {
    guard let plan = bh_plan_new() else { return [] }
    defer { bh_plan_free(plan) }
    func input(_ rows: Int, _ columns: Int, isTurned: Bool) -> Int32 {
      let shape = (isTurned ? [columns, rows] : [rows, columns]).map { Int64($0) }
      return bh_plan_input(plan, BH_TYPE_F32, 2, shape)
    }
    let left = input(form.rows, form.inner, isTurned: form.turnsLeft)
    let right = input(form.inner, form.columns, isTurned: form.turnsRight)
    let vector = bh_plan_input(plan, BH_TYPE_F32, 1, [Int64(form.columns)])
    let result = bh_plan_matmul(
      plan, left, right, form.hasBias ? vector : BH_PLAN_NONE, form.turnsLeft ? 1 : 0,
      form.turnsRight ? 1 : 0, nil, 0)
    var y = [Float](repeating: .nan, count: form.rows * form.columns)
    _ = bh_plan_keep(plan, result)
    _ = bh_plan_finish(plan)
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        bias.withUnsafeBufferPointer { bias in
          _ = bh_plan_bind(plan, left, a.baseAddress)
          _ = bh_plan_bind(plan, right, b.baseAddress)
          _ = bh_plan_bind(plan, vector, bias.baseAddress)
          _ = bh_plan_run(plan, 0, bh_plan_position(plan))
        }
      }
    }
    _ = bh_plan_read(plan, result, &y)
    return y
  }

  @Test(arguments: forms)
  func `a product equals its sums in double`(form: Form) {
    let a = uniform(form.rows * form.inner, seed: 1)
    let b = uniform(form.inner * form.columns, seed: 2)
    let bias = uniform(form.columns, seed: 3)
    let runs = onEveryThreadCount { product(form, a, b, bias) }
    for row in stride(from: 0, to: form.rows, by: 1 + form.rows / 13) {
      for column in stride(from: 0, to: form.columns, by: 1 + form.columns / 17) {
        var sum = form.hasBias ? Double(bias[column]) : 0
        for k in 0..<form.inner {
          let left = form.turnsLeft ? a[k * form.rows + row] : a[row * form.inner + k]
          let right = form.turnsRight ? b[column * form.inner + k] : b[k * form.columns + column]
          sum += Double(left) * Double(right)
        }
        for found in runs {
          // Random signs: roundings of some 2^-24 of √n each.
          #expect(abs(Double(found[row * form.columns + column]) - sum) <= 5e-5)
        }
      }
    }
  }

  @Test(arguments: forms.filter { !($0.turnsLeft && $0.turnsRight) })
  func `a product has the same bytes for any number of threads`(form: Form) {
    let a = uniform(form.rows * form.inner, seed: 1)
    let b = uniform(form.inner * form.columns, seed: 2)
    let runs = onEveryThreadCount { product(form, a, b, uniform(form.columns, seed: 3)) }
    for found in runs.dropFirst() { #expect(sameBits(found, runs[0])) }
  }

  @Test(arguments: [1, 4, 19], [0, 1] as [Int32])
  func `stacks of matrices are multiplied one by one`(count: Int, turnsRight: Int32) throws {
    let (rows, inner, columns) = (5, 6, 7)
    let a = uniform(count * rows * inner, seed: 1)
    let b = uniform(count * inner * columns, seed: 2)
    let runs = onEveryThreadCount { () -> [Float] in
      guard let plan = bh_plan_new() else { return [] }
      defer { bh_plan_free(plan) }
      let last = (turnsRight == 0 ? [inner, columns] : [columns, inner]).map { Int64($0) }
      let left = bh_plan_input(plan, BH_TYPE_F32, 4, [1, Int64(count), Int64(rows), Int64(inner)])
      let right = bh_plan_input(plan, BH_TYPE_F32, 4, [1, Int64(count)] + last)
      let result = bh_plan_matmul(plan, left, right, BH_PLAN_NONE, 0, turnsRight, nil, 0)
      var y = [Float](repeating: .nan, count: count * rows * columns)
      _ = bh_plan_keep(plan, result)
      _ = bh_plan_finish(plan)
      a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
          _ = bh_plan_bind(plan, left, a.baseAddress)
          _ = bh_plan_bind(plan, right, b.baseAddress)
          _ = bh_plan_run(plan, 0, bh_plan_position(plan))
        }
      }
      _ = bh_plan_read(plan, result, &y)
      return y
    }
    for index in runs[0].indices {
      let (matrix, row) = (index / (rows * columns), index / columns % rows)
      let column = index % columns
      var sum = 0.0
      for k in 0..<inner {
        let place = turnsRight == 0 ? k * columns + column : column * inner + k
        sum +=
          Double(a[(matrix * rows + row) * inner + k])
          * Double(b[matrix * inner * columns + place])
      }
      for found in runs { #expect(abs(Double(found[index]) - sum) <= 1e-5) }
    }
    for found in runs.dropFirst() { #expect(sameBits(found, runs[0])) }
  }

  @Test func `matrices that do not fit are refused`() throws {
    let plan = try #require(bh_plan_new())
    defer { bh_plan_free(plan) }
    let left = bh_plan_input(plan, BH_TYPE_F32, 2, [3, 4])
    let right = bh_plan_input(plan, BH_TYPE_F32, 2, [5, 6])
    #expect(bh_plan_matmul(plan, left, right, BH_PLAN_NONE, 0, 1, nil, 0) == BH_PLAN_ERROR)
    #expect(
      String(cString: bh_plan_error(plan))
        == "Matrices [3, 4] and [5, 6], turned, cannot be multiplied.")
  }
}
