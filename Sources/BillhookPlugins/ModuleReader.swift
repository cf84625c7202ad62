internal import BillhookSDK
internal import BillhookTensor
internal import Glibc

/// Checks what a library says of itself against the rules of docs/abi.md and copies it.
struct ModuleReader {
  static let pluginLimit: UInt64 = 256
  static let parameterLimit: UInt32 = 256
  static let nameLimit = 1024
  static let docLimit = 64 * 1024

  let path: String
  let file: LibraryFile

  func plugins(of pointer: UnsafeRawPointer) throws(PluginError) -> [Plugin] {
    let magic = pointer.load(as: UInt32.self)
    try require(
      magic == BH_MAGIC, "BH-21", "magic", "0x\(String(magic, radix: 16))",
      "0x\(String(BH_MAGIC, radix: 16))")
    let size = pointer.load(fromByteOffset: 4, as: UInt32.self)
    // The versions come before the size: a module of another version may well be smaller.
    try require(size >= 16, "BH-23", "bh_module.struct_size", "\(size)", "at least 16")
    let major = pointer.load(fromByteOffset: 8, as: UInt16.self)
    let minor = pointer.load(fromByteOffset: 10, as: UInt16.self)
    let header = pointer.load(fromByteOffset: 12, as: UInt16.self)
    let host = "\(BH_ABI_MAJOR).\(BH_ABI_MINOR)"
    let built = "\(major).\(header)"
    try require(
      Int32(major) == BH_ABI_MAJOR, "BH-22", "abi_major", "\(major) (built with headers \(built))",
      "\(BH_ABI_MAJOR): rebuild it with this host's headers, \(host)")
    try require(
      Int32(minor) <= BH_ABI_MINOR, "BH-22", "min_minor",
      "\(minor) (built with headers \(built))",
      """
      at most \(BH_ABI_MINOR): use a host that has ABI \(major).\(minor), or rebuild it with \
      BH_TARGET_MINOR=\(BH_ABI_MINOR)
      """)
    try requireSize(size, bh_module.self, "bh_module.struct_size")
    let module = copyStruct(bh_module.self, from: pointer, theirSize: size, zero: bh_module())

    let descriptor = ModuleDescriptor(
      id: try identifier(module.id, "bh_module.id"),
      version: try text(module.version, "bh_module.version"),
      vendor: try text(module.vendor, "bh_module.vendor"),
      license: try text(module.license, "bh_module.license"),
      url: try optionalText(module.url, "bh_module.url"),
      path: file.path, sha256: file.sha256, abi: "\(major).\(header)")

    try require(
      (1...Self.pluginLimit).contains(module.n_plugins), "BH-26", "n_plugins",
      "\(module.n_plugins)", "1 to \(Self.pluginLimit)")
    guard let entries = module.plugins else {
      throw rejection("BH-23", "bh_module.plugins", "null", "an array of n_plugins pointers")
    }
    let lifetime = ModuleLifetime.of(
      pointer, id: descriptor.id, initialize: module.`init`, finish: module.fini)
    var plugins: [Plugin] = []
    for index in 0..<Int(module.n_plugins) {
      guard let entry = entries[index] else {
        throw rejection("BH-23", "bh_module.plugins[\(index)]", "null", "a bh_plugin")
      }
      let plugin = try plugin(UnsafeRawPointer(entry), index: index, module: descriptor, lifetime)
      let id = plugin.descriptor.id
      try require(
        !plugins.contains { $0.descriptor.id == id }, "BH-25", "plugins[\(index)].id",
        "\"\(id)\" for the second time", "unique in its library")
      plugins.append(plugin)
    }
    return plugins
  }

