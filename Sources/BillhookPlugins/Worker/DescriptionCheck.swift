internal import BillhookSDK
internal import BillhookTensor

/// Checks what a worker says of a library by the rules of loading (docs/abi.md). The worker made the
/// same checks, but the library was in its process by then, so nothing of it is believed.
struct DescriptionCheck {
  let file: LibraryFile

  /// The descriptions, with what the host knows better put in its own words.
  func checked(_ given: [PluginDescription]) throws(PluginError) -> [PluginDescription] {
    if let source = file.plain {
      // The manifest says it all, so there is nothing to be told.
      let isChecked =
        !given.isEmpty && given.allSatisfy { $0.descriptor.plain?.isChecked == true }
      return try PlainLoader.descriptions(of: file, source, isChecked: isChecked)
    }
    try require(
      (1...Int(ModuleReader.pluginLimit)).contains(given.count), "BH-26", "n_plugins",
      "\(given.count)", "1 to \(ModuleReader.pluginLimit)")
    let module = try checked(given[0].descriptor.module)
    var ids: Set<String> = []
    var result: [PluginDescription] = []
    for (index, description) in given.enumerated() {
      let place = "plugins[\(index)]"
      var description = description
      description.descriptor.module.path = module.path
      description.descriptor.module.sha256 = module.sha256
      try require(
        description.descriptor.module == module, "BH-24", "\(place).module",
        "not that of the first plugin", "the same for all plugins of a library")
      try check(description.descriptor, place)
      try check(description, place)
      let id = description.descriptor.id
      try require(
        ids.insert(id).inserted, "BH-25", "\(place).id", "\"\(id)\" for the second time",
        "unique in its library")
      result.append(description)
    }
    return result
  }

  private func checked(_ given: ModuleDescriptor) throws(PluginError) -> ModuleDescriptor {
    var module = given
    module.path = file.path
    module.sha256 = file.sha256
    try identifier(module.id, "bh_module.id")
    try text(module.version, "bh_module.version")
    try text(module.vendor, "bh_module.vendor")
    try text(module.license, "bh_module.license")
    try bounded(module.url, "bh_module.url")
    let version = module.abi.split(separator: ".", omittingEmptySubsequences: false)
    try require(
      version.count == 2 && Int32(version[0]) == BH_ABI_MAJOR && UInt16(version[1]) != nil, "BH-22",
      "abi_major", quoted(module.abi), "\(BH_ABI_MAJOR)")
    return module
  }

  private func check(_ plugin: PluginDescriptor, _ place: String) throws(PluginError) {
    try identifier(plugin.id, "\(place).id")
    try text(plugin.name, "\(place).name")
    try text(plugin.summary, "\(place).summary")
    try bounded(plugin.doc, "\(place).doc", allowsLines: true)
    try require(plugin.plain == nil, "BH-29", "\(place).plain", "plain functions", "none")
    let caps = plugin.capabilities.rawValue
    let unknown = caps & ~0xFFFF_FFFF & ~Capabilities.mustUnderstand.rawValue
    try require(
      unknown == 0, "BH-28", "\(place).caps", hexadecimal(caps),
      "free of \(hexadecimal(unknown)), which this host does not know")
    let needs = plugin.needs.rawValue
    let known = Needs.known(to: plugin.hook).rawValue
    try require(
      needs & ~known == 0, "BH-29", "\(place).needs", hexadecimal(needs),
      "within \(hexadecimal(known))")
    try require(
      !plugin.capabilities.contains(.dataFree)
        || plugin.needs.subtracting(.previousMask).isEmpty, "BH-29", "\(place).needs",
      hexadecimal(needs), "0 or BH_NEED_PREV_MASK with BH_CAP_DATA_FREE")
    let isScorer = plugin.hook == .scorer
    try require(
      plugin.granularities.isEmpty != isScorer, "BH-29", "\(place).granularities",
      "\(plugin.granularities.count) of them", isScorer ? "at least 1" : "none")
    let types = plugin.weightTypes
    let legal: [ElementType] = isScorer ? [.float16, .float32, .bfloat16] : [.float32]
    try require(
      types.contains(.float32) && Set(types).count == types.count
        && types.allSatisfy(legal.contains), "BH-29", "\(place).dtypes",
      quoted(types.prefix(4).map { "\($0)" }.joined(separator: ", ")),
      "float32 and others of \(legal.map { "\($0)" }.joined(separator: ", "))")
    try require(
      plugin.parameters.count <= Int(ModuleReader.parameterLimit), "BH-26", "\(place).n_params",
      "\(plugin.parameters.count)", "at most \(ModuleReader.parameterLimit)")
    var keys: Set<String> = []
    for (number, parameter) in plugin.parameters.enumerated() {
      let place = "\(place).params[\(number)]"
      try check(parameter, place)
      try require(
        keys.insert(parameter.key).inserted, "BH-27", "\(place).key",
        "\"\(parameter.key)\" for the second time", "unique in its plugin")
    }
  }

