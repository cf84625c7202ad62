/// A reason why a plugin cannot be loaded or did not do its work.
public enum PluginError: Error, Equatable, Codable, CustomStringConvertible {
  // Files
  case cannotRead(path: String, reason: String)
  case pathTooLong(length: Int, limit: Int)
  case notALibrary(path: String, reason: String)
  case cannotLoad(path: String, reason: String)
  case changedWhileRead(path: String)
  case writableByOthers(path: String, place: String)
  case cannotStore(path: String, reason: String)
  /// The library breaks a rule of docs/abi.md.
  case rejected(path: String, rule: String, field: String, found: String, expected: String)

  // Plain functions
  case badSignature(signature: String, reason: String)
  case badBinding(function: String, argument: String, binding: String, reason: String)
  case badPlainFunction(function: String, reason: String)
  case badInlineForm(text: String, reason: String)
  case badManifest(path: String, place: String, found: String, expected: String)
  case libraryNotFound(name: String)
  case wrongDigest(path: String, found: String, expected: String)
  case missingFunction(library: String, function: String, found: String, nearest: [String])
  /// The library's debug information declares the function in another way.
  case contradictsDebugInformation(signature: String, reason: String)
  case failedProbe(signature: String, count: Int, reason: String)

  // Trust
  case badPolicy(path: String, reason: String)
  case untrusted(path: String, sha256: String, reason: String)
  case isolationNotGranted(path: String, wanted: Isolation, granted: Isolation)
  case quarantined(path: String, sha256: String, reason: String, date: String)
  case notQuarantined(name: String)
  case notInTrustFile(name: String)
  case onlyBuiltIns(path: String)
  case notAllowed(plugin: String, pattern: String)