  private func plugin(
    _ pointer: UnsafeRawPointer, index: Int, module: ModuleDescriptor, _ lifetime: ModuleLifetime
  ) throws(PluginError) -> Plugin {
    let place = "plugins[\(index)]"
    let size = pointer.load(as: UInt32.self)
    try requireSize(size, bh_plugin.self, "\(place).struct_size")
    let raw = copyStruct(bh_plugin.self, from: pointer, theirSize: size, zero: bh_plugin())
    let id = try identifier(raw.id, "\(place).id")

    guard let create = raw.create else {
      throw rejection("BH-29", "\(place).create", "null", "a function")
    }
    guard let destroy = raw.destroy else {
      throw rejection("BH-29", "\(place).destroy", "null", "a function")
    }
    guard let vtable = raw.vtable else {
      throw rejection("BH-29", "\(place).vtable", "null", "the table of the hook")
    }
    let functions = try functions(hook: raw.hook, UnsafeRawPointer(vtable), place)
    let unknown = raw.caps & ~0xFFFF_FFFF & ~Capabilities.mustUnderstand.rawValue
    try require(
      unknown == 0, "BH-28", "\(place).caps", "0x\(String(raw.caps, radix: 16))",
      "free of 0x\(String(unknown, radix: 16)), which this host does not know")
    try checkHookFields(raw, hook: functions.hook, place)
    try StateRules(reader: self, place: place, plugin: raw, functions: functions).check()

    try require(
      raw.n_params <= Self.parameterLimit, "BH-26", "\(place).n_params", "\(raw.n_params)",
      "at most \(Self.parameterLimit)")
    var parameters: [ParameterDescriptor] = []
    for number in 0..<Int(raw.n_params) {
      guard let entry = raw.params?[number] else {
        throw rejection("BH-27", "\(place).params[\(number)]", "null", "a bh_param")
      }
      let parameter = try ParameterReader(module: self, place: "\(place).params[\(number)]")
        .parameter(UnsafeRawPointer(entry))
      try require(
        !parameters.contains { $0.key == parameter.key }, "BH-27",
        "\(place).params[\(number)].key", "\"\(parameter.key)\" for the second time",
        "unique in its plugin")
      parameters.append(parameter)
    }

    let descriptor = PluginDescriptor(
      id: id, name: try text(raw.name, "\(place).name"),
      summary: try text(raw.summary, "\(place).summary"),
      doc: try optionalText(raw.doc, "\(place).doc", allowsLines: true), hook: functions.hook,
      parameters: parameters,
      capabilities: Capabilities(rawValue: raw.caps), needs: Needs(rawValue: raw.needs),
      granularities: Granularity.allCases.filter { raw.granularities & $0.bit != 0 },
      weightTypes: try weightTypes(raw, hook: functions.hook, place),
      stateVersion: raw.save == nil ? nil : raw.state_version, module: module)
    return Plugin(
      descriptor: descriptor,
      entry: PluginEntry(
        create: create, destroy: destroy, validate: raw.validate, reset: raw.reset,
        save: raw.save, load: raw.load, getExtension: raw.get_extension, functions: functions,
        lifetime: lifetime))
  }

  private func functions(
    hook: UInt32, _ vtable: UnsafeRawPointer, _ place: String
  ) throws(PluginError) -> HookFunctions {
    func table<T>(_ zero: T, _ name: String) throws(PluginError) -> T {
      let size = vtable.load(as: UInt32.self)
      try requireSize(size, T.self, "\(place).vtable (\(name)).struct_size")
      return copyStruct(T.self, from: vtable, theirSize: size, zero: zero)
    }
    func missing(_ name: String) -> PluginError {
      rejection("BH-29", "\(place).vtable.\(name)", "null", "a function")
    }
    switch Int32(truncatingIfNeeded: hook) {
    case BH_HOOK_SCORER:
      let scorer = try table(bh_scorer(), "bh_scorer")
      guard scorer.score != nil else { throw missing("score") }
      return .scorer(scorer)
    case BH_HOOK_LOSS:
      let loss = try table(bh_loss(), "bh_loss")
      guard loss.compute != nil else { throw missing("compute") }
      return .loss(loss)
    case BH_HOOK_QUANTIZER:
      let quantizer = try table(bh_quantizer(), "bh_quantizer")
      guard quantizer.layout != nil else { throw missing("layout") }
      guard quantizer.calibrate != nil else { throw missing("calibrate") }
      guard quantizer.quantize != nil else { throw missing("quantize") }
      guard quantizer.dequantize != nil else { throw missing("dequantize") }
      return .quantizer(quantizer)
    default:
      throw rejection(
        "BH-29", "\(place).hook", "\(hook)",
        "\(BH_HOOK_SCORER) (scorer), \(BH_HOOK_LOSS) (loss) or \(BH_HOOK_QUANTIZER) (quantizer)")
    }
  }

  /// Granularities and needs are acted on: what is not known of the hook is refused.
  private func checkHookFields(
    _ raw: bh_plugin, hook: PluginDescriptor.Hook, _ place: String
  ) throws(PluginError) {
    let isScorer = hook == .scorer
    let known = isScorer ? Granularity.allCases.reduce(0) { $0 | $1.bit } : 0
    try require(
      raw.granularities & ~known == 0 && (raw.granularities != 0 || !isScorer), "BH-29",
      "\(place).granularities", "\(raw.granularities)",
      isScorer ? "a sum of granularities, 1 to \(known)" : "0 for a \(hook.rawValue)")
    let needs = Needs.known(to: hook).rawValue
    try require(
      raw.needs & ~needs == 0, "BH-29", "\(place).needs", "0x\(String(raw.needs, radix: 16))",
      needs == 0
        ? "0 for a \(hook.rawValue)"
        : "a sum of the needs of a \(hook.rawValue), within 0x\(String(needs, radix: 16))")
    try checkDataFree(raw, place)
  }

  /// A plugin that says that it works without data must not ask for any.
  private func checkDataFree(_ raw: bh_plugin, _ place: String) throws(PluginError) {
    let needs = Needs(rawValue: raw.needs).subtracting(.previousMask)
    try require(
      raw.caps & BH_CAP_DATA_FREE == 0 || needs.isEmpty, "BH-29", "\(place).needs",
      "0x\(String(raw.needs, radix: 16))", "0 or BH_NEED_PREV_MASK with BH_CAP_DATA_FREE")
  }

