/// Checks one call before any library is opened: each argument against what it is bound to, and
/// that every result has a place.
struct PlainBindingCheck {
  let plugin: PlainPlugin
  let call: PlainCall

  static func check(_ plugin: PlainPlugin) throws(PluginError) {
    for call in plugin.calls { try PlainBindingCheck(plugin: plugin, call: call).run() }
  }

  private func run() throws(PluginError) {
    for (index, parameter) in call.signature.parameters.enumerated() {
      if let reason = fault(parameter, call.bindings[index]) {
        throw .badBinding(
          function: call.signature.symbol, argument: parameter.name,
          binding: call.bindingTexts[index], reason: reason)
      }
    }
    try checkModes()
    try checkResult()
    try checkOutputs()
  }

  // MARK: - One argument

  private func fault(_ parameter: PlainParameter, _ expression: PlainExpression) -> String? {
    switch (parameter.kind, expression) {
    case (.pointer, .null): nil
    case (.value, .null): "null is a pointer, and the argument is \(parameter.text)"
    case (.pointer(let type, let isConstant), .tensor(let tensor, .data)):
      data(tensor, type, isConstant: isConstant)
    case (.pointer(let type, let isConstant), .tensor(let tensor, .shape)),
      (.pointer(let type, let isConstant), .tensor(let tensor, .strides)):
      if let fault = unknown(tensor) {
        fault
      } else if tensor.isRow {
        "a row has no shape of its own"
      } else if !isConstant || type?.isSame(as: .int64) != true {
        "it is const int64_t*, and the argument is \(parameter.text)"
      } else {
        nil
      }
    case (.pointer(let type, let isConstant), .address(let inner)):
      if !isConstant {
        "the address of a number is an input: declare the argument const"
      } else if let type {
        scalar(inner, type)
      } else {
        "void* says nothing of the number's size: declare its type"
      }
    case (.pointer(_, let isConstant), .scratch):
      isConstant ? "scratch memory is written, and the argument is const" : nil
    case (.value, .tensor(_, .data)), (.value, .tensor(_, .shape)), (.value, .tensor(_, .strides)),
      (.value, .scratch):
      "it is an address, and the argument is \(parameter.text)"
    case (.value, .address): "it is an address, and the argument is \(parameter.text)"
    case (.pointer, _):
      "it is a number, and the argument is \(parameter.text); \"&\" before it takes its address"
    case (.value(let type), _): scalar(expression, type)
    }
  }

  private func data(_ tensor: PlainTensor, _ type: PlainType?, isConstant: Bool) -> String? {
    let role = call.role
    guard let elements = role.inputs[tensor] ?? role.outputs[tensor] else { return unknown(tensor) }
    let isInput = role.inputs[tensor] != nil
    if isInput, !isConstant {
      return "it is an input, and the argument is not const: declare it const if it only reads"
    }
    if !isInput, isConstant { return "it is an output, and the argument is const" }
    guard let elements = elements ?? integerType else {
      // A block format: bytes that only the library understands.
      guard type == nil || type?.byteCount == 1 else {
        return "it holds packed bytes: declare it void*, not \(type?.rawValue ?? "")*"
      }
      return nil
    }
    guard let type else {
      return "void* says nothing of its elements, which are \(elements.rawValue): declare that"
    }
    if type.isSame(as: elements) { return nil }
    let pairs: [(PlainType, PlainType)] = [(.float, .double), (.int32, .int64)]
    guard pairs.contains(where: { $0.0.isSame(as: elements) && $0.1.isSame(as: type) }) else {
      return "its elements are \(elements.rawValue), which are not converted to \(type.rawValue)"
    }
    guard call.converts else {
      return "its elements are \(elements.rawValue) and the argument points at \(type.rawValue); "
        + "\"convert\": true converts them"
    }
    return tensor == .lossSum || tensor == .lossWeight ? "it is not converted" : nil
  }

  /// The type of `q` and `zero_point`; nil for a block format.
  private var integerType: PlainType? {
    plugin.layout.map { $0.isSigned ? .int8 : .uint8 }
  }

  private func unknown(_ tensor: PlainTensor) -> String? {
    guard call.role.inputs[tensor] == nil, call.role.outputs[tensor] == nil else { return nil }
    let known = PlainTensor.allCases.filter {
      call.role.inputs[$0] != nil || call.role.outputs[$0] != nil
    }
    return "a function for \"\(call.role.rawValue)\" has no \"\(tensor.name)\"; it has "
      + known.map { "\"\($0.name)\"" }.joined(separator: ", ")
  }

