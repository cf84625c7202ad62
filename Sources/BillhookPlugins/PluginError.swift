/// A reason why a plugin cannot be loaded or did not do its work.
public enum PluginError: Error, Equatable, CustomStringConvertible {
  // Files
  case cannotRead(path: String, reason: String)
  case pathTooLong(length: Int, limit: Int)
  case notALibrary(path: String, reason: String)
  case cannotLoad(path: String, reason: String)
  case changedSinceLoaded(path: String)
  /// The library breaks a rule of docs/abi.md.
  case rejected(path: String, rule: String, field: String, found: String, expected: String)

  // Choosing
  case unknownPlugin(name: String, hook: PluginDescriptor.Hook, nearest: [String], known: [String])
  case ambiguousPlugin(name: String, hook: PluginDescriptor.Hook, ids: [String])
  case wrongHook(
    plugin: String, found: PluginDescriptor.Hook, expected: PluginDescriptor.Hook)
  case duplicatePlugin(plugin: String, path: String, first: String)

  // Parameters
  case unknownParameter(plugin: String, key: String, nearest: [String], known: [String])
  case missingParameter(plugin: String, key: String, expected: String)
  case wrongParameterType(plugin: String, key: String, found: String, expected: String)
  case parameterOutOfRange(plugin: String, key: String, found: String, expected: String)
  case unknownChoice(
    plugin: String, key: String, found: String, choices: [String], nearest: [String])

  // Calls
  case failed(plugin: String, function: String, layer: String?, status: Int32, message: String?)
  case changedFloatingPoint(plugin: String, function: String, before: UInt64, after: UInt64)
  /// A function about state that the plugin does not have.
  case noState(plugin: String, function: String)
  case foreignState(plugin: String, found: String)
  case missingStatistic(plugin: String, layer: String, statistic: String)
  case unsupportedGranularity(plugin: String, found: Granularity, offered: [Granularity])
  case notChunked(plugin: String, missing: String)
  case noGradient(plugin: String, layer: String, formula: String)
  case wrongTensor(
    plugin: String, function: String, argument: String, found: String, expected: String)
  case wrongResult(
    plugin: String, function: String, layer: String?, result: String, found: String,
    expected: String)
}

extension PluginError {
  public var description: String {
    switch self {
    case .cannotRead(let path, let reason):
      "Cannot read the plugin \"\(path)\": \(reason). Check the path and its permissions."
    case .pathTooLong(let length, let limit):
      "The path of a plugin has \(length) bytes but may have \(limit); move the file."
    case .notALibrary(let path, let reason):
      "\"\(path)\" is not a shared library for this machine: \(reason)."
    case .cannotLoad(let path, let reason):
      "Cannot load the plugin \"\(path)\": \(reason)."
    case .changedSinceLoaded(let path):
      """
      The plugin \"\(path)\" was rebuilt after this process loaded it, and a library is never \
      unloaded; start again to use the new one.
      """
    case .rejected(let path, let rule, let field, let found, let expected):
      "The plugin \"\(path)\" breaks rule \(rule): \"\(field)\" is \(found) but must be \(expected)."
    case .unknownPlugin(let name, let hook, let nearest, let known):
      "There is no \(hook.rawValue) \"\(name)\"; "
        + (nearest.isEmpty ? "" : "did you mean \(quoted(nearest, "or"))? ")
        + (known.isEmpty
          ? "no \(hook.rawValue) was found at all."
          : "\(nearest.isEmpty ? "known" : "Known") are \(quoted(known, "and")).")
    case .ambiguousPlugin(let name, let hook, let ids):
      """
      "\(name)" can mean more than one \(hook.rawValue): \(quoted(ids, "or")). Write the whole id, \
      or FILE.so#ID for one in a file.
      """
    case .wrongHook(let plugin, let found, let expected):
      "Plugin \"\(plugin)\" is a \(found.rawValue) but a \(expected.rawValue) is needed here."
    case .duplicatePlugin(let plugin, let path, let first):
      "\"\(path)\" has a plugin \"\(plugin)\" again; the one in \"\(first)\" is used."
    case .unknownParameter, .missingParameter, .wrongParameterType, .parameterOutOfRange,
      .unknownChoice:
      parameterDescription
    case .failed, .changedFloatingPoint, .noState, .foreignState, .missingStatistic,
      .unsupportedGranularity, .notChunked, .noGradient, .wrongTensor, .wrongResult:
      callDescription
    }
  }

