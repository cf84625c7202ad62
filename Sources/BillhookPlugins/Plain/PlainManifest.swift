internal import Foundation

/// Reads `NAME.bhplug.json` (PluginSDK/schema/plain.schema.json).
struct PlainManifest {
  static let schema = "billhook.plain/1"
  static let suffix = ".bhplug.json"
  static let byteLimit = 1 << 20

  let path: String

  func record(_ data: Data) throws(PluginError) -> PlainRecord {
    let value: Any
    do {
      value = try JSONSerialization.jsonObject(with: data)
    } catch {
      throw wrong("the file", "no JSON", "a JSON object as in docs/plain-functions.md")
    }
    let root = try PlainManifestObject(value, "the manifest", path)
    try root.allow([
      "schema", "library", "sha256", "version", "vendor", "license", "url", "functions",
    ])
    let schema = try root.text("schema")
    guard schema == Self.schema else {
      throw wrong("schema", "\"\(schema)\"", "\"\(Self.schema)\"")
    }
    let entries = try root.objects("functions")
    guard (1...256).contains(entries.count) else {
      throw wrong("functions", "\(entries.count) entries", "1 to 256")
    }
    var plugins: [PlainPlugin] = []
    for entry in entries {
      let plugin = try plugin(entry)
      guard !plugins.contains(where: { $0.id == plugin.id }) else {
        throw wrong("\(entry.place).id", "\"\(plugin.id)\" for the second time", "unique")
      }
      plugins.append(plugin)
    }
    return PlainRecord(
      library: try root.text("library"), sha256: try root.optionalText("sha256")?.lowercased(),
      version: try root.optionalText("version") ?? "unknown",
      vendor: try root.optionalText("vendor") ?? "unknown",
      license: try root.optionalText("license") ?? "unknown",
      url: try root.optionalText("url") ?? "", plugins: plugins)
  }

  private func plugin(_ entry: PlainManifestObject) throws(PluginError) -> PlainPlugin {
    try entry.allow([
      "id", "hook", "name", "summary", "doc", "symbol", "signature", "bind", "params",
      "granularity", "caps", "returns", "convert", "quantize", "dequantize", "calibrate",
      "row_block", "layout",
    ])
    let id = try entry.text("id")
    guard PlainRecord.isIdentifier(id) else {
      throw wrong(
        "\(entry.place).id", "\"\(id)\"", "a reverse domain name such as \"org.example.taylor\"")
    }
    let hookText = try entry.text("hook")
    guard let hook = PluginDescriptor.Hook(rawValue: hookText) else {
      throw wrong(
        "\(entry.place).hook", "\"\(hookText)\"", "\"scorer\", \"loss\" or \"quantizer\"")
    }
    var parameters: [ParameterDescriptor] = []
    for object in try entry.optionalObjects("params") {
      let parameter = try parameter(object)
      guard !parameters.contains(where: { $0.key == parameter.key }) else {
        throw wrong("\(object.place).key", "\"\(parameter.key)\" for the second time", "unique")
      }
      parameters.append(parameter)
    }
    var calls: [PlainCall] = []
    var block: PlainBlock?
    if let object = try entry.optionalObject("row_block") { block = try rowBlock(object) }
    var layout: PlainLayout?
    if let object = try entry.optionalObject("layout") { layout = try self.layout(object) }
    if hook == .quantizer {
      for role in [PlainRole.calibrate, .quantize, .dequantize] {
        guard let object = try entry.optionalObject(role.rawValue) else {
          guard role == .calibrate else {
            throw wrong("\(entry.place).\(role.rawValue)", "missing", "an object")
          }
          continue
        }
        try object.allow(["symbol", "signature", "bind", "returns", "convert"])
        calls.append(try call(object, role, hasBlock: block != nil))
      }
    } else {
      calls = [try call(entry, hook == .scorer ? .scorer : .loss, hasBlock: false)]
    }
    let granularities = try granularities(entry, calls[0], hook)
    var plugin = PlainPlugin(
      id: id, name: try entry.optionalText("name") ?? calls[0].signature.symbol,
      summary: try entry.optionalText("summary")
        ?? calls.map { "\($0.signature.symbol)()" }.joined(separator: ", "),
      doc: try entry.optionalText("doc") ?? "", hook: hook, calls: calls, parameters: parameters,
      capabilities: try capabilities(entry), granularities: granularities, block: block,
      layout: layout)
    try plugin.complete(path: path)
    return plugin
  }