  private func scalar(_ expression: PlainExpression, _ type: PlainType) -> String? {
    switch expression {
    case .integerConstant(let value):
      return type.isFloatingPoint || type.integers.contains(value)
        ? nil : "\(value) does not fit \(type.rawValue)"
    case .constant(let value):
      return type.isFloatingPoint
        ? nil : "\(plain(value)) is no whole number, and the argument is \(type.rawValue)"
    case .parameter(let key):
      guard let parameter = plugin.parameters.first(where: { $0.key == key }) else {
        let keys = plugin.parameters.map { "\"\($0.key)\"" }.joined(separator: ", ")
        return "\"params\" declares no \"\(key)\""
          + (keys.isEmpty ? "; it declares none" : "; it declares \(keys)")
      }
      switch parameter.kind {
      case .double:
        return type.isFloatingPoint
          ? nil : "parameter \"\(key)\" is f64, and the argument is \(type.rawValue)"
      case .int, .bool:
        return type.isFloatingPoint
          ? "parameter \"\(key)\" is a whole number, and the argument is \(type.rawValue)" : nil
      default: return "parameter \"\(key)\" is neither f64, i64 nor bool"
      }
    case .lossScale:
      if call.role != .loss { return "only a loss has it" }
      return type.isFloatingPoint ? nil : "it is a fraction, and the argument is \(type.rawValue)"
    case .integer(let integer):
      guard call.role.integers.contains(integer) else {
        return "a function for \"\(call.role.rawValue)\" has none"
      }
      return type.isFloatingPoint
        ? "it is a whole number, and the argument is \(type.rawValue)" : nil
    case .tensor(let tensor, let field):
      if let fault = unknown(tensor) { return fault }
      if tensor.isRow, field != .count, field != .bytes {
        return "a row has only data, count and bytes"
      }
      return type.isFloatingPoint
        ? "it is a whole number, and the argument is \(type.rawValue)" : nil
    case .element(let tensor):
      guard call.role.elementInputs.contains(tensor) else {
        return "a function for \"\(call.role.rawValue)\" is not called once an element"
          + (call.role == .scorer ? " of \"\(tensor.name)\"" : "")
      }
      return type.isFloatingPoint
        ? nil : "an element is a fraction, and the argument is \(type.rawValue)"
    case .null, .address, .scratch: return "it is no number"
    }
  }

  // MARK: - The whole call

  private func checkModes() throws(PluginError) {
    guard call.mode == .elements else { return }
    for (index, binding) in call.bindings.enumerated() {
      switch binding.target {
      case .element, .null, .integerConstant, .constant, .parameter, .integer(.seed), .scratch:
        continue
      default:
        throw .badBinding(
          function: call.signature.symbol, argument: call.signature.parameters[index].name,
          binding: call.bindingTexts[index],
          reason: "a function that is called once an element gets only elements and constants")
      }
    }
  }

  private func checkResult() throws(PluginError) {
    let returns = call.returns
    guard call.role.returns.contains(returns) else {
      let choices = call.role.returns.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
      throw incomplete(
        "\"returns\" is \"\(returns.rawValue)\", which a function for \"\(call.role.rawValue)\" "
          + "does not; it may be \(choices)")
    }
    let result = call.signature.result
    let isRight =
      switch returns {
      case .none: true
      case .status, .bytes, .count: result.map { !$0.isFloatingPoint } ?? false
      case .statusNegative: result.map { !$0.isFloatingPoint && $0.isSigned } ?? false
      case .value, .score: result?.isFloatingPoint ?? false
      }
    guard isRight else {
      throw incomplete(
        "\"returns\" is \"\(returns.rawValue)\", which is no \(result?.rawValue ?? "void")")
    }
  }

  private func checkOutputs() throws(PluginError) {
    func bound(_ tensor: PlainTensor) -> Int {
      call.bindings.filter { $0.data == tensor }.count
    }
    func one(_ what: String, _ places: [(String, Int)]) throws(PluginError) {
      let count = places.reduce(0) { $0 + $1.1 }
      guard count != 1 else { return }
      throw incomplete(
        count == 0
          ? "nothing writes \(what): bind " + places.map(\.0).joined(separator: " or ")
          : "\(what) is written \(count) times: keep one of "
            + places.map(\.0).joined(separator: " and "))
    }
    let main = call.role.main.output
    let isByRow = call.mode == .rows
    let rowOut: [(String, Int)] = isByRow || bound(.rowOut) > 0 ? [("row.out", bound(.rowOut))] : []
    switch call.role {
    case .scorer:
      try one(
        "the scores",
        [
          ("\"returns\": \"score\"", call.returns == .score ? 1 : 0),
          ("scores.data", bound(.scores)),
        ]
          + rowOut)
      if call.returns == .score, call.mode == .whole {
        throw incomplete("one result cannot score many: bind an element or a row")
      }
    case .loss:
      try one(
        "the loss",
        [("\"returns\": \"value\"", call.returns == .value ? 1 : 0), ("loss.sum", bound(.lossSum))])
      try one("the gradient", [("grad_student.data", bound(.gradStudent))] + rowOut)
    case .calibrate: try one("the scale", [("scale.data", bound(.scale))])
    case .quantize: try one("the packed values", [("q.data", bound(.q))] + rowOut)
    case .dequantize: try one("the values", [("weight.data", bound(.weight))] + rowOut)
    }
    guard call.mode == .elements || call.usesData(call.role.main.input) || call.usesData(.row)
    else {
      throw incomplete("nothing reads \(call.role.main.input.name).data or row.data")
    }
    if isByRow, bound(main) > 0 {
      throw incomplete(
        "it is called once a row, and would write \(main.name).data each time: bind row.out")
    }
  }

  private func incomplete(_ reason: String) -> PluginError {
    .badPlainFunction(function: call.signature.symbol, reason: reason)
  }
}
