internal import BillhookSDK

/// A loaded plugin: a factory of instances.
///
/// Safety of `@unchecked`: everything is constant; the function pointers stay valid because a
/// library is never unloaded.
public final class Plugin: @unchecked Sendable {
  public let descriptor: PluginDescriptor
  typealias Create =
    @convention(c) (
      UnsafeMutablePointer<bh_call>?, UnsafePointer<bh_value>?,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> bh_status
  typealias Destroy = @convention(c) (UnsafeMutableRawPointer?) -> Void

  let create: Create
  let destroy: Destroy
  let functions: HookFunctions
  let observer: PluginObserver

  init(
    descriptor: PluginDescriptor, create: @escaping Create, destroy: @escaping Destroy,
    functions: HookFunctions, observer: PluginObserver = PluginObserver()
  ) {
    self.descriptor = descriptor
    self.create = create
    self.destroy = destroy
    self.functions = functions
    self.observer = observer
  }

  func observed(by observer: PluginObserver) -> Plugin {
    Plugin(
      descriptor: descriptor, create: create, destroy: destroy, functions: functions,
      observer: observer)
  }

  /// Checks parameters against what the plugin declares, without making an instance: unknown keys
  /// (with the nearest name), types, ranges, missing ones.
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
    return result
  }

  /// Makes an instance of a scorer.
  ///
  /// - Parameter seed: The run's seed, from which the plugin's random numbers come.
  public func makeScorer(
    _ parameters: [String: ParameterValue] = [:], seed: UInt64 = 0
  ) throws(PluginError) -> Scorer {
    guard case .scorer(let functions) = functions, let score = functions.score else {
      throw wrongHook(.scorer)
    }
    return Scorer(instance: try makeInstance(parameters, seed: seed), score: score)
  }

  /// Makes an instance of a loss.
  public func makeLoss(
    _ parameters: [String: ParameterValue] = [:], seed: UInt64 = 0
  ) throws(PluginError) -> Loss {
    guard case .loss(let functions) = functions, let compute = functions.compute else {
      throw wrongHook(.loss)
    }
    return Loss(instance: try makeInstance(parameters, seed: seed), compute: compute)
  }

  /// Makes an instance of a quantizer.
  public func makeQuantizer(
    _ parameters: [String: ParameterValue] = [:], seed: UInt64 = 0
  ) throws(PluginError) -> Quantizer {
    guard case .quantizer(let functions) = functions else { throw wrongHook(.quantizer) }
    return Quantizer(instance: try makeInstance(parameters, seed: seed), functions: functions)
  }

  private func wrongHook(_ expected: PluginDescriptor.Hook) -> PluginError {
    .wrongHook(plugin: descriptor.id, found: descriptor.hook, expected: expected)
  }

  private func makeInstance(
    _ parameters: [String: ParameterValue], seed: UInt64
  ) throws(PluginError) -> PluginInstance {
    let values = try checkParameters(parameters)
    let pairs = zip(descriptor.parameters, values).map { (parameter: $0, value: $1.value) }
    let context = CallContext(plugin: self, seed: seed, layer: nil)
    let cParameters = CParameters(pairs)
    var pointer: UnsafeMutableRawPointer?
    _ = try withExtendedLifetime(cParameters) { () throws(PluginError) in
      try context.run("create") { [create] call in
        withUnsafeMutablePointer(to: &pointer) { create(call, cParameters.values, $0) }
      }
    }
    return PluginInstance(plugin: self, seed: seed, pointer: pointer)
  }
}

/// An instance that the plugin made; ended with this object.
final class PluginInstance {
  let plugin: Plugin
  let seed: UInt64
  /// The plugin's own; null is legal for one without state.
  let pointer: UnsafeMutableRawPointer?

  init(plugin: Plugin, seed: UInt64, pointer: UnsafeMutableRawPointer?) {
    self.plugin = plugin
    self.seed = seed
    self.pointer = pointer
  }

  deinit { plugin.destroy(pointer) }

  var id: String { plugin.descriptor.id }

  func context(_ layer: LayerContext?) -> CallContext {
    CallContext(plugin: plugin, seed: seed, layer: layer)
  }
}
