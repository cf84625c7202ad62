internal import BillhookSDK
internal import BillhookTensor

/// A loaded plugin: a factory of instances.
///
/// Safety of `@unchecked`: everything is constant; the function pointers stay valid because a
/// library is never unloaded.
public final class Plugin: @unchecked Sendable {
  public let descriptor: PluginDescriptor
  let entry: PluginEntry
  let observer: PluginObserver
  /// Where the plugin runs; nil for this process.
  let worker: WorkerLibrary.Remote?
  /// The id for ``FaultMark``; nil for a plugin in a worker.
  let markedName: UnsafePointer<CChar>?

  /// Where the plugin's code runs.
  public var isolation: Isolation { worker?.library.isolation ?? .inproc }
  /// What confines it, once it runs in a worker.
  public var confinement: Confinement? { worker?.library.confinement }

  init(
    descriptor: PluginDescriptor, entry: PluginEntry, observer: PluginObserver = PluginObserver(),
    worker: WorkerLibrary.Remote? = nil
  ) {
    self.descriptor = descriptor
    self.entry = entry
    self.observer = observer
    self.worker = worker
    markedName = worker == nil ? UnsafePointer(cString(descriptor.id)) : nil
  }

  deinit { markedName?.deallocate() }

  func observed(by observer: PluginObserver) -> Plugin {
    Plugin(descriptor: descriptor, entry: entry, observer: observer, worker: worker)
  }

  /// A table that the plugin offers under an id, such as "billhook.quant-export/1"; nil when it does
  /// not have it. The table lives as long as the process.
  func extensionTable(_ id: String) -> UnsafeRawPointer? {
    guard let getExtension = entry.getExtension else { return nil }
    let name = cString(id)
    defer { name.deallocate() }
    return getExtension(name)
  }

  /// A copy of a table that the plugin offers under an id; nil when it does not have it.
  ///
  /// - Throws: ``PluginError/wrongResult(plugin:function:layer:result:found:expected:)`` for a table
  ///   that is too short or lacks functions.
  func extensionTable<Table>(
    _ id: String, zero: Table, complete: (Table) -> Bool
  ) throws(PluginError) -> Table? {
    guard let pointer = extensionTable(id) else { return nil }
    let size = pointer.load(as: UInt32.self)
    let least = MemoryLayout<Table>.size
    func wrong(_ found: String, _ expected: String) -> PluginError {
      .wrongResult(
        plugin: descriptor.id, function: "get_extension", layer: nil, result: "\"\(id)\"",
        found: found, expected: expected)
    }
    guard Int(size) >= least else {
      throw wrong("a table with a struct_size of \(size)", "one of at least \(least)")
    }
    let table = copyStruct(Table.self, from: pointer, theirSize: size, zero: zero)
    guard complete(table) else { throw wrong("a table with a null function", "complete") }
    return table
  }

  /// Checks parameters against what the plugin declares, without making an instance: unknown keys
  /// (with the nearest name), types, ranges, missing ones, and
  /// what the plugin's own `validate` finds between them.
  ///
  /// - Returns: Every declared parameter with its value, in declared order.
  public func checkParameters(
    _ given: [String: ParameterValue]
  ) throws(PluginError) -> [(key: String, value: ParameterValue)] {
    let known = descriptor.parameters.map(\.key)
    // Sorted, so that of two mistakes the same one is reported each time.
    for key in given.keys.sorted() where !known.contains(key) {
      throw .unknownParameter(
        plugin: descriptor.id, key: key, nearest: nearestNames(to: key, in: known), known: known)
    }
    var result: [(key: String, value: ParameterValue)] = []
    for parameter in descriptor.parameters {
      if let value = given[parameter.key] {
        let check = ParameterCheck(plugin: descriptor.id, parameter: parameter)
        result.append((parameter.key, try check.checked(value)))
      } else if parameter.isRequired {
        throw .missingParameter(
          plugin: descriptor.id, key: parameter.key, expected: parameter.expectation)
      } else {
        result.append((parameter.key, parameter.defaultValue))
      }
    }
    if let validate = entry.validate {
      let cParameters = CParameters(zip(descriptor.parameters, result).map { ($0, $1.value) })
      let context = CallContext(plugin: self, seed: 0)
      _ = try withExtendedLifetime(cParameters) { () throws(PluginError) in
        try context.run("validate") { call in validate(call, cParameters.values) }
      }
    }
    return result
  }