  private func check(_ parameter: ParameterDescriptor, _ place: String) throws(PluginError) {
    try text(parameter.key, "\(place).key")
    try require(
      ModuleReader.isKey(parameter.key), "BH-27", "\(place).key", quoted(parameter.key),
      "made of a-z, 0-9, \"-\" and \"_\"")
    try text(parameter.doc, "\(place).doc", allowsLines: true)
    try bounded(parameter.unit, "\(place).unit", limit: ModuleReader.nameLimit)
    let range = parameter.range
    try require(
      !range.lowerBound.isNaN && !range.upperBound.isNaN, "BH-27", "\(place).min", "not a number",
      "a number")
    let count = parameter.choices.count
    let limit = Int(ModuleReader.parameterLimit)
    try require(
      parameter.kind == .choice ? (1...limit).contains(count) : count == 0, "BH-27",
      "\(place).n_choices", "\(count)", parameter.kind == .choice ? "1 to \(limit)" : "0")
    try require(
      Set(parameter.choices).count == count, "BH-27", "\(place).choices", "one of them twice",
      "unique")
    for (index, choice) in parameter.choices.enumerated() {
      try text(choice, "\(place).choices[\(index)]")
    }
    switch parameter.defaultValue {
    case .ints(let values): try list(values.count, "\(place).def.count")
    case .doubles(let values): try list(values.count, "\(place).def.count")
    case .string(let text): try bounded(text, "\(place).def")
    case .int, .double, .bool: break
    }
    guard !parameter.isRequired else { return }
    var kept: ParameterValue?
    do {
      kept = try ParameterCheck(plugin: "", parameter: parameter).checked(parameter.defaultValue)
    } catch {}
    try require(
      kept == parameter.defaultValue, "BH-27", "\(place).def",
      quoted(parameter.defaultValue.description), parameter.expectation)
  }

  /// What the plugin's functions and its flags demand of each other.
  private func check(_ description: PluginDescription, _ place: String) throws(PluginError) {
    let plugin = description.descriptor
    let calls = HookCall.calls(of: plugin.hook).map { HookCall.entries[$0.rawValue].name }
    let names = Set(description.functions)
    try require(
      names.count == description.functions.count && names.isSubset(of: calls + ["validate"]),
      "BH-29", "\(place).vtable", "functions that are not the hook's",
      "those of the hook, once each")
    func has(_ name: String, _ rule: String) throws(PluginError) {
      try require(names.contains(name), rule, "\(place).vtable.\(name)", "null", "a function")
    }
    switch plugin.hook {
    case .scorer: try has("score", "BH-29")
    case .loss: try has("compute", "BH-29")
    case .quantizer:
      for name in ["layout", "calibrate", "quantize", "dequantize"] { try has(name, "BH-29") }
    }
    let hasState = plugin.stateVersion != nil
    for name in ["save", "load"] {
      try require(
        names.contains(name) == hasState, "BH-30", "\(place).\(name)",
        hasState ? "null" : "a function", hasState ? "a function" : "null without a state_version")
    }
    try require(
      plugin.stateVersion != 0, "BH-30", "\(place).state_version", "0", "at least 1")
    let isMergeable = plugin.capabilities.contains(.mergeable)
    if isMergeable {
      try has("save", "BH-30")
      if plugin.hook == .scorer { try has("merge", "BH-30") }
    }
    let hasRaw = plugin.hook == .scorer && !plugin.needs.isDisjoint(with: .raw)
    if hasRaw { try has("observe", "BH-30") }
    if hasRaw || plugin.hook == .quantizer && names.contains("observe") {
      try has("reset", "BH-30")
    }
  }

  // MARK: - Text

  private func identifier(_ value: String, _ field: String) throws(PluginError) {
    try text(value, field)
    try require(
      ModuleReader.isIdentifier(value), "BH-25", field, quoted(value),
      "a reverse domain name such as \"org.example.taylor\"")
  }

  private func text(
    _ value: String, _ field: String, allowsLines: Bool = false
  ) throws(PluginError) {
    try bounded(value, field, limit: ModuleReader.nameLimit, allowsLines: allowsLines)
    try require(value.contains { !$0.isWhitespace }, "BH-24", field, "blank", "text")
  }

  private func bounded(
    _ value: String, _ field: String, limit: Int = ModuleReader.docLimit, allowsLines: Bool = false
  ) throws(PluginError) {
    try require(
      value.utf8.count <= limit, "BH-26", field, "longer than \(limit) bytes",
      "at most \(limit) bytes")
    // Among them the zero byte, which no C string holds, so it cannot have been the library's.
    try require(
      ModuleReader.isDescriptive(value, allowsLines: allowsLines), "BH-24", field,
      "text with a control character",
      ModuleReader.descriptiveExpectation(allowsLines: allowsLines))
  }

  private func list(_ count: Int, _ field: String) throws(PluginError) {
    try require(
      count <= Int(ModuleReader.parameterLimit), "BH-27", field, "\(count)",
      "at most \(ModuleReader.parameterLimit)")
  }

  private func quoted(_ text: String) -> String { "\"\(text.prefix(80))\"" }
  private func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

  private func require(
    _ condition: Bool, _ rule: String, _ field: String, _ found: @autoclosure () -> String,
    _ expected: @autoclosure () -> String
  ) throws(PluginError) {
    guard condition else {
      throw .rejected(
        path: file.path, rule: rule, field: field, found: found(), expected: expected())
    }
  }
}
