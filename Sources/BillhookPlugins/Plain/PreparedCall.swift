internal import CLibFFI
internal import Glibc
internal import Synchronization

/// A plain function with its address, ready to be called from any thread.
///
/// Source: Green and others, *libffi* manual, "The Basics": argument slots have the declared type,
/// an integral result narrower than a register comes in an `ffi_arg`, and a `ffi_cif` keeps
/// pointers to its types.
///
/// Safety of `@unchecked`: everything is constant after `init`; a library is never unloaded.
final class PreparedCall: @unchecked Sendable {
  /// Where the bits of one argument come from.
  enum Source {
    /// Of the instance: a constant, null or a parameter.
    case constant
    case data(Int)
    case field(Int, PlainField)
    case integer(Int)
    case lossScale
    case element(Int)
    case scratch
  }

  /// One argument. `type` is nil for addresses; with `isAddress` the argument is the address of the
  /// value.
  struct Slot {
    var source: Source
    var type: PlainType?
    var isAddress: Bool
    var low: Int
    var high: Int
  }

  /// `ffi_prep_cif` is not safe on several threads.
  private static let preparation = Mutex<Void>(())

  let call: PlainCall
  let slots: [Slot]
  /// Which register each argument goes to; nil for more arguments than there are registers.
  private let registers: [Register]?
  private let address: UnsafeMutableRawPointer
  private let cif: UnsafeMutablePointer<ffi_cif>
  private let types: UnsafeMutablePointer<UnsafeMutablePointer<ffi_type>?>

  init(_ call: PlainCall, address: UnsafeMutableRawPointer) throws(PluginError) {
    self.call = call
    self.address = address
    slots = zip(call.signature.parameters, call.bindings).map(Self.slot)
    registers = Self.registers(call.signature)
    let count = slots.count
    cif = .allocate(capacity: 1)
    cif.initialize(to: ffi_cif())
    types = .allocate(capacity: max(count, 1))
    types.initialize(repeating: nil, count: max(count, 1))
    for (index, parameter) in call.signature.parameters.enumerated() {
      types[index] =
        if case .value(let type) = parameter.kind { Self.ffiType(type) } else { bh_ffi_pointer() }
    }
    let result = call.signature.result.map(Self.ffiType) ?? bh_ffi_void()
    let status = Self.preparation.withLock { [cif, types] _ in
      bh_ffi_prepare(cif, UInt32(count), result, types)
    }
    guard status == 0 else {
      throw .badSignature(
        signature: call.signature.description, reason: "libffi refuses it with status \(status)")
    }
  }

  deinit {
    cif.deallocate()
    types.deallocate()
  }

  private static func ffiType(_ type: PlainType) -> UnsafeMutablePointer<ffi_type> {
    switch type {
    case .float: bh_ffi_float()
    case .double: bh_ffi_double()
    default: bh_ffi_integer(Int32(type.byteCount), type.isSigned ? 1 : 0)
    }
  }

  private static func slot(_ parameter: PlainParameter, _ expression: PlainExpression) -> Slot {
    let isAddress = if case .address = expression { true } else { false }
    let source: Source =
      switch expression.target {
      case .null, .integerConstant, .constant, .parameter: .constant
      case .integer(let integer): .integer(integer.index)
      case .lossScale: .lossScale
      case .tensor(let tensor, .data): .data(tensor.index)
      case .tensor(let tensor, let field): .field(tensor.index, field)
      case .element(let tensor): .element(tensor.index)
      case .scratch: .scratch
      case .address: .constant
      }
    let isNumber = if case .value = parameter.kind { true } else { isAddress }
    let type = isNumber ? valueType(parameter) : nil
    let range = type?.integers ?? 0...0
    return Slot(
      source: source, type: type, isAddress: isAddress, low: range.lowerBound,
      high: range.upperBound)
  }

  /// The type of a number, or of what is pointed at.
  static func valueType(_ parameter: PlainParameter) -> PlainType? {
    switch parameter.kind {
    case .value(let type): type
    case .pointer(let type, _): type
    }
  }

  /// What a constant or parameter is in an argument's slot.
  static func bits(_ value: ParameterValue, _ type: PlainType?) -> UInt64 {
    switch (value, type) {
    case (.double(let number), .float?): UInt64(Float(number).bitPattern)
    case (.double(let number), _): number.bitPattern
    case (.int(let number), .float?): UInt64(Float(number).bitPattern)
    case (.int(let number), .double?): Double(number).bitPattern
    case (.int(let number), _): UInt64(bitPattern: number)
    case (.bool(let flag), _): flag ? 1 : 0
    default: 0
    }
  }

