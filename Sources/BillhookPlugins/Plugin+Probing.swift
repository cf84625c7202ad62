package import BillhookSDK
internal import BillhookSandbox
internal import Glibc

// What the validator needs of the host's own side, so that it tests plugins with the host's calls
// and not with an imitation of them.
extension Plugin {
  /// Lets this process end with the one that started it: a plugin that never returns must not outlive
  /// who waits for it.
  package static func endWithParent() { _ = bh_end_with(getppid()) }

  /// How a probing call ended.
  package struct ProbeOutcome: Sendable {
    package var status: bh_status
    package var message: String?
    /// Set when the call changed the floating-point mode (it was set back).
    package var hasChangedFloatingPoint = false
  }

  /// The plugins of a library, loaded into this process whatever the policy says of it.
  package static func probed(path: String) throws(PluginError) -> [Plugin] {
    try ModuleLoader.load(LibraryFile(path: path))
  }

  /// The plugin of a library that is like another one, in a worker.
  package static func probed(
    path: String, inWorker settings: PluginSettings, like other: Plugin
  ) throws(PluginError) -> Plugin {
    var settings = settings
    settings.isolation = .worker
    return try PluginCatalog(folders: [], settings: settings)
      .plugin("\(path)#\(other.descriptor.id)", hook: other.descriptor.hook)
  }

  /// A plugin's struct with the functions that the host calls in place of its own. The tables live as
  /// long as the process.
  package func probeFunctions(in given: bh_plugin) -> bh_plugin {
    func kept<T>(_ table: T) -> UnsafeRawPointer {
      let place = UnsafeMutablePointer<T>.allocate(capacity: 1)
      place.initialize(to: table)
      return UnsafeRawPointer(place)
    }
    var plugin = given
    plugin.create = entry.create
    plugin.destroy = entry.destroy
    plugin.validate = entry.validate
    plugin.reset = entry.reset
    plugin.save = entry.save
    plugin.load = entry.load
    plugin.get_extension = entry.getExtension
    plugin.vtable =
      switch entry.functions {
      case .scorer(let table): kept(table)
      case .loss(let table): kept(table)
      case .quantizer(let table): kept(table)
      }
    return plugin
  }

  /// Runs `body` with a call of the host's, as every hook function is run.
  package func probe(
    seed: UInt64, layer: LayerContext?, _ body: (UnsafeMutablePointer<bh_call>) -> bh_status
  ) -> ProbeOutcome {
    let context = CallContext(
      plugin: self, seed: seed, layer: layer.map { ($0.index, $0.name) })
    do {
      return ProbeOutcome(status: try context.run("probe", body))
    } catch .failed(_, _, _, let status, let message) {
      return ProbeOutcome(status: status, message: message)
    } catch .changedFloatingPoint(let plugin, let function, let layer, let before, let after) {
      let error = PluginError.changedFloatingPoint(
        plugin: plugin, function: function, layer: layer, before: before, after: after)
      return ProbeOutcome(
        status: BH_E_INTERNAL, message: "\(error)", hasChangedFloatingPoint: true)
    } catch {
      return ProbeOutcome(status: BH_E_INTERNAL, message: "\(error)")
    }
  }
}

/// Parameter values in C's form, unchecked: a validator hands out wrong ones too.
package final class ProbeParameters: @unchecked Sendable {
  private let parameters: CParameters
  package let count: Int

  /// - Parameter values: One for each declared parameter, in declared order.
  package init(_ plugin: Plugin, _ values: [ParameterValue]) {
    let pairs = zip(plugin.descriptor.parameters, values).map { (parameter: $0, value: $1) }
    parameters = CParameters(pairs)
    count = pairs.count
  }

  package var values: UnsafeMutablePointer<bh_value> { parameters.values }
}
