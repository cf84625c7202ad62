internal import BillhookTensor
internal import Foundation
internal import Synchronization

/// The plugins that can be used by id, and the way to load one by path.
///
/// Listing loads nothing that is known from an earlier time: a library is loaded when one of its
/// plugins is asked for. Where it runs, ``PluginSettings`` and the trust file decide.
public final class PluginCatalog: Sendable {
  /// A plugin that can be named by id.
  public struct Entry: Sendable {
    public var descriptor: PluginDescriptor
    public var origin: LibraryOrigin
    public var decision: TrustDecision
    let file: LibraryFile
  }

  /// What was found, ordered by hook and id.
  public let entries: [Entry]
  /// Files that cannot be used, with the reason.
  public let failures: [(path: String, error: PluginError)]
  private let observer: PluginObserver
  private let rules: TrustRules
  private let cache: DescriptorCache
  private let loaded = Mutex<[String: [Plugin]]>([:])

  private var settings: PluginSettings { rules.settings }

  /// Looks for `libbillhook-plugin-*.so` and `*.bhplug.json` in the built-ins' folders and then in
  /// those of ``PluginHome/searchFolders``. What cannot be used is kept as a finding, not thrown.
  ///
  /// - Parameters:
  ///   - folders: The built-ins' folders; by default ``builtInFolders``.
  ///   - observer: Gets what the plugins log, and can cancel them.
  public init(
    folders: [String]? = nil, settings: PluginSettings = PluginSettings(),
    observer: PluginObserver = PluginObserver()
  ) {
    self.observer = observer
    var failures: [(path: String, error: PluginError)] = []
    var candidates: [(file: LibraryFile, origin: LibraryOrigin)] = []
    func look(in folder: String, _ origin: LibraryOrigin) -> [LibraryFile] {
      Self.libraries(in: folder).compactMap { path in
        do throws(PluginError) {
          return try Self.file(path)
        } catch {
          failures.append((path, error))
          return nil
        }
      }
    }
    var builtIns: Set<String> = []
    for folder in folders ?? Self.builtInFolders {
      let files = look(in: folder, .builtIn)
      builtIns.formUnion(BuiltInList.digests(in: folder, libraries: files))
      candidates += files.map { ($0, .builtIn) }
    }
    var policy: PluginPolicy?
    do throws(PluginError) {
      policy = try PluginPolicy(path: settings.home.policyPath)
    } catch {
      failures.append((settings.home.policyPath, error))
    }
    if !settings.onlyBuiltIns {
      for folder in settings.home.searchFolders {
        candidates += look(in: folder, .searched).map { ($0, .searched) }
      }
    }
    let rules = TrustRules(settings: settings, policy: policy, builtIns: builtIns)
    self.rules = rules
    let cache = DescriptorCache(settings.home)
    self.cache = cache

    // The same file under two folders is no finding.
    var seen: Set<String> = []
    candidates.removeAll { !seen.insert($0.file.identity).inserted }
    var decided: [(file: LibraryFile, origin: LibraryOrigin, decision: TrustDecision)] = []
    for (file, origin) in candidates {
      let decision = rules.decision(file, origin)
      if decision.isolation != nil {
        decided.append((file, origin, decision))
      } else {
        failures.append((file.name, Self.untrusted(file, decision)))
      }
    }
    let described = LibraryScan(settings: settings, cache: cache)
      .descriptions(of: decided.map { ($0.file, $0.decision.isolation ?? .worker) })
    var found: [Entry] = []
    for (index, (file, origin, decision)) in decided.enumerated() {
      switch described[index] {
      case .failure(let error): failures.append((file.name, error))
      case .success(let descriptions):
        for descriptor in descriptions.map(\.descriptor) where settings.allows(id: descriptor.id) {
          if let first = found.first(where: { $0.descriptor.id == descriptor.id }) {
            failures.append(
              (
                file.name,
                .duplicatePlugin(
                  plugin: descriptor.id, path: file.name, first: first.descriptor.module.path)
              ))
          } else {
            found.append(
              Entry(descriptor: descriptor, origin: origin, decision: decision, file: file))
          }
        }
      }
    }
    let hooks = PluginDescriptor.Hook.allCases
    entries = found.sorted {
      let left = $0.descriptor
      let right = $1.descriptor
      return left.hook == right.hook
        ? left.id < right.id
        : (hooks.firstIndex(of: left.hook) ?? 0) < (hooks.firstIndex(of: right.hook) ?? 0)
    }
    self.failures = failures
  }