  // MARK: - Calling

  /// What the function returned, as its type says.
  struct Outcome {
    fileprivate var raw: UInt64 = 0
    fileprivate var type: PlainType?

    var integer: Int {
      guard let type else { return 0 }
      // libffi widens to a register; what is beyond the type is not the function's.
      switch type {
      case .int8: return Int(Int8(truncatingIfNeeded: raw))
      case .uint8: return Int(UInt8(truncatingIfNeeded: raw))
      case .int16: return Int(Int16(truncatingIfNeeded: raw))
      case .uint16: return Int(UInt16(truncatingIfNeeded: raw))
      case .int32, .int: return Int(Int32(truncatingIfNeeded: raw))
      case .uint32, .unsigned: return Int(UInt32(truncatingIfNeeded: raw))
      case .int64: return Int(Int64(bitPattern: raw))
      case .uint64, .size: return Int(exactly: raw) ?? .max
      case .float, .double: return 0
      }
    }

    var number: Double {
      switch type {
      case .float?: Double(Float(bitPattern: UInt32(truncatingIfNeeded: raw)))
      case .double?: Double(bitPattern: raw)
      default: Double(integer)
      }
    }

    var float: Float {
      if case .float? = type {
        Float(bitPattern: UInt32(truncatingIfNeeded: raw))
      } else {
        Float(number)
      }
    }
  }

  /// Calls the function once.
  ///
  /// - Parameter constants: One an argument, made by the instance.
  func invoke(
    _ frame: PlainFrame, _ constants: UnsafePointer<UInt64>
  ) throws(PlainFault) -> Outcome {
    // Values, their addresses for libffi, and the addresses that are arguments themselves.
    let count = slots.count
    let outcome: Result<UInt64, PlainFault> = withUnsafeTemporaryAllocation(
      of: UInt64.self, capacity: 3 * count + 1
    ) { memory in
      let values = memory.baseAddress!
      if let fault = fill(frame, constants, values) { return .failure(fault) }
      return .success(
        (values + 2 * count).withMemoryRebound(to: UnsafeMutableRawPointer?.self, capacity: count) {
          arguments in
          for index in 0..<count { arguments[index] = UnsafeMutableRawPointer(values + index) }
          var result: UInt64 = 0
          bh_ffi_call(cif, address, &result, arguments)
          return result
        })
    }
    return Outcome(raw: try outcome.get(), type: call.signature.result)
  }

  /// Calls the function once an element: the arguments are laid out once, and only the elements
  /// change.
  func invokeElements(
    _ frame: PlainFrame, _ constants: UnsafePointer<UInt64>, count elements: Int,
    into scores: UnsafeMutablePointer<Float>
  ) throws(PlainFault) {
    guard elements > 0 else { return }
    let count = slots.count
    let outcome: Result<Void, PlainFault> = withUnsafeTemporaryAllocation(
      of: UInt64.self, capacity: 3 * count + 1
    ) { memory in
      let values = memory.baseAddress!
      if let fault = fill(frame, constants, values) { return .failure(fault) }
      let type = call.signature.result
      if let registers, let type, type == .float || type == .double {
        run(frame, values, registers, type, count: elements, into: scores)
        return .success(())
      }
      let inputs: [(slot: Int, isDouble: Bool, data: UnsafePointer<Float>)] =
        slots.indices.compactMap { index in
          guard case .element(let tensor) = slots[index].source,
            let data = frame.views[tensor].data
          else { return nil }
          let place = slots[index].isAddress ? count + index : index
          return (
            place, slots[index].type == .double,
            UnsafePointer(data.assumingMemoryBound(to: Float.self))
          )
        }
      (values + 2 * count).withMemoryRebound(to: UnsafeMutableRawPointer?.self, capacity: count) {
        arguments in
        for index in 0..<count { arguments[index] = UnsafeMutableRawPointer(values + index) }
        var result: UInt64 = 0
        for element in 0..<elements {
          for input in inputs {
            let value = input.data[element]
            values[input.slot] =
              input.isDouble ? Double(value).bitPattern : UInt64(value.bitPattern)
          }
          bh_ffi_call(cif, address, &result, arguments)
          scores[element] = Outcome(raw: result, type: type).float
        }
      }
      return .success(())
    }
    try outcome.get()
  }

  // MARK: - In registers

  private enum Register {
    case integer(Int)
    case number(Int)
  }

