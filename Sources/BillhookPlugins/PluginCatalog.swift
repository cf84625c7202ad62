internal import Foundation
internal import Synchronization

/// The plugins that can be used by id, and the way to load one by path.
public final class PluginCatalog: Sendable {
  /// Every plugin found, ordered by hook and id.
  public let plugins: [Plugin]
  /// Files that could not be loaded, with the reason.
  public let failures: [(path: String, error: PluginError)]
  private let observer: PluginObserver
  private let byPath = Mutex<[String: [Plugin]]>([:])

  /// Looks for `libbillhook-plugin-*.so` and `*.bhplug.json` in the given folders, in order; by default the built-ins'
  /// folders (``builtInFolders``). An unloadable file is kept as a finding, not thrown.
  ///
  /// - Parameter observer: Gets what the plugins log, and can cancel them.
  public init(folders: [String]? = nil, observer: PluginObserver = PluginObserver()) {
    self.observer = observer
    var found: [Plugin] = []
    var failures: [(path: String, error: PluginError)] = []
    for path in (folders ?? Self.builtInFolders).flatMap(Self.libraries) {
      do {
        for plugin in try Self.plugins(of: path) {
          let id = plugin.descriptor.id
          if let first = found.first(where: { $0.descriptor.id == id }) {
            // The same file under two folders is no finding.
            guard first.descriptor.module.sha256 != plugin.descriptor.module.sha256 else {
              continue
            }
            failures.append(
              (path, .duplicatePlugin(plugin: id, path: path, first: first.descriptor.module.path)))
          } else {
            found.append(plugin.observed(by: observer))
          }
        }
      } catch {
        failures.append((path, error))
      }
    }
    let hooks = PluginDescriptor.Hook.allCases
    plugins = found.sorted {
      let left = $0.descriptor
      let right = $1.descriptor
      return left.hook == right.hook
        ? left.id < right.id
        : (hooks.firstIndex(of: left.hook) ?? 0) < (hooks.firstIndex(of: right.hook) ?? 0)
    }
    self.failures = failures
  }

  /// The executable's folder (a build tree) and `../lib/billhook/plugins` beside it (installed).
  public static var builtInFolders: [String] {
    guard let executable = realpath("/proc/self/exe", nil) else { return [] }
    defer { free(executable) }
    let folder = URL(fileURLWithPath: String(cString: executable)).deletingLastPathComponent()
    let installed = folder.deletingLastPathComponent().appendingPathComponent(
      "lib/billhook/plugins")
    return [folder.path, installed.path]
  }

  private static func libraries(in folder: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter {
      $0.hasPrefix("libbillhook-plugin-") && $0.hasSuffix(".so") || PlainLoader.isManifest($0)
    }.sorted().map { "\(folder)/\($0)" }
  }

  /// The plugins of a library, or of a manifest of plain functions.
  private static func plugins(of path: String) throws(PluginError) -> [Plugin] {
    PlainLoader.isManifest(path)
      ? try PlainLoader.plugins(manifest: path) : try ModuleLoader.load(path: path)
  }

  /// Finds a plugin by id, or by the last parts of an id, or loads the one with the right hook in
  /// the library or manifest at a path (anything with a "/" or ending in ".so" or ".bhplug.json";
  /// `FILE#ID` when there are several), or makes one of a plain function (`ffi:LIBRARY:SIGNATURE`).
  ///
  /// - Throws: ``PluginError``; an unknown id is answered with the nearest ones.
  public func plugin(
    _ idOrPath: String, hook: PluginDescriptor.Hook
  ) throws(PluginError) -> Plugin {
    if PlainLoader.isInline(idOrPath) { return try inline(idOrPath, hook: hook) }
    let (path, id) = Self.splitPath(idOrPath)
    guard let path else { return try choose(idOrPath, hook: hook, from: plugins) }
    let loaded = try load(path)
    if let id { return try choose(id, hook: hook, from: loaded) }
    let fitting = loaded.filter { $0.descriptor.hook == hook }
    guard let first = fitting.first else {
      throw .wrongHook(
        plugin: loaded[0].descriptor.id, found: loaded[0].descriptor.hook, expected: hook)
    }
    guard fitting.count == 1 else {
      throw .ambiguousPlugin(name: path, hook: hook, ids: fitting.map(\.descriptor.id))
    }
    return first
  }

  /// What a name is most likely to be when its hook is not said: a scorer, the most common kind, or
  /// what an inline form looks like.
  public static func likelyHook(of name: String) -> PluginDescriptor.Hook {
    guard PlainLoader.isInline(name) else { return .scorer }
    return name.contains("row_block") ? .quantizer : name.contains("student") ? .loss : .scorer
  }

  private func load(_ path: String) throws(PluginError) -> [Plugin] {
    if let known = byPath.withLock({ $0[path] }) { return known }
    let plugins = try Self.plugins(of: path).map { $0.observed(by: observer) }
    byPath.withLock { $0[path] = plugins }
    return plugins
  }

  private func inline(
    _ text: String, hook: PluginDescriptor.Hook
  ) throws(PluginError) -> Plugin {
    let key = "\(hook.rawValue) \(text)"
    if let known = byPath.withLock({ $0[key] }) { return known[0] }
    let plugin = try PlainLoader.plugin(inline: text, hook: hook).observed(by: observer)
    byPath.withLock { $0[key] = [plugin] }
    return plugin
  }

  private static func splitPath(_ text: String) -> (path: String?, id: String?) {
    func isFile(_ text: some StringProtocol) -> Bool {
      text.hasSuffix(".so") || PlainLoader.isManifest(String(text))
    }
    if let mark = text.lastIndex(of: "#"), isFile(text[..<mark]) {
      return (String(text[..<mark]), String(text[text.index(after: mark)...]))
    }
    return (text.contains("/") || isFile(text) ? text : nil, nil)
  }

  private func choose(
    _ name: String, hook: PluginDescriptor.Hook, from plugins: [Plugin]
  ) throws(PluginError) -> Plugin {
    let fitting = plugins.filter { $0.descriptor.hook == hook }
    if let exact = fitting.first(where: { $0.descriptor.id == name }) { return exact }
    let ending = fitting.filter { $0.descriptor.id.hasSuffix(".\(name)") }
    if ending.count == 1 { return ending[0] }
    if ending.count > 1 {
      throw .ambiguousPlugin(name: name, hook: hook, ids: ending.map(\.descriptor.id))
    }
    if let other = plugins.first(where: {
      $0.descriptor.id == name || $0.descriptor.id.hasSuffix(".\(name)")
    }) {
      throw .wrongHook(plugin: other.descriptor.id, found: other.descriptor.hook, expected: hook)
    }
    let known = fitting.map(\.descriptor.id)
    throw .unknownPlugin(
      name: name, hook: hook, nearest: nearestNames(to: name, in: known), known: known)
  }
}