  private func call(
    _ object: PlainManifestObject, _ role: PlainRole, hasBlock: Bool
  ) throws(PluginError) -> PlainCall {
    var signature = try PlainSignatureParser.parse(try object.text("signature"))
    if let symbol = try object.optionalText("symbol") { signature.symbol = symbol }
    guard var given = try object.optionalTexts("bind") else {
      return try PlainCall(
        role, signature, nil, returns: try returns(object), converts: try object.flag("convert"),
        hasBlock: hasBlock)
    }
    var texts: [String] = []
    for parameter in signature.parameters {
      guard let text = given.removeValue(forKey: parameter.name) else {
        throw .badBinding(
          function: signature.symbol, argument: parameter.name, binding: "",
          reason: "\"bind\" says nothing of it")
      }
      texts.append(text)
    }
    if let extra = given.keys.sorted().first {
      let names = signature.parameters.map { "\"\($0.name)\"" }.joined(separator: ", ")
      throw wrong("\(object.place).bind.\(extra)", "no argument", "one of \(names)")
    }
    return try PlainCall(
      role, signature, texts, returns: try returns(object), converts: try object.flag("convert"),
      hasBlock: hasBlock)
  }

  private func returns(_ object: PlainManifestObject) throws(PluginError) -> PlainReturn? {
    guard let text = try object.optionalText("returns") else { return nil }
    if let value = PlainReturn(rawValue: text) { return value }
    throw wrong(
      "\(object.place).returns", "\"\(text)\"",
      PlainReturn.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))
  }

  private func granularities(
    _ entry: PlainManifestObject, _ call: PlainCall, _ hook: PluginDescriptor.Hook
  ) throws(PluginError) -> [Granularity] {
    guard hook == .scorer else { return [] }
    let texts = try entry.optionalList("granularity")
    guard !texts.isEmpty else { return call.usualGranularities }
    var found: [Granularity] = []
    for text in texts {
      guard let value = Granularity(rawValue: text), PlainPlugin.granularities.contains(value)
      else {
        throw wrong(
          "\(entry.place).granularity", "\"\(text)\"",
          PlainPlugin.granularities.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))
      }
      found.append(value)
    }
    return found
  }

  private func capabilities(_ entry: PlainManifestObject) throws(PluginError) -> Capabilities {
    var result: Capabilities = []
    for text in try entry.optionalList("caps") {
      guard let flag = PlainPlugin.capabilities.first(where: { $0.names == [text] }) else {
        throw wrong(
          "\(entry.place).caps", "\"\(text)\"",
          PlainPlugin.capabilities.flatMap(\.names).map { "\"\($0)\"" }.joined(separator: ", "))
      }
      result.insert(flag)
    }
    return result
  }

  private func rowBlock(_ object: PlainManifestObject) throws(PluginError) -> PlainBlock {
    try object.allow(["values", "bytes"])
    return PlainBlock(
      values: try object.integer("values", 1...65536), bytes: try object.integer("bytes", 1...65536)
    )
  }

  private func layout(_ object: PlainManifestObject) throws(PluginError) -> PlainLayout {
    try object.allow(["type", "qmin", "qmax", "symmetric", "per_channel"])
    let type = try object.text("type")
    guard type == "int8" || type == "uint8" else {
      throw wrong("\(object.place).type", "\"\(type)\"", "\"int8\" or \"uint8\"")
    }
    let range = type == "int8" ? -128...127 : 0...255
    return PlainLayout(
      isSigned: type == "int8", minimum: try object.integer("qmin", range),
      maximum: try object.integer("qmax", range), isSymmetric: try object.flag("symmetric"),
      isPerChannel: try object.flag("per_channel"))
  }

  private func parameter(_ object: PlainManifestObject) throws(PluginError) -> ParameterDescriptor {
    try object.allow(["key", "type", "default", "min", "max", "unit", "doc"])
    let type = try object.text("type")
    let kind: ParameterDescriptor.Kind
    switch type {
    case "f64": kind = .double
    case "i64": kind = .int
    case "bool": kind = .bool
    default: throw wrong("\(object.place).type", "\"\(type)\"", "\"f64\", \"i64\" or \"bool\"")
    }
    let low = try object.optionalNumber("min") ?? -.infinity
    let high = try object.optionalNumber("max") ?? .infinity
    guard low <= high else {
      throw wrong(
        "\(object.place).min", "\(plain(low))", "at most \"max\", which is \(plain(high))")
    }
    var parameter = ParameterDescriptor(
      key: try object.text("key"), kind: kind,
      doc: try object.optionalText("doc") ?? "", unit: try object.optionalText("unit") ?? "",
      defaultValue: .int(0), range: low...high, choices: [], isRequired: true)
    if let value = try object.optionalScalar("default") {
      parameter.defaultValue = try ParameterCheck(plugin: path, parameter: parameter).checked(value)
      parameter.isRequired = false
    }
    return parameter
  }

  func wrong(_ place: String, _ found: String, _ expected: String) -> PluginError {
    .badManifest(path: path, place: place, found: found, expected: expected)
  }
}
