/// An instance of a plain plugin: its parameters in the form that the functions take.
///
/// Safety of `@unchecked`: constant after `init`.
final class PlainInstance: @unchecked Sendable {
  let functions: PlainFunctions
  private let seed: Int
  private let threads: Int
  /// The bits of constants and parameters, one an argument.
  private let constants: [PlainRole: UnsafeMutablePointer<UInt64>]

  /// - Parameter values: Of the declared parameters, in their order.
  init(
    _ functions: PlainFunctions, _ values: [ParameterValue], seed: UInt64, threads: Int
  ) throws(PlainFault) {
    self.functions = functions
    self.seed = Int(seed & UInt64(Int.max))
    self.threads = threads
    let keys = functions.plugin.parameters.map(\.key)
    var constants: [PlainRole: UnsafeMutablePointer<UInt64>] = [:]
    var fault: PlainFault?
    for call in functions.plugin.calls {
      let count = max(call.bindings.count, 1)
      let bits = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
      bits.initialize(repeating: 0, count: count)
      for (index, binding) in call.bindings.enumerated() {
        let type = PreparedCall.valueType(call.signature.parameters[index])
        switch binding.target {
        case .integerConstant(let value): bits[index] = PreparedCall.bits(.int(Int64(value)), type)
        case .constant(let value): bits[index] = PreparedCall.bits(.double(value), type)
        case .parameter(let key):
          guard let place = keys.firstIndex(of: key) else { continue }
          if case .int(let value) = values[place], let type, !type.integers.contains(Int(value)) {
            fault = PlainFault(
              "parameter \"\(key)\" is \(value), which does not fit \(type.rawValue)")
          }
          bits[index] = PreparedCall.bits(values[place], type)
        default: continue
        }
      }
      constants[call.role] = bits
    }
    self.constants = constants
    if let fault { throw fault }
  }

  deinit { for bits in constants.values { bits.deallocate() } }

  /// How rows lie in the main tensors; needed by functions that are called once a row.
  struct Rows {
    var count: Int
    /// Values of a row, in and out.
    var cols: Int
    var outCols: Int
    /// Rows that are left out.
    var skips: (Int) -> Bool = { _ in false }
    /// Called after each row with what the function returned.
    var finish: (_ row: Int, PreparedCall.Outcome) -> Void = { _, _ in }
  }

  /// Calls the function of a role: once, or once a row.
  ///
  /// - Parameter isCancelled: Asked now and then between rows.
  /// - Returns: What the last call returned.
  @discardableResult
  func run(
    _ role: PlainRole, _ frame: inout PlainFrame, _ memory: @autoclosure () -> PlainMemory,
    rows: Rows? = nil, isCancelled: () -> Bool = { false }
  ) throws(PlainFault) -> PreparedCall.Outcome {
    let (prepared, constants) = try begin(role, &frame)
    let call = prepared.call
    guard call.needsMemory || rows != nil else {
      let outcome = try prepared.invoke(frame, constants)
      try check(outcome, call, frame[role.main.output])
      return outcome
    }
    let memory = memory()
    defer { withExtendedLifetime(memory) {} }
    try makeScratch(prepared, frame, memory)
    let conversions = try PlainConversions(prepared, frame, memory)
    let outcome: PreparedCall.Outcome
    if call.mode == .rows, let rows {
      outcome = try runRows(prepared, constants, frame, rows, isCancelled)
    } else {
      outcome = try prepared.invoke(frame, constants)
      try check(outcome, call, frame[role.main.output])
    }
    conversions.writeBack()
    return outcome
  }

  /// Calls a scorer once an element.
  func runElements(
    _ frame: inout PlainFrame, _ memory: PlainMemory, into scores: UnsafeMutablePointer<Float>,
    isCancelled: () -> Bool
  ) throws(PlainFault) {
    let (prepared, constants) = try begin(.scorer, &frame)
    try makeScratch(prepared, frame, memory)
    let weight = frame[.weight]
    let grad = frame[.grad].data
    let mask = frame[.mask].data
    // In pieces, so that a user can stop a slow function.
    let piece = 1 << 20
    for begin in stride(from: 0, to: weight.count, by: piece) {
      if begin > 0, isCancelled() { throw PlainFault("it was cancelled") }
      let count = min(piece, weight.count - begin)
      frame.views[PlainTensor.weight.index].data = weight.data.map { $0 + 4 * begin }
      frame.views[PlainTensor.grad.index].data = grad.map { $0 + 4 * begin }
      frame.views[PlainTensor.mask.index].data = mask.map { $0 + 4 * begin }
      try prepared.invokeElements(frame, constants, count: count, into: scores + begin)
    }
  }