  /// The element types that a scorer takes for a whole layer's weight.
  private func weightTypes(
    _ raw: bh_plugin, hook: PluginDescriptor.Hook, _ place: String
  ) throws(PluginError) -> [ElementType] {
    let limit: UInt32 = hook == .scorer ? 16 : 0
    try require(
      raw.n_dtypes <= limit, "BH-26", "\(place).n_dtypes", "\(raw.n_dtypes)",
      hook == .scorer ? "at most \(limit)" : "0 for a \(hook.rawValue)")
    var types: [ElementType] = [.float32]
    guard raw.n_dtypes > 0 else { return types }
    guard let codes = raw.dtypes else {
      throw rejection("BH-23", "\(place).dtypes", "null", "an array of n_dtypes numbers")
    }
    for index in 0..<Int(raw.n_dtypes) {
      let code = codes[index]
      guard
        let type = [ElementType.float16, .float32, .bfloat16].first(where: { $0.dtypeCode == code })
      else {
        throw rejection(
          "BH-29", "\(place).dtypes[\(index)]", "0x\(String(code, radix: 16))",
          "BH_DTYPE_F16, BH_DTYPE_F32 or BH_DTYPE_BF16")
      }
      if !types.contains(type) { types.append(type) }
    }
    return types
  }
}

// MARK: - Parts that parameters need too

extension ModuleReader {
  func rejection(_ rule: String, _ field: String, _ found: String, _ expected: String)
    -> PluginError
  {
    .rejected(path: path, rule: rule, field: field, found: found, expected: expected)
  }

  func require(
    _ condition: Bool, _ rule: String, _ field: String, _ found: @autoclosure () -> String,
    _ expected: @autoclosure () -> String
  ) throws(PluginError) {
    guard condition else { throw rejection(rule, field, found(), expected()) }
  }

  /// A larger struct is from newer headers and fine; a smaller one lacks fields.
  func requireSize<T>(_ size: UInt32, _ type: T.Type, _ field: String) throws(PluginError) {
    let least = MemoryLayout<T>.size
    try require(Int(size) >= least, "BH-23", field, "\(size)", "at least \(least)")
  }

  /// Mandatory text that is not blank.
  ///
  /// - Parameter allowsLines: True for documents, which may have line breaks.
  func text(
    _ pointer: UnsafePointer<CChar>?, _ field: String, allowsLines: Bool = false
  ) throws(PluginError) -> String {
    guard pointer != nil else { throw rejection("BH-24", field, "null", "text") }
    let value = try optionalText(
      pointer, field, limit: Self.nameLimit, allowsLines: allowsLines)
    try require(value.contains { !$0.isWhitespace }, "BH-24", field, "blank", "text")
    return value
  }

  func optionalText(
    _ pointer: UnsafePointer<CChar>?, _ field: String, limit: Int = docLimit,
    allowsLines: Bool = false
  ) throws(PluginError) -> String {
    guard let pointer else { return "" }
    let length = strnlen(pointer, limit + 1)
    try require(
      length <= limit, "BH-26", field, "longer than \(limit) bytes", "at most \(limit) bytes")
    let bytes = UnsafeRawBufferPointer(start: pointer, count: length)
    guard let value = String(validating: bytes, as: UTF8.self) else {
      throw rejection("BH-24", field, "not UTF-8", "UTF-8")
    }
    try require(
      Self.isDescriptive(value, allowsLines: allowsLines), "BH-24", field,
      "text with a control character", Self.descriptiveExpectation(allowsLines: allowsLines))
    return value
  }

  /// Reverse DNS: letters, digits, "-" and "_" with "." between the parts.
  private func identifier(
    _ pointer: UnsafePointer<CChar>?, _ field: String
  ) throws(PluginError) -> String {
    let value = try text(pointer, field)
    try require(
      Self.isIdentifier(value), "BH-25", field, "\"\(value)\"",
      "a reverse domain name such as \"org.example.taylor\"")
    return value
  }
}

extension ModuleReader {
  /// Reverse DNS: letters, digits, "-" and "_" with "." between the parts.
  static func isIdentifier(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count > 1
      && parts.allSatisfy { part in
        !part.isEmpty
          && part.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
              UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
              true
            default: false
            }
          }
      }
  }

  /// What a parameter's name is made of.
  static func isKey(_ text: String) -> Bool {
    text.utf8.allSatisfy {
      $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
    }
  }
}

/// The hook's table, copied and complete.
enum HookFunctions {
  case scorer(bh_scorer)
  case loss(bh_loss)
  case quantizer(bh_quantizer)

  var hook: PluginDescriptor.Hook {
    switch self {
    case .scorer: .scorer
    case .loss: .loss
    case .quantizer: .quantizer
    }
  }
}