  /// Nil where the arguments do not fit, or where the calling convention is another.
  private static func registers(_ signature: PlainSignature) -> [Register]? {
    guard bh_ffi_uses_registers() == 1 else { return nil }
    var integers = 0
    var numbers = 0
    let registers = signature.parameters.map { parameter -> Register in
      if case .value(let type) = parameter.kind, [.float, .double].contains(type) {
        numbers += 1
        return .number(numbers - 1)
      }
      integers += 1
      return .integer(integers - 1)
    }
    return integers <= BH_FFI_INTEGERS && numbers <= BH_FFI_NUMBERS ? registers : nil
  }

  /// Calls the function once an element: from 3 ns on, where libffi takes 30.
  ///
  /// - Parameter values: As ``fill(_:_:_:)`` wrote them.
  private func run(
    _ frame: PlainFrame, _ values: UnsafeMutablePointer<UInt64>, _ places: [Register],
    _ result: PlainType, count: Int, into scores: UnsafeMutablePointer<Float>
  ) {
    var registers = bh_ffi_registers()
    withUnsafeMutablePointer(to: &registers) { registers in
      let base = UnsafeMutableRawPointer(registers)
      let numbers = base + offset(of: \bh_ffi_registers.numbers)
      var inputs: [bh_ffi_input] = []
      for (index, place) in places.enumerated() {
        let register =
          switch place {
          case .integer(let number): base + 8 * number
          case .number(let number): numbers + 8 * number
          }
        register.storeBytes(of: values[index], as: UInt64.self)
        switch place {
        case .integer: registers.pointee.integer_count += 1
        case .number: registers.pointee.number_count += 1
        }
        guard case .element(let tensor) = slots[index].source, let data = frame.views[tensor].data
        else { continue }
        inputs.append(
          bh_ffi_input(
            data: UnsafePointer(data.assumingMemoryBound(to: Float.self)),
            slot: slots[index].isAddress
              ? UnsafeMutableRawPointer(values + slots.count + index) : register,
            is_double: slots[index].type == .double ? 1 : 0))
      }
      bh_ffi_run_elements(
        address, registers, inputs, Int32(inputs.count), result == .double ? 1 : 0, scores,
        Int64(count))
    }
  }

  /// Writes the bits of each argument; those of an address's target stand `slots.count` further.
  private func fill(
    _ frame: PlainFrame, _ constants: UnsafePointer<UInt64>, _ values: UnsafeMutablePointer<UInt64>
  ) -> PlainFault? {
    let count = slots.count
    return slots.withUnsafeBufferPointer { slots in
      for index in 0..<count {
        let slot = slots[index]
        var bits: UInt64 = 0
        switch slot.source {
        case .constant: bits = constants[index]
        case .data(let tensor): bits = UInt64(UInt(bitPattern: frame.views[tensor].data))
        case .scratch: bits = UInt64(UInt(bitPattern: frame.scratch[index]))
        case .lossScale:
          bits = Self.bits(.double(frame.lossScale), slot.type)
        case .element(let tensor):
          guard let data = frame.views[tensor].data else { break }
          bits = Self.bits(.double(Double(data.load(as: Float.self))), slot.type)
        case .field(let tensor, .shape):
          bits = UInt64(UInt(bitPattern: frame.views[tensor].shape))
        case .field(let tensor, .strides):
          bits = UInt64(UInt(bitPattern: frame.views[tensor].strides))
        case .integer, .field:
          let value = integer(slot.source, frame)
          guard value >= slot.low, value <= slot.high else {
            let parameter = call.signature.parameters[index]
            return PlainFault(
              "\(value), which is \"\(call.bindingTexts[index])\", does not fit argument "
                + "\"\(parameter.name)\" (\(slot.type?.rawValue ?? ""))")
          }
          bits = UInt64(bitPattern: Int64(value))
        }
        if slot.isAddress {
          values[count + index] = bits
          bits = UInt64(UInt(bitPattern: values + count + index))
        }
        values[index] = bits
      }
      return nil
    }
  }

  @inline(__always)
  private func integer(_ source: Source, _ frame: PlainFrame) -> Int {
    switch source {
    case .integer(let index): frame.integers[index]
    case .field(let tensor, .count): frame.views[tensor].count
    case .field(let tensor, .rows): frame.views[tensor].rows
    case .field(let tensor, .cols): frame.views[tensor].cols
    case .field(let tensor, .bytes): frame.views[tensor].bytes
    case .field(let tensor, .ndim): frame.views[tensor].ndim
    default: 0
    }
  }
}
