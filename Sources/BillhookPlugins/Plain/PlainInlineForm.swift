internal import BillhookTensor

/// Reads a plain function that is written where a plugin's name stands:
///
///     ffi:LIBRARY:SIGNATURE[|BINDING,BINDING,...][;KEY=VALUE...]
///
/// A quantizer has two functions, `quantize` and `dequantize`, with ";" between them. The keys are
/// `returns`, `granularity`, `caps`, `convert` and `row_block` (as `32/18`: values and bytes).
enum PlainInlineForm {
  static let prefix = "ffi:"
  private static let lengthLimit = 16 * 1024
  private static let keys = ["returns", "granularity", "caps", "convert", "row_block"]

  static func record(
    _ text: String, hook: PluginDescriptor.Hook
  ) throws(PluginError) -> PlainRecord {
    func wrong(_ reason: String) -> PluginError {
      .badInlineForm(text: String(text.prefix(200)), reason: reason)
    }
    guard text.utf8.count <= lengthLimit else {
      throw wrong("it has \(text.utf8.count) bytes but may have \(lengthLimit)")
    }
    let body = text.dropFirst(prefix.count)
    guard let colon = body.firstIndex(of: ":") else { throw wrong("the signature is missing") }
    let library = String(body[..<colon])
    guard library.contains(where: { !$0.isWhitespace }) else {
      throw wrong("the library is missing")
    }

    var functions: [(signature: String, bindings: [String]?)] = []
    var options: [String: String] = [:]
    for segment in body[body.index(after: colon)...].split(separator: ";") {
      let segment = trimmed(segment)
      guard !segment.isEmpty else { continue }
      if let mark = segment.firstIndex(of: "="), !segment[..<mark].contains("(") {
        let key = trimmed(segment[..<mark])
        guard keys.contains(key) else {
          let near = nearestNames(to: key, in: keys)
          throw wrong(
            "there is no option \"\(key)\"; "
              + (near.isEmpty
                ? "the options are \(keys.joined(separator: ", "))"
                : "did you mean \"\(near.joined(separator: "\" or \""))\"?"))
        }
        guard options[key] == nil else { throw wrong("\"\(key)\" is given twice") }
        options[key] = trimmed(segment[segment.index(after: mark)...])
      } else {
        let parts = segment.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
        let bindings =
          parts.count == 1
          ? nil
          : trimmed(parts[1]).isEmpty
            ? []
            : parts[1].split(separator: ",", omittingEmptySubsequences: false).map { trimmed($0) }
        functions.append((String(parts[0]), bindings))
      }
    }
    let needed = hook == .quantizer ? 2 : 1
    guard functions.count == needed else {
      throw wrong(
        hook == .quantizer
          ? "a quantizer has two functions, quantize and dequantize, and it has \(functions.count)"
          : "a \(hook.rawValue) has one function, and it has \(functions.count)")
    }
    var block: PlainBlock?
    if let text = options["row_block"] {
      let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
      guard parts.count == 2, let values = parts[0], let bytes = parts[1],
        (1...65536).contains(values), (1...65536).contains(bytes)
      else { throw wrong("row_block is \"\(text)\", not VALUES/BYTES as in 32/18") }
      block = PlainBlock(values: values, bytes: bytes)
    }
    if hook == .quantizer, block == nil {
      throw wrong("a quantizer needs row_block=VALUES/BYTES; integers take a manifest")
    }
    let plugin = try plugin(
      hook, functions, options, block, library: library, text: text, wrong: wrong)
    return PlainRecord(
      library: library, sha256: nil, version: "unknown", vendor: "unknown", license: "unknown",
      url: "", plugins: [plugin])
  }

  private static func plugin(
    _ hook: PluginDescriptor.Hook, _ functions: [(signature: String, bindings: [String]?)],
    _ options: [String: String], _ block: PlainBlock?, library: String, text: String,
    wrong: (String) -> PluginError
  ) throws(PluginError) -> PlainPlugin {
    var returns: PlainReturn?
    if let text = options["returns"] {
      guard let value = PlainReturn(rawValue: text) else {
        throw wrong(
          "returns is \"\(text)\", not \(PlainReturn.allCases.map(\.rawValue).joined(separator: ", "))"
        )
      }
      returns = value
    }
    let roles: [PlainRole] =
      switch hook {
      case .scorer: [.scorer]
      case .loss: [.loss]
      case .quantizer: [.quantize, .dequantize]
      }
    var calls: [PlainCall] = []
    for (role, function) in zip(roles, functions) {
      calls.append(
        try PlainCall(
          role, try PlainSignatureParser.parse(function.signature), function.bindings,
          returns: calls.isEmpty ? returns : nil, converts: options["convert"] == "true",
          hasBlock: block != nil))
    }
    var granularities = hook == .scorer ? calls[0].usualGranularities : []
    if let text = options["granularity"] {
      granularities = []
      for name in list(text) {
        guard let value = Granularity(rawValue: name), PlainPlugin.granularities.contains(value)
        else {
          throw wrong(
            "granularity is \"\(name)\", not "
              + PlainPlugin.granularities.map(\.rawValue).joined(separator: ", "))
        }
        granularities.append(value)
      }
    }
    // A number from a number: what libraries mean by that has no state, and is the same for the
    // elements of every layer.
    var capabilities: Capabilities =
      calls[0].mode == .elements ? [.deterministic, .concurrent, .chunked, .globalScale] : []
    if let text = options["caps"] {
      capabilities = []
      for name in list(text) {
        guard let flag = PlainPlugin.capabilities.first(where: { $0.names == [name] }) else {
          throw wrong(
            "caps has \"\(name)\", not "
              + PlainPlugin.capabilities.flatMap(\.names).joined(separator: ", "))
        }
        capabilities.insert(flag)
      }
    }
    var plugin = PlainPlugin(
      id: identifier(library: library, symbol: calls[0].signature.symbol),
      name: calls[0].signature.symbol,
      summary: calls.map { "\($0.signature.symbol)()" }.joined(separator: " and ")
        + " of \(fileName(library))",
      doc: "", hook: hook, calls: calls, parameters: [], capabilities: capabilities,
      granularities: granularities, block: block, layout: nil)
    if calls[0].mode == .elements, !plugin.canBeChunked { plugin.capabilities.remove(.chunked) }
    try plugin.complete(path: text)
    return plugin
  }

  private static func list(_ text: String) -> [String] {
    text.split(separator: ",").map { trimmed($0) }
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    var rest = text[...]
    while let first = rest.first, first.isWhitespace { rest = rest.dropFirst() }
    while let last = rest.last, last.isWhitespace { rest = rest.dropLast() }
    return String(rest)
  }

  private static func fileName(_ library: String) -> String {
    library.split(separator: "/").last.map(String.init) ?? library
  }

  /// `ffi.libm.so.6.fabsf`.
  private static func identifier(library: String, symbol: String) -> String {
    let name = fileName(library).split(separator: ".").map { part in
      String(part.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "-" })
    }
    return (["ffi"] + name + [symbol]).joined(separator: ".")
  }
}
