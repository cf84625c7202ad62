public import BillhookSDK

/// A parameter to declare; the index in the declaration is the index in ``ParameterValues``.
public struct ParameterDeclaration {
  let key: String
  let doc: String
  let unit: String?
  let type: Int32
  var number = 0.0
  var index: Int64 = 0
  var range = -Double.infinity...Double.infinity
  var choices: [String] = []

  /// A number with a default and a range (inclusive).
  public static func double(
    _ key: String, doc: String, unit: String? = nil, default number: Double,
    range: ClosedRange<Double>
  ) -> Self {
    Self(key: key, doc: doc, unit: unit, type: BH_TYPE_F64, number: number, range: range)
  }

  /// A whole number with a default and a range (inclusive).
  public static func int(
    _ key: String, doc: String, unit: String? = nil, default number: Int64,
    range: ClosedRange<Int64>
  ) -> Self {
    Self(
      key: key, doc: doc, unit: unit, type: BH_TYPE_I64, index: number,
      range: Double(range.lowerBound)...Double(range.upperBound))
  }

  /// One of several words; the default is the first.
  public static func choice(_ key: String, doc: String, choices: [String]) -> Self {
    Self(key: key, doc: doc, unit: nil, type: BH_TYPE_CHOICE, choices: choices)
  }
}

