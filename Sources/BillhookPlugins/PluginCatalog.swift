/// The plugins that can be used by id, and the way to load one by path.
public final class PluginCatalog {
  /// Looks for `libbillhook-plugin-*.so` in the given folders, in order; by default the built-ins'
  /// folders (``builtInFolders``). An unloadable file is kept as a finding, not thrown.
  public init(folders: [String]? = nil) { fatalError("skeleton") }

  /// The executable's folder (a build tree) and `../lib/billhook/plugins` beside it (installed).
  public static var builtInFolders: [String] { fatalError("skeleton") }

  /// Every plugin found, ordered by hook and id.
  public var plugins: [Plugin] { fatalError("skeleton") }
  /// Files that could not be loaded, with the reason.
  public var failures: [(path: String, error: PluginError)] { fatalError("skeleton") }

  /// Finds a plugin by id, or by the last part of an id, or loads the one (or the one with the
  /// right hook) in the library at a path (anything with a "/" or ending in ".so").
  ///
  /// - Throws: ``PluginError``; an unknown id is answered with the nearest ones.
  public func plugin(_ idOrPath: String, hook: PluginDescriptor.Hook) throws(PluginError) -> Plugin {
    fatalError("skeleton")
  }
}

/// A loaded plugin: a factory of instances.
public final class Plugin {
  public let descriptor: PluginDescriptor
  init(descriptor: PluginDescriptor) { self.descriptor = descriptor }

  /// Checks parameters against what the plugin declares, without making an instance: unknown keys
  /// (with the nearest name), types, ranges, missing ones.
  ///
  /// - Returns: Every declared parameter with its value, in declared order.
  public func checkParameters(
    _ given: [String: ParameterValue]
  ) throws(PluginError) -> [(key: String, value: ParameterValue)] { fatalError("skeleton") }

  /// Makes instances. The hook must match (checked).
  public func makeScorer(_ parameters: [String: ParameterValue], seed: UInt64) throws(PluginError) -> Scorer {
    fatalError("skeleton")
  }
  public func makeLoss(_ parameters: [String: ParameterValue], seed: UInt64) throws(PluginError) -> Loss {
    fatalError("skeleton")
  }
  public func makeQuantizer(_ parameters: [String: ParameterValue], seed: UInt64) throws(PluginError) -> Quantizer {
    fatalError("skeleton")
  }
}