  private func begin(
    _ role: PlainRole, _ frame: inout PlainFrame
  ) throws(PlainFault) -> (PreparedCall, UnsafePointer<UInt64>) {
    guard let prepared = functions.prepared(role), let constants = constants[role] else {
      throw PlainFault("there is no function to \(role.rawValue)")
    }
    frame[.seed] = seed
    frame[.threads] = threads
    return (prepared, UnsafePointer(constants))
  }

  private func makeScratch(
    _ prepared: PreparedCall, _ frame: PlainFrame, _ memory: PlainMemory
  ) throws(PlainFault) {
    for (index, binding) in prepared.call.bindings.enumerated() {
      guard case .scratch(let size) = binding else { continue }
      let main = frame[prepared.call.role == .loss ? .student : .weight]
      guard let bytes = size.value(rows: main.rows, cols: main.cols, count: main.count),
        let block = memory.allocate(bytes)
      else {
        throw PlainFault(
          "\"\(prepared.call.bindingTexts[index])\" is no size, or too large, for "
            + "\(main.rows) rows of \(main.cols)")
      }
      frame.scratch[index] = block
    }
  }

  private func runRows(
    _ prepared: PreparedCall, _ constants: UnsafePointer<UInt64>, _ frame: PlainFrame, _ rows: Rows,
    _ isCancelled: () -> Bool
  ) throws(PlainFault) -> PreparedCall.Outcome {
    let main = prepared.call.role.main
    let input = frame[main.input]
    let output = frame[main.output]
    let teacher = frame[.teacher]
    func view(_ whole: PlainView, _ row: Int, _ cols: Int) -> PlainView {
      let bytes = rows.count > 0 ? whole.bytes / rows.count : 0
      var view = PlainView(
        whole.data.map { $0 + row * bytes }, rows: 1, cols: cols, elementBytes: 0)
      view.bytes = bytes
      return view
    }
    var outcome = PreparedCall.Outcome()
    for row in 0..<rows.count where !rows.skips(row) {
      if row % 256 == 255, isCancelled() { throw PlainFault("it was cancelled") }
      var source = view(input, row, rows.cols)
      let out = view(output, row, rows.outCols)
      // What a row of a packed format takes, whichever way the function goes.
      if prepared.call.role == .quantize { source.bytes = out.bytes }
      frame[.row] = source
      frame[.rowOut] = out
      if teacher.data != nil { frame[.rowTeacher] = view(teacher, row, rows.cols) }
      frame[.rowIndex] = row
      if let labels = frame[.labels].data {
        frame[.rowLabel] = Int(labels.load(fromByteOffset: 4 * row, as: Int32.self))
      }
      outcome = try prepared.invoke(frame, constants)
      try check(outcome, prepared.call, out)
      rows.finish(row, outcome)
    }
    return outcome
  }

  /// Turns a failing result into a fault.
  private func check(
    _ outcome: PreparedCall.Outcome, _ call: PlainCall, _ output: PlainView
  ) throws(PlainFault) {
    let value = outcome.integer
    let expected: String
    switch call.returns {
    case .none, .value, .score: return
    case .status:
      guard value != 0 else { return }
      expected = "0 is success"
    case .statusNegative:
      guard value < 0 else { return }
      expected = "negative is failure"
    case .bytes:
      guard value != output.bytes else { return }
      expected = "\(output.bytes) bytes were to be written"
    case .count:
      guard value != output.count else { return }
      expected = "\(output.count) elements were to be written"
    }
    throw PlainFault("\(call.signature.symbol) returned \(value), but \(expected)")
  }
}

extension PlainCall {
  /// True when a call needs memory of its own: scratch space or converted tensors.
  var needsMemory: Bool {
    converts || bindings.contains { if case .scratch = $0 { true } else { false } }
  }
}
