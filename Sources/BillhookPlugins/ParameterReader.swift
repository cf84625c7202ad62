internal import BillhookSDK

/// Checks and copies one declared parameter.
struct ParameterReader {
  let module: ModuleReader
  let place: String

  func parameter(_ pointer: UnsafeRawPointer) throws(PluginError) -> ParameterDescriptor {
    let size = pointer.load(as: UInt32.self)
    try module.requireSize(size, bh_param.self, "\(place).struct_size")
    let raw = copyStruct(bh_param.self, from: pointer, theirSize: size, zero: bh_param())
    let key = try module.text(raw.key, "\(place).key")
    try require(
      ModuleReader.isKey(key),
      "key", "\"\(key)\"", "made of a-z, 0-9, \"-\" and \"_\"")

    let kind = try kind(raw.type)
    try require(
      !raw.min.isNaN && !raw.max.isNaN && raw.min <= raw.max, "min", plain(raw.min),
      "at most max, \(plain(raw.max))")
    let choices = try choices(raw, kind)
    let isRequired = raw.flags & BH_PARAM_REQUIRED != 0
    let descriptor = ParameterDescriptor(
      key: key, kind: kind, doc: try module.text(raw.doc, "\(place).doc", allowsLines: true),
      unit: try module.optionalText(raw.unit, "\(place).unit", limit: ModuleReader.nameLimit),
      defaultValue: isRequired
        ? Self.emptyValue(kind) : try value(raw.def, raw.type, kind, choices: choices),
      range: raw.min...raw.max, choices: choices, isRequired: isRequired)
    if !isRequired {
      do {
        _ = try ParameterCheck(plugin: "", parameter: descriptor).checked(descriptor.defaultValue)
      } catch {
        throw module.rejection(
          "BH-27", "\(place).def", "\(descriptor.defaultValue)", descriptor.expectation)
      }
    }
    return descriptor
  }

  private func kind(_ type: UInt32) throws(PluginError) -> ParameterDescriptor.Kind {
    switch Int32(truncatingIfNeeded: type) {
    case BH_TYPE_I64: .int
    case BH_TYPE_F64: .double
    case BH_TYPE_BOOL: .bool
    case BH_TYPE_CHOICE: .choice
    case BH_TYPE_STRING: .string
    case BH_TYPE_I64_LIST: .ints
    case BH_TYPE_F64_LIST: .doubles
    default:
      throw module.rejection(
        "BH-27", "\(place).type", "\(type)", "\(BH_TYPE_I64) to \(BH_TYPE_F64_LIST)")
    }
  }

  private func choices(
    _ raw: bh_param, _ kind: ParameterDescriptor.Kind
  ) throws(PluginError) -> [String] {
    guard kind == .choice else { return [] }
    try require(
      (1...ModuleReader.parameterLimit).contains(raw.n_choices), "n_choices", "\(raw.n_choices)",
      "1 to \(ModuleReader.parameterLimit)")
    var choices: [String] = []
    for index in 0..<Int(raw.n_choices) {
      let choice = try module.text(raw.choices?[index], "\(place).choices[\(index)]")
      try require(
        !choices.contains(choice), "choices[\(index)]", "\"\(choice)\" for the second time",
        "unique")
      choices.append(choice)
    }
    return choices
  }

  private func value(
    _ raw: bh_value, _ type: UInt32, _ kind: ParameterDescriptor.Kind, choices: [String]
  ) throws(PluginError) -> ParameterValue {
    try require(raw.type == type, "def.type", "\(raw.type)", "the parameter's type, \(type)")
    switch kind {
    case .int: return .int(raw.u.i64)
    case .double: return .double(raw.u.f64)
    case .bool:
      try require(raw.u.i64 == 0 || raw.u.i64 == 1, "def", "\(raw.u.i64)", "0 or 1")
      return .bool(raw.u.i64 == 1)
    case .choice:
      try require(
        (0..<Int64(choices.count)).contains(raw.u.i64), "def", "\(raw.u.i64)",
        "an index below n_choices, \(choices.count)")
      return .string(choices[Int(raw.u.i64)])
    case .string: return .string(try module.optionalText(raw.u.str, "\(place).def"))
    case .ints:
      let count = try listCount(raw, isNull: raw.u.i64s == nil)
      return .ints((0..<count).map { raw.u.i64s[$0] })
    case .doubles:
      let count = try listCount(raw, isNull: raw.u.f64s == nil)
      return .doubles((0..<count).map { raw.u.f64s[$0] })
    }
  }

  private func listCount(_ raw: bh_value, isNull: Bool) throws(PluginError) -> Int {
    try require(
      raw.count <= ModuleReader.parameterLimit && (raw.count == 0 || !isNull), "def.count",
      "\(raw.count)\(isNull ? " at null" : "")",
      "at most \(ModuleReader.parameterLimit), with values")
    return Int(raw.count)
  }

  private static func emptyValue(_ kind: ParameterDescriptor.Kind) -> ParameterValue {
    switch kind {
    case .int: .int(0)
    case .double: .double(0)
    case .bool: .bool(false)
    case .choice, .string: .string("")
    case .ints: .ints([])
    case .doubles: .doubles([])
    }
  }

  private func require(
    _ condition: Bool, _ field: String, _ found: String, _ expected: String
  ) throws(PluginError) {
    try module.require(condition, "BH-27", "\(place).\(field)", found, expected)
  }
}