  private var parameterDescription: String {
    switch self {
    case .unknownParameter(let plugin, let key, let nearest, let known):
      "Plugin \"\(plugin)\" has no parameter \"\(key)\"; "
        + (nearest.isEmpty ? "" : "did you mean \(quoted(nearest, "or"))? ")
        + (known.isEmpty
          ? "it has none." : "\(nearest.isEmpty ? "it" : "It") has \(quoted(known, "and")).")
    case .missingParameter(let plugin, let key, let expected):
      "Plugin \"\(plugin)\" needs the parameter \"\(key)\": \(expected)."
    case .wrongParameterType(let plugin, let key, let found, let expected),
      .parameterOutOfRange(let plugin, let key, let found, let expected):
      "Parameter \"\(key)\" of plugin \"\(plugin)\" is \(found) but must be \(expected)."
    case .unknownChoice(let plugin, let key, let found, let choices, let nearest):
      "Parameter \"\(key)\" of plugin \"\(plugin)\" is \"\(found)\" but must be "
        + "\(quoted(choices, "or"))"
        + (nearest.isEmpty ? "." : "; did you mean \(quoted(nearest, "or"))?")
    default: ""
    }
  }

  private var callDescription: String {
    switch self {
    case .failed(let plugin, let function, let layer, let status, let message):
      if let message {
        "Plugin \"\(plugin)\" failed in \"\(function)\"\(on(layer)): \(message) (status \(status))."
      } else {
        """
        Plugin "\(plugin)" failed in "\(function)"\(on(layer)): it returned \(status) without a \
        message.
        """
      }
    case .changedFloatingPoint(let plugin, let function, let before, let after):
      """
      Plugin "\(plugin)" breaks rule BH-08 in "\(function)": the floating-point mode was \
      0x\(String(before, radix: 16)) and is 0x\(String(after, radix: 16)) after it (it was set \
      back). Build the plugin without -ffast-math.
      """
    case .noState(let plugin, let function):
      "Plugin \"\(plugin)\" has no \"\(function)\"; it keeps nothing from one call to the next."
    case .foreignState(let plugin, let found):
      """
      A state that plugin "\(found)" saved cannot be given to plugin "\(plugin)"; give it one of \
      its own.
      """
    case .missingStatistic(let plugin, let layer, let statistic):
      """
      Plugin "\(plugin)" needs "\(statistic)" of layer "\(layer)", which was not measured; give \
      calibration data.
      """
    case .unsupportedGranularity(let plugin, let found, let offered):
      """
      Plugin "\(plugin)" does not score by \(found.rawValue); it scores by \
      \(offered.map(\.rawValue).joined(separator: ", ")).
      """
    case .notChunked(let plugin, let missing):
      "Plugin \"\(plugin)\" cannot score piece by piece: it \(missing). Score whole layers."
    case .noGradient(let plugin, let layer, let formula):
      """
      A network cannot be trained through plugin "\(plugin)": it stores "\(layer)" by the formula \
      "\(formula)" and has no function "fake_quant_grad". Train first and quantize afterwards, or \
      choose a quantizer that has it.
      """
    case .wrongTensor(let plugin, let function, let argument, let found, let expected):
      """
      "\(argument)" for "\(function)" of plugin "\(plugin)" is \(found) but must be \(expected).
      """
    case .wrongResult(let plugin, let function, let layer, let result, let found, let expected):
      """
      Plugin "\(plugin)" gave a wrong result in "\(function)"\(on(layer)): \(result) is \(found) \
      but must be \(expected).
      """
    default: ""
    }
  }
}

private func on(_ layer: String?) -> String { layer.map { " on layer \"\($0)\"" } ?? "" }

/// `"a", "b" or "c"`.
private func quoted(_ names: [String], _ conjunction: String) -> String {
  let quoted = names.map { "\"\($0)\"" }
  guard quoted.count > 1 else { return quoted.joined() }
  return quoted.dropLast().joined(separator: ", ") + " \(conjunction) " + quoted[quoted.count - 1]
}