  /// What the plugins that can be named by id say of themselves, ordered by hook and id.
  public var descriptors: [PluginDescriptor] { entries.map(\.descriptor) }

  /// The executable's folder (a build tree) and `../lib/billhook/plugins` beside it (installed).
  public static var builtInFolders: [String] {
    let folder = URL(fileURLWithPath: PluginSettings.executablePath).deletingLastPathComponent()
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

  /// The library at a path, or the one that the manifest there is about.
  private static func file(_ path: String) throws(PluginError) -> LibraryFile {
    guard PlainLoader.isManifest(path) else { return try LibraryFile(path: path) }
    return try LibraryFile(plain: PlainSource(manifest: path))
  }

  private static func untrusted(_ file: LibraryFile, _ decision: TrustDecision) -> PluginError {
    .untrusted(path: file.name, sha256: file.identity, reason: decision.reason)
  }

  // MARK: - Choosing

  /// Finds a plugin by id, or by the last parts of an id, or loads the one with the right hook in
  /// the library or manifest at a path (anything with a "/" or ending in ".so" or ".bhplug.json";
  /// `FILE#ID` when there are several), or makes one of a plain function (`ffi:LIBRARY:SIGNATURE`).
  ///
  /// - Parameter isolation: Where it must run at least; nil leaves it to the settings and the trust
  ///   file. Nothing here can make it milder than those.
  /// - Parameter onCrash: What happens when it crashes in a worker; nil leaves it to the settings.
  /// - Throws: ``PluginError``; an unknown id is answered with the nearest ones.
  public func plugin(
    _ idOrPath: String, hook: PluginDescriptor.Hook, isolation: Isolation? = nil,
    onCrash: CrashPolicy? = nil
  ) throws(PluginError) -> Plugin {
    if PlainLoader.isInline(idOrPath) {
      guard !settings.onlyBuiltIns else { throw .onlyBuiltIns(path: idOrPath) }
      let file = try LibraryFile(plain: PlainSource(inline: idOrPath, hook: hook))
      let plugins = try load(file, rules.decision(file, .given), isolation, onCrash, .given)
      return try plugin(plugins[0].descriptor.id, in: plugins, hook)
    }
    let (path, id) = Self.splitPath(idOrPath)
    guard let path else {
      let descriptor = try choose(idOrPath, hook: hook, from: descriptors)
      guard let entry = entries.first(where: { $0.descriptor == descriptor }) else {
        preconditionFailure("\"\(descriptor.id)\" was chosen from the entries")
      }
      let plugins = try load(entry.file, entry.decision, isolation, onCrash, entry.origin)
      return try plugin(descriptor.id, in: plugins, hook)
    }
    guard !settings.onlyBuiltIns else { throw .onlyBuiltIns(path: path) }
    let file = try Self.file(path)
    let plugins = try load(file, rules.decision(file, .given), isolation, onCrash, .given)
    if let id {
      let chosen = try choose(id, hook: hook, from: plugins.map(\.descriptor))
      return try plugin(chosen.id, in: plugins, hook)
    }
    let fitting = plugins.filter { $0.descriptor.hook == hook }
    guard let first = fitting.first else {
      throw .wrongHook(
        plugin: plugins[0].descriptor.id, found: plugins[0].descriptor.hook, expected: hook)
    }
    guard fitting.count == 1 else {
      throw .ambiguousPlugin(name: path, hook: hook, ids: fitting.map(\.descriptor.id))
    }
    return try plugin(first.descriptor.id, in: plugins, hook)
  }

  /// True for a plain function that is written inline (`ffi:LIBRARY:SIGNATURE`).
  public static func isPlainFunction(_ text: String) -> Bool { PlainLoader.isInline(text) }

  /// What a name is most likely to be when its hook is not said: a scorer, the most common kind, or
  /// what an inline form looks like.
  public static func likelyHook(of name: String) -> PluginDescriptor.Hook {
    guard PlainLoader.isInline(name) else { return .scorer }
    return name.contains("row_block") ? .quantizer : name.contains("student") ? .loss : .scorer
  }

  private func plugin(
    _ id: String, in plugins: [Plugin], _ hook: PluginDescriptor.Hook
  ) throws(PluginError) -> Plugin {
    guard let pattern = settings.onlyMatching, !settings.allows(id: id) else {
      if let plugin = plugins.first(where: { $0.descriptor.id == id }) { return plugin }
      throw .unknownPlugin(
        name: id, hook: hook, nearest: [], known: plugins.map(\.descriptor.id))
    }
    throw .notAllowed(plugin: id, pattern: pattern)
  }

  private func load(
    _ file: LibraryFile, _ decision: TrustDecision, _ wanted: Isolation?,
    _ onCrash: CrashPolicy?, _ origin: LibraryOrigin
  ) throws(PluginError) -> [Plugin] {
    guard let granted = decision.isolation else { throw Self.untrusted(file, decision) }
    if let wanted, wanted < granted {
      throw .isolationNotGranted(path: file.name, wanted: wanted, granted: granted)
    }
    let isolation = wanted ?? granted
    var settings = settings
    settings.crashPolicy = onCrash ?? settings.crashPolicy
    let key =
      "\(file.identity) \(file.path) \(isolation.rawValue) \(settings.crashPolicy.rawValue)"
    if let known = loaded.withLock({ $0[key] }) { return known }
    if origin != .builtIn, let entry = settings.quarantine.entry(of: file) {
      throw entry.error(file)
    }
    // Plain functions are tried first, in a process of their own, wherever they run then.
    let known =
      file.plain == nil
      ? cache.descriptions(of: file)
      : try LibraryScan(settings: settings, cache: cache).tried(file, isolation)
    let plugins: [Plugin]
    if isolation == .inproc {
      let copy = try LibraryStore(settings.home).copy(file, strictly: false)
      FaultMark.install()
      plugins = try ModuleLoader.load(copy).map { $0.observed(by: observer) }
    } else {
      let library = try WorkerLibrary(file, isolation, settings, known: known, observer: observer)
      plugins = library.plugins()
      let bound = plugins.first { $0.descriptor.capabilities.contains(.requiresInProcess) }
      if let bound { throw .requiresInProcess(plugin: bound.descriptor.id, path: file.path) }
      if known == nil { cache.keep(library.descriptions, of: file) }
    }
    return loaded.withLock { loaded in
      // Of two threads that load the same, the first one's plugins count.
      if let first = loaded[key] { return first }
      loaded[key] = plugins
      return plugins
    }
  }

  /// Why a library is used the way it is, or not at all.
  ///
  /// - Returns: What was decided about the library, manifest or plain function, or about the one with a
  ///   plugin of this id; nil for an id that is not known.
  public func why(_ idOrPath: String) throws(PluginError) -> LibraryAccount? {
    func account(_ file: LibraryFile) -> LibraryAccount {
      LibraryAccount(file, .given, rules.decision(file, .given), settings)
    }
    if PlainLoader.isInline(idOrPath) {
      let hook = Self.likelyHook(of: idOrPath)
      return account(try LibraryFile(plain: PlainSource(inline: idOrPath, hook: hook)))
    }
    if let path = Self.splitPath(idOrPath).path { return account(try Self.file(path)) }
    let entry = entries.first {
      $0.descriptor.id == idOrPath || $0.descriptor.id.hasSuffix(".\(idOrPath)")
    }
    return entry.map { LibraryAccount($0.file, $0.origin, $0.decision, settings) }
  }

  static func splitPath(_ text: String) -> (path: String?, id: String?) {
    func isFile(_ text: some StringProtocol) -> Bool {
      text.hasSuffix(".so") || PlainLoader.isManifest(String(text))
    }
    guard !PlainLoader.isInline(text) else { return (nil, nil) }
    if let mark = text.lastIndex(of: "#"), isFile(text[..<mark]) {
      return (String(text[..<mark]), String(text[text.index(after: mark)...]))
    }
    return (text.contains("/") || isFile(text) ? text : nil, nil)
  }

  private func choose(
    _ name: String, hook: PluginDescriptor.Hook, from descriptors: [PluginDescriptor]
  ) throws(PluginError) -> PluginDescriptor {
    let fitting = descriptors.filter { $0.hook == hook }
    if let exact = fitting.first(where: { $0.id == name }) { return exact }
    let ending = fitting.filter { $0.id.hasSuffix(".\(name)") }
    if ending.count == 1 { return ending[0] }
    if ending.count > 1 {
      throw .ambiguousPlugin(name: name, hook: hook, ids: ending.map(\.id))
    }
    if let other = descriptors.first(where: { $0.id == name || $0.id.hasSuffix(".\(name)") }) {
      throw .wrongHook(plugin: other.id, found: other.hook, expected: hook)
    }
    let known = fitting.map(\.id)
    throw .unknownPlugin(
      name: name, hook: hook, nearest: nearestNames(to: name, in: known), known: known)
  }
}