/// A plugin to declare.
public struct PluginDeclaration {
  public typealias Create =
    @convention(c) (
      UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_value>?,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> bh_status

  let hook: Int32
  let id: String
  let name: String
  let summary: String
  let doc: String
  let capabilities: UInt64
  let needs: UInt64
  let granularities: UInt32
  let stateVersion: UInt32
  let parameters: [ParameterDeclaration]
  let create: Create
  /// Of a quantizer: which of its optional functions there are.
  var observes = false
  var trains = false

  /// - Parameters:
  ///   - capabilities: `BH_CAP_*` flags, or-ed.
  ///   - needs: `BH_NEED_*` flags, or-ed.
  ///   - granularities: `BH_GRANULARITY_BIT_*` flags, or-ed.
  ///   - stateVersion: Of a scorer that is a ``StatefulHook``: the version of what it saves, at
  ///     least 1; else 0.
  ///   - create: A closure that captures nothing and calls ``createScorer(_:_:_:_:)``.
  public static func scorer(
    id: String, name: String, summary: String, doc: String, capabilities: UInt64 = 0,
    needs: UInt64 = 0, granularities: UInt32, stateVersion: UInt32 = 0,
    parameters: [ParameterDeclaration] = [], create: @escaping Create
  ) -> Self {
    Self(
      hook: BH_HOOK_SCORER, id: id, name: name, summary: summary, doc: doc,
      capabilities: capabilities, needs: needs, granularities: granularities,
      stateVersion: stateVersion, parameters: parameters, create: create)
  }

  /// `create` calls ``createLoss(_:_:_:_:)``.
  public static func loss(
    id: String, name: String, summary: String, doc: String, capabilities: UInt64 = 0,
    needs: UInt64 = 0, parameters: [ParameterDeclaration] = [], create: @escaping Create
  ) -> Self {
    Self(
      hook: BH_HOOK_LOSS, id: id, name: name, summary: summary, doc: doc,
      capabilities: capabilities, needs: needs, granularities: 0, stateVersion: 0,
      parameters: parameters,
      create: create)
  }

  /// `create` calls ``createQuantizer(_:_:_:_:)``.
  ///
  /// - Parameters:
  ///   - observes: Whether the plugin wants to see activations, not only their range.
  ///   - trains: Whether the plugin has fake quantization and its gradient of its own.
  public static func quantizer(
    id: String, name: String, summary: String, doc: String, capabilities: UInt64 = 0,
    observes: Bool = false, trains: Bool = false, parameters: [ParameterDeclaration] = [],
    create: @escaping Create
  ) -> Self {
    var declaration = Self(
      hook: BH_HOOK_QUANTIZER, id: id, name: name, summary: summary, doc: doc,
      capabilities: capabilities, needs: 0, granularities: 0, stateVersion: 0,
      parameters: parameters,
      create: create)
    declaration.observes = observes
    declaration.trains = trains
    return declaration
  }
}

/// Makes what `billhook_module_v1` returns: call it once, in the initialiser of a global constant.
/// The memory lives as long as the process.
public func declareModule(
  id: String, version: String, vendor: String, license: String, url: String? = nil,
  plugins: [PluginDeclaration]
) -> UnsafePointer<bh_module> {
  var module = bh_module()
  module.magic = BH_MAGIC
  module.struct_size = UInt32(MemoryLayout<bh_module>.size)
  module.abi_major = UInt16(BH_ABI_MAJOR)
  module.min_minor = UInt16(BH_TARGET_MINOR)
  module.header_minor = UInt16(BH_ABI_MINOR)
  module.id = permanent(id)
  module.version = permanent(version)
  module.vendor = permanent(vendor)
  module.license = permanent(license)
  module.url = url.flatMap(permanent)
  module.n_plugins = UInt64(plugins.count)
  module.plugins = permanent(plugins.map { plugin($0) })
  return permanent(module)
}

private func plugin(_ declared: PluginDeclaration) -> UnsafePointer<bh_plugin>? {
  var plugin = bh_plugin()
  plugin.struct_size = UInt32(MemoryLayout<bh_plugin>.size)
  plugin.hook = UInt32(declared.hook)
  plugin.caps = declared.capabilities
  plugin.needs = declared.needs
  plugin.id = permanent(declared.id)
  plugin.name = permanent(declared.name)
  plugin.summary = permanent(declared.summary)
  plugin.doc = permanent(declared.doc)
  plugin.n_params = UInt32(declared.parameters.count)
  plugin.granularities = declared.granularities
  plugin.params =
    declared.parameters.isEmpty
    ? nil : permanent(declared.parameters.map { parameter($0) })
  plugin.create = declared.create
  switch declared.hook {
  case BH_HOOK_SCORER:
    plugin.vtable = HookTables.scorer
    plugin.destroy = { release($0, as: (any ScorerHook).self) }
    if declared.stateVersion > 0 {
      plugin.state_version = declared.stateVersion
      plugin.reset = { instance, call in
        stateful(instance, call) { (hook, _) throws(HookFailure) in try hook.reset() }
      }
      plugin.save = { instance, call, writer in
        stateful(instance, call) { (hook, _) throws(HookFailure) in
          try StateBytes.write(try hook.save(), to: writer)
        }
      }
      plugin.load = { instance, call, reader, version in
        stateful(instance, call) { (hook, _) throws(HookFailure) in
          try hook.load(try StateBytes.read(reader), version: version)
        }
      }
    }
  case BH_HOOK_LOSS:
    plugin.vtable = HookTables.loss
    plugin.destroy = { release($0, as: (any LossHook).self) }
  default:
    plugin.vtable = HookTables.quantizer(
      observes: declared.observes, trains: declared.trains)
    plugin.destroy = { release($0, as: (any QuantizerHook).self) }
  }
  return permanent(plugin)
}

private func release<Hook>(_ pointer: UnsafeMutableRawPointer?, as type: Hook.Type) {
  guard let pointer else { return }
  Unmanaged<Instance<Hook>>.fromOpaque(pointer).release()
}

private func parameter(_ declared: ParameterDeclaration) -> UnsafePointer<bh_param>? {
  var parameter = bh_param()
  parameter.struct_size = UInt32(MemoryLayout<bh_param>.size)
  parameter.type = UInt32(declared.type)
  parameter.n_choices = UInt32(declared.choices.count)
  parameter.key = permanent(declared.key)
  parameter.doc = permanent(declared.doc)
  parameter.unit = declared.unit.flatMap(permanent)
  parameter.def.type = UInt32(declared.type)
  parameter.def.count = 1
  if declared.type == BH_TYPE_F64 {
    parameter.def.u.f64 = declared.number
  } else {
    parameter.def.u.i64 = declared.index
  }
  parameter.min = declared.range.lowerBound
  parameter.max = declared.range.upperBound
  parameter.choices = declared.choices.isEmpty ? nil : permanent(declared.choices.map(permanent))
  return permanent(parameter)
}

// MARK: - Memory for the life of the process

private func permanent(_ text: String) -> UnsafePointer<CChar>? {
  permanent(Array(text.utf8CString))
}

private func permanent<T>(_ values: [T]) -> UnsafePointer<T> {
  let copy = UnsafeMutableBufferPointer<T>.allocate(capacity: max(values.count, 1))
  _ = copy.initialize(from: values)
  return UnsafePointer(copy.baseAddress!)
}

private func permanent<T>(_ value: T) -> UnsafePointer<T> {
  let copy = UnsafeMutablePointer<T>.allocate(capacity: 1)
  copy.initialize(to: value)
  return UnsafePointer(copy)
}
