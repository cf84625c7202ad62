internal import BillhookSDK
internal import BillhookTensor

/// Checks one given value against its declaration.
struct ParameterCheck {
  let plugin: String
  let parameter: ParameterDescriptor

  /// The value in the declared kind: a whole number where a number is wanted, a single number where
  /// a list is.
  func checked(_ given: ParameterValue) throws(PluginError) -> ParameterValue {
    switch (parameter.kind, given) {
    case (.int, .int(let value)):
      try checkRange(Double(value))
      return given
    case (.double, .double(let value)):
      try checkRange(value)
      return given
    case (.double, .int(let value)):
      try checkRange(Double(value))
      return .double(Double(value))
    case (.bool, .bool): return given
    case (.choice, .string(let value)):
      guard parameter.choices.contains(value) else {
        throw .unknownChoice(
          plugin: plugin, key: parameter.key, found: value, choices: parameter.choices,
          nearest: parameter.choices.count > 3 ? nearestNames(to: value, in: parameter.choices) : []
        )
      }
      return given
    case (.string, .string(let value)):
      // C would see only what is before it.
      guard !value.utf8.contains(0) else { throw wrongType("text with a zero byte") }
      return given
    // "--param name=5" cannot know that 5 is meant as text.
    case (.string, .int), (.string, .double), (.string, .bool):
      return .string(given.description)
    case (.ints, .ints(let values)):
      for value in values { try checkRange(Double(value)) }
      return given
    case (.ints, .int(let value)): return try checked(.ints([value]))
    case (.doubles, .doubles(let values)):
      for value in values { try checkRange(value) }
      return given
    case (.doubles, .ints(let values)): return try checked(.doubles(values.map { Double($0) }))
    case (.doubles, .double(let value)): return try checked(.doubles([value]))
    case (.doubles, .int(let value)): return try checked(.doubles([Double(value)]))
    default: throw wrongType(Self.spoken(given))
    }
  }

  private func checkRange(_ value: Double) throws(PluginError) {
    // A NaN is in no range.
    guard value.isFinite, parameter.range.contains(value) else {
      throw .parameterOutOfRange(
        plugin: plugin, key: parameter.key, found: plain(value), expected: parameter.expectation)
    }
  }

  private func wrongType(_ found: String) -> PluginError {
    .wrongParameterType(
      plugin: plugin, key: parameter.key, found: found, expected: parameter.expectation)
  }

  private static func spoken(_ value: ParameterValue) -> String {
    switch value {
    case .string(let text): "the text \"\(text)\""
    case .bool(let value): "\(value)"
    case .int, .double: "the number \(value)"
    case .ints, .doubles: "the list \(value)"
    }
  }
}

/// Parameter values in C's form; the memory lives as long as this.
final class CParameters {
  let values: UnsafeMutablePointer<bh_value>
  private var owned: [UnsafeMutableRawPointer] = []

  init(_ given: [(parameter: ParameterDescriptor, value: ParameterValue)]) {
    values = .allocate(capacity: max(given.count, 1))
    for (index, entry) in given.enumerated() {
      values[index] = value(entry.value, entry.parameter)
    }
  }

  deinit {
    values.deallocate()
    for pointer in owned { pointer.deallocate() }
  }

  private func value(_ value: ParameterValue, _ parameter: ParameterDescriptor) -> bh_value {
    var result = bh_value()
    result.count = 1
    switch value {
    case .int(let number):
      result.type = UInt32(BH_TYPE_I64)
      result.u.i64 = number
    case .double(let number):
      result.type = UInt32(BH_TYPE_F64)
      result.u.f64 = number
    case .bool(let flag):
      result.type = UInt32(BH_TYPE_BOOL)
      result.u.i64 = flag ? 1 : 0
    case .string(let text) where parameter.kind == .choice:
      result.type = UInt32(BH_TYPE_CHOICE)
      result.u.i64 = Int64(parameter.choices.firstIndex(of: text) ?? 0)
    case .string(let text):
      result.type = UInt32(BH_TYPE_STRING)
      let copy = cString(text)
      owned.append(UnsafeMutableRawPointer(copy))
      result.u.str = UnsafePointer(copy)
    case .ints(let numbers):
      result.type = UInt32(BH_TYPE_I64_LIST)
      result.count = UInt32(numbers.count)
      result.u.i64s = copied(numbers)
    case .doubles(let numbers):
      result.type = UInt32(BH_TYPE_F64_LIST)
      result.count = UInt32(numbers.count)
      result.u.f64s = copied(numbers)
    }
    return result
  }

  private func copied<T>(_ numbers: [T]) -> UnsafePointer<T>? {
    guard !numbers.isEmpty else { return nil }
    let copy = UnsafeMutableBufferPointer<T>.allocate(capacity: numbers.count)
    _ = copy.initialize(from: numbers)
    owned.append(UnsafeMutableRawPointer(copy.baseAddress!))
    return UnsafePointer(copy.baseAddress!)
  }
}
