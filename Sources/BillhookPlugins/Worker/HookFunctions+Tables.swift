internal import BillhookSDK

/// A hook's table as bytes, so that one piece of code can look into all of them.
extension HookFunctions {
  /// An empty table.
  init(of hook: PluginDescriptor.Hook) {
    func table<T>(_ zero: T) -> T {
      var table = zero
      withUnsafeMutableBytes(of: &table) { $0.storeBytes(of: UInt32($0.count), as: UInt32.self) }
      return table
    }
    self =
      switch hook {
      case .scorer: .scorer(table(bh_scorer()))
      case .loss: .loss(table(bh_loss()))
      case .quantizer: .quantizer(table(bh_quantizer()))
      }
  }

  func pointer(at offset: Int) -> UnsafeRawPointer? {
    func load<T>(_ table: T) -> UInt {
      withUnsafeBytes(of: table) { $0.load(fromByteOffset: offset, as: UInt.self) }
    }
    let bits =
      switch self {
      case .scorer(let table): load(table)
      case .loss(let table): load(table)
      case .quantizer(let table): load(table)
      }
    return UnsafeRawPointer(bitPattern: bits)
  }

  mutating func set(_ pointer: UnsafeRawPointer, at offset: Int) {
    func store<T>(_ table: T) -> T {
      var table = table
      withUnsafeMutableBytes(of: &table) {
        $0.storeBytes(of: UInt(bitPattern: pointer), toByteOffset: offset, as: UInt.self)
      }
      return table
    }
    switch self {
    case .scorer(let table): self = .scorer(store(table))
    case .loss(let table): self = .loss(store(table))
    case .quantizer(let table): self = .quantizer(store(table))
    }
  }
}

extension PluginEntry {
  /// The plugin's functions by the number of the ``HookCall``; nil for what it does not have.
  var functionTable: [UnsafeRawPointer?] {
    HookCall.entries.map { [nil, functions.hook].contains($0.hook) ? $0.function(self) : nil }
  }

  /// The names of the optional and hook functions that the plugin has.
  var functionNames: [String] {
    let table = functionTable
    return HookCall.calls(of: functions.hook).filter { table[$0.rawValue] != nil }
      .map { HookCall.entries[$0.rawValue].name } + (validate == nil ? [] : ["validate"])
  }

  /// Functions that make the calls of a plugin in a worker.
  static func proxies(of hook: PluginDescriptor.Hook, named names: [String]) -> PluginEntry {
    var entry = PluginEntry(
      create: WorkerInstance.create, destroy: WorkerInstance.destroy,
      validate: names.contains("validate") ? WorkerInstance.validate : nil,
      functions: HookFunctions(of: hook),
      // The library begins where it runs.
      lifetime: ModuleLifetime(id: "", initialize: nil, finish: nil))
    for call in HookCall.calls(of: hook) {
      let function = HookCall.entries[call.rawValue]
      if names.contains(function.name) { function.install?(&entry) }
    }
    return entry
  }
}