  // Workers
  case noWorker(executable: String, reason: String)
  case weakIsolation(plugin: String, missing: String, found: String)
  case searchesOutside(path: String, folder: String)
  case crashed(plugin: String, function: String, layer: String?, how: String)
  case timedOut(plugin: String, function: String, layer: String?, seconds: Double)
  case wroteOutside(plugin: String, function: String, layer: String?)
  case lostState(plugin: String)
  case requiresInProcess(plugin: String, path: String)

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
  case changedFloatingPoint(
    plugin: String, function: String, layer: String?, before: UInt64, after: UInt64)
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
    case .changedWhileRead(let path):
      "The plugin \"\(path)\" changed while it was read; try again when it is built."
    case .writableByOthers(let path, let place):
      """
      The plugin \"\(path)\" is not used, because every user can change \"\(place)\"; take \
      that right away (chmod o-w).
      """
    case .cannotStore(let path, let reason):
      "Cannot write \"\(path)\": \(reason). Plugins need a folder of this user's (XDG_CACHE_HOME)."
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
    case .badSignature, .badBinding, .badPlainFunction, .badInlineForm, .badManifest,
      .libraryNotFound, .wrongDigest, .missingFunction, .contradictsDebugInformation, .failedProbe:
      plainDescription
    case .unknownParameter, .missingParameter, .wrongParameterType, .parameterOutOfRange,
      .unknownChoice:
      parameterDescription
    case .badPolicy, .untrusted, .isolationNotGranted, .quarantined, .notQuarantined,
      .notInTrustFile, .onlyBuiltIns, .notAllowed:
      trustDescription
    case .noWorker, .weakIsolation, .searchesOutside, .crashed, .timedOut, .wroteOutside,
      .lostState, .requiresInProcess:
      workerDescription
    case .failed, .changedFloatingPoint, .noState, .foreignState, .missingStatistic,
      .unsupportedGranularity, .notChunked, .noGradient, .wrongTensor, .wrongResult:
      callDescription
    }
  }

  private var plainDescription: String {
    switch self {
    case .badSignature(let signature, let reason):
      "The signature \"\(signature)\" cannot be called: \(ended(reason))"
    case .badBinding(let function, let argument, let binding, let reason):
      binding.isEmpty
        ? "Argument \"\(argument)\" of \"\(function)\" is not bound: \(ended(reason))"
        : "Argument \"\(argument)\" of \"\(function)\" cannot be \"\(binding)\": \(ended(reason))"
    case .badPlainFunction(let function, let reason):
      "The function \"\(function)\" cannot be used: \(reason)."
    case .badInlineForm(let text, let reason):
      """
      "\(text)" is no plain function: \(ended(reason)) Write ffi:LIBRARY:SIGNATURE|BINDINGS, as in \
      "ffi:libm.so.6:float fabsf(float)".
      """
    case .badManifest(let path, let place, let found, let expected):
      "In \"\(path)\" \"\(place)\" is \(found) but must be \(expected)."
    case .libraryNotFound(let name):
      """
      There is no library "\(name)" in the dynamic loader's cache or in the system's folders; \
      write its path, with a "/" in it.
      """
    case .wrongDigest(let path, let found, let expected):
      """
      The library "\(path)" has the SHA-256 \(found) but its manifest expects \(expected); get the \
      right file, or change the manifest if you trust this one.
      """
    case .missingFunction(let library, let function, let found, let nearest):
      "\"\(library)\" has no function \"\(function)\": \(found)"
        + (nearest.isEmpty ? "." : "; did you mean \(quoted(nearest, "or"))?")
    case .contradictsDebugInformation(let signature, let reason):
      "The signature \"\(signature)\" is not the library's own: \(reason)."
    case .failedProbe(let signature, let count, let reason):
      """
      "\(signature)" failed when it was tried on \(count) values, before any of your data: \
      \(reason). Check the signature and the bindings against the library's documentation.
      """
    default: ""
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
    case .changedFloatingPoint(let plugin, let function, let layer, let before, let after):
      """
      Plugin "\(plugin)" breaks rule BH-08 in "\(function)"\(on(layer)): the floating-point mode \
      was 0x\(String(before, radix: 16)) and is 0x\(String(after, radix: 16)) after it (it was set \
      back). \(adviceOnFloatingPoint(before ^ after))
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

/// What helps against changed control bits of the floating-point unit.
private func adviceOnFloatingPoint(_ changed: UInt64) -> String {
  #if arch(arm64)
    let flushing: UInt64 = 1 << 24  // FZ of FPCR
  #else
    let flushing: UInt64 = 0x8040  // FTZ and DAZ of MXCSR
  #endif
  // These are what a library sets that was linked with -ffast-math; nobody sets them by hand.
  return changed & ~flushing == 0
    ? "Build the plugin without -ffast-math."
    : "Restore it before you return (fesetround, feenableexcept)."
}

/// A reason may end with a question.
private func ended(_ reason: String) -> String { reason.hasSuffix("?") ? reason : reason + "." }

extension PluginError {
  private var trustDescription: String {
    switch self {
    case .badPolicy(let path, let reason):
      "The trust file \"\(path)\" is not used: \(reason). No plugin but the built-ins is trusted."
    case .untrusted(let path, let sha256, let reason):
      """
      The plugin "\(path)" (SHA-256 \(sha256.prefix(12))…) is not trusted: \(reason). Run \
      billhook plugin trust "\(path)" to allow it.
      """
    case .isolationNotGranted(let path, let wanted, let granted):
      """
      The plugin "\(path)" may run as \(granted.rawValue), but \(wanted.rawValue) is asked for. \
      Run billhook plugin trust --inproc "\(path)" to let it into this process.
      """
    case .quarantined(let path, let sha256, let reason, let date):
      """
      The plugin "\(path)" is in quarantine since \(date): \(reason) Run billhook plugin clear \
      \(sha256.prefix(12)) to try it again.
      """
    case .notQuarantined(let name):
      """
      Nothing in quarantine has the path "\(name)" or a digest that starts so (6 digits at least); \
      billhook plugin doctor lists what is there.
      """
    case .notInTrustFile(let name):
      """
      The trust file has no rule for "\(name)", nor for a digest that starts so (6 digits at least). \
      A library that was built anew has another digest; billhook plugin doctor says where the file is.
      """
    case .onlyBuiltIns(let path):
      "The plugin \"\(path)\" is not loaded, because only built-ins are allowed (--no-plugins)."
    case .notAllowed(let plugin, let pattern):
      "Plugin \"\(plugin)\" is not used, because it does not match --plugins-only \"\(pattern)\"."
    default: ""
    }
  }

  private var workerDescription: String {
    switch self {
    case .noWorker(let executable, let reason):
      """
      Cannot run plugins in a process of their own with "\(executable)": \(reason). Check the \
      installation; there is no way around it but to trust the plugin with this process.
      """
    case .weakIsolation(let plugin, let missing, let found):
      """
      The plugin "\(plugin)" needs the isolation worker-strict, and this system lacks \
      \(missing); it has \(found).
      """
    case .searchesOutside(let path, let folder):
      """
      The plugin "\(path)" looks for libraries in "\(folder)", which worker-strict does not allow; \
      put them beside it and link with -rpath '$ORIGIN'.
      """
    case .crashed, .timedOut:
      "\(lastingDescription) This process and all finished work are unharmed."
    case .wroteOutside(let plugin, let function, let layer):
      """
      Plugin "\(plugin)" breaks rule BH-03 in "\(function)"\(on(layer)): it wrote outside of its \
      output.
      """
    case .requiresInProcess(let plugin, let path):
      """
      Plugin "\(plugin)" works only in this process. Run billhook plugin trust --inproc "\(path)" \
      if you trust it with that.
      """
    case .lostState(let plugin):
      """
      Plugin "\(plugin)" crashed earlier, and what it had observed is lost; start the stage again.
      """
    default: ""
    }
  }

  /// What happened, without what is true of this process alone: for who reads it later.
  var lastingDescription: String {
    switch self {
    case .crashed(let plugin, let function, let layer, let how):
      "Plugin \"\(plugin)\" crashed in \"\(function)\"\(on(layer)): \(how)."
    case .timedOut(let plugin, let function, let layer, let seconds):
      """
      Plugin "\(plugin)" did not return from "\(function)"\(on(layer)) within \(plain(seconds)) \
      seconds and was stopped.
      """
    default: description
    }
  }

  /// True when the plugin did not come back from a call.
  public var isCrash: Bool {
    switch self {
    case .crashed, .timedOut: true
    default: false
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