  /// Makes an instance of a scorer.
  ///
  /// - Parameter seed: The run's seed, from which the plugin's random numbers come.
  public func makeScorer(
    _ parameters: [String: ParameterValue] = [:], seed: UInt64 = 0
  ) throws(PluginError) -> Scorer {
    guard case .scorer(let functions) = entry.functions, let score = functions.score else {
      throw wrongHook(.scorer)
    }
    return Scorer(
      instance: try makeInstance(parameters, seed: seed), score: score, functions: functions)
  }

  /// Makes an instance of a loss.
  public func makeLoss(
    _ parameters: [String: ParameterValue] = [:], seed: UInt64 = 0
  ) throws(PluginError) -> Loss {
    guard case .loss(let functions) = entry.functions, let compute = functions.compute else {
      throw wrongHook(.loss)
    }
    return Loss(instance: try makeInstance(parameters, seed: seed), compute: compute)
  }

  /// Makes an instance of a quantizer.
  public func makeQuantizer(
    _ parameters: [String: ParameterValue] = [:], seed: UInt64 = 0
  ) throws(PluginError) -> Quantizer {
    guard case .quantizer(let functions) = entry.functions else { throw wrongHook(.quantizer) }
    let export = try extensionTable(
      BH_EXT_QUANT_EXPORT, zero: bh_quant_export(),
      complete: {
        $0.packed_bytes != nil && $0.pack != nil && $0.unpack != nil
      })
    return Quantizer(
      instance: try makeInstance(parameters, seed: seed), functions: functions, export: export)
  }

  private func wrongHook(_ expected: PluginDescriptor.Hook) -> PluginError {
    .wrongHook(plugin: descriptor.id, found: descriptor.hook, expected: expected)
  }

  private func makeInstance(
    _ parameters: [String: ParameterValue], seed: UInt64
  ) throws(PluginError) -> PluginInstance {
    let values = try checkParameters(parameters)
    try entry.lifetime.begin()
    let pairs = zip(descriptor.parameters, values).map { (parameter: $0, value: $1.value) }
    let context = CallContext(plugin: self, seed: seed)
    let cParameters = CParameters(pairs)
    let create = entry.create
    var pointer: UnsafeMutableRawPointer?
    _ = try withExtendedLifetime(cParameters) { () throws(PluginError) in
      try context.run("create") { call in
        withUnsafeMutablePointer(to: &pointer) { create(call, cParameters.values, $0) }
      }
    }
    return PluginInstance(plugin: self, seed: seed, parameters: parameters, pointer: pointer)
  }
}

/// The functions of one plugin.
struct PluginEntry {
  typealias Create =
    @convention(c) (
      UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_value>?,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> bh_status
  typealias Destroy = @convention(c) (UnsafeMutableRawPointer?) -> Void
  typealias Validate =
    @convention(c) (UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_value>?) -> bh_status
  typealias Reset =
    @convention(c) (UnsafeMutableRawPointer?, UnsafeMutablePointer<bh_call>?) -> bh_status
  typealias Save =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_writer>?
    ) -> bh_status
  typealias Load =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_reader>?, UInt32
    ) -> bh_status
  typealias GetExtension = @convention(c) (UnsafePointer<CChar>?) -> UnsafeRawPointer?

  var create: Create
  var destroy: Destroy
  var validate: Validate?
  var reset: Reset?
  var save: Save?
  var load: Load?
  var getExtension: GetExtension?
  var functions: HookFunctions
  var lifetime: ModuleLifetime
  /// Of a plugin that is made of plain functions.
  var plain: PlainFunctions?
}
