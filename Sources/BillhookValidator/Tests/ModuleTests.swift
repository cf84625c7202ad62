internal import BillhookPlugins
internal import BillhookSDK
internal import Foundation
internal import Glibc
internal import Synchronization

/// Tests of a library as a whole.
extension ConformanceTest {
  static let moduleTests: [ConformanceTest] = [
    ConformanceTest(
      "load-now-local", .core, .module, "BH-20",
      "the library resolves all its symbols by itself and exports its entry"
    ) { subject in
      let module = try ProbeModule(path: subject.path)
      try subject.require(module.entry() != nil, "\"billhook_module_v1\" returned null")
    },
    ConformanceTest(
      "entry-only-export", .pedantic, .module, "BH-20", "the library exports nothing but its entry"
    ) { subject in
      // Swift has no way to hide its own symbols, whose names hold the module's; the linker adds the
      // other three.
      let others = try LibrarySymbols(path: subject.path).exported.filter {
        !$0.hasPrefix("$s")
          && !["billhook_module_v1", "__bss_start", "_edata", "_end"].contains($0)
      }
      try subject.require(
        others.isEmpty,
        "it also exports \(others.count) symbols, such as \"\(others.first ?? "")\"; build with "
          + "hidden visibility, or a version script")
    },
    ConformanceTest(
      "needed-libs", .strict, .module, "BH-06",
      "the library brings no second thread pool and no path of its build machine"
    ) { subject in
      let symbols = try LibrarySymbols(path: subject.path)
      let pools = symbols.needed.filter { name in
        ["libgomp", "libomp", "libiomp5", "libtbb"].contains { name.hasPrefix("\($0).so") }
      }
      // The host itself runs on libgomp: a plugin that links the same library shares its pool.
      let foreign = pools.filter { !$0.hasPrefix("libgomp.so") }
      try subject.require(
        foreign.isEmpty, "it needs \(foreign.joined(separator: ", ")), a second thread pool")
    },
    ConformanceTest(
      "scan-time", .pedantic, .module, "BH-20", "loading and describing take at most 100 ms"
    ) { subject in
      let start = ContinuousClock.now
      _ = try Plugin.probed(path: subject.path)
      let elapsed = ContinuousClock.now - start
      // Depends on the machine: a warning.
      if elapsed > .milliseconds(100) { throw Remark("it took \(elapsed)") }
    },
    ConformanceTest(
      "scan-side-effects", .core, .module, "BH-08",
      "loading changes nothing of the process: threads, files, environment, signals, "
        + "floating-point mode"
    ) { subject in
      let path = realpathOf(subject.path)
      try inEmptyFolder {
        let before = ProcessState()
        let module = try ProbeModule(path: path)
        _ = module.entry()
        let changes = before.changes(to: ProcessState())
        try subject.require(changes.isEmpty, changes.joined(separator: "; "))
      }
    },
    ConformanceTest(
      "entry-idempotent", .core, .module, "BH-20",
      "the entry returns the same pointer each time, from any thread"
    ) { subject in
      let module = try ProbeModule(path: subject.path)
      let first = UInt(bitPattern: module.entry())
      let others = Mutex<Set<UInt>>([])
      let entry = module.entry
      onThreads(8) { _ in
        for _ in 0..<100 {
          let pointer = UInt(bitPattern: entry())
          others.withLock { _ = $0.insert(pointer) }
        }
      }
      let pointers = others.withLock { $0.union([first]) }
      try subject.require(
        pointers.count == 1, "801 calls returned \(pointers.count) different pointers")
    },
    ConformanceTest(
      "init-not-in-scan", .core, .module, "BH-31",
      "describing the library needs no \"init\", and \"init\" succeeds"
    ) { subject in
      let module = try ProbeModule(path: subject.path)
      guard let raw = module.module(), let initialize = raw.`init` else {
        throw NotApplicable("the module has no \"init\"")
      }
      let plugins = try Plugin.probed(path: subject.path)
      guard let plugin = plugins.first else { throw NotApplicable("there is no plugin") }
      // A call shows the host's table, which is what "init" gets.
      _ = ProbeHost.call(plugin, seed: subject.seed, in: Surroundings()) { _ in BH_OK }
      let status = initialize(ProbeHost.realTable)
      try subject.require(status >= 0, "\"init\" returned \(statusName(status))")
    },
    ConformanceTest(
      "fini-returns", .core, .module, "BH-31", "\"fini\" returns after \"init\""
    ) { subject in
      let module = try ProbeModule(path: subject.path)
      guard let raw = module.module(), let finish = raw.fini else {
        throw NotApplicable("the module has no \"fini\"")
      }
      guard let plugin = try Plugin.probed(path: subject.path).first else {
        throw NotApplicable("there is no plugin")
      }
      // No other test begins the module, so it does not end once more with this process.
      _ = ProbeHost.call(plugin, seed: subject.seed, in: Surroundings()) { _ in BH_OK }
      if let initialize = raw.`init`, initialize(ProbeHost.realTable) < 0 {
        throw NotApplicable("\"init\" fails")
      }
      finish()
    },
  ]

  static let descriptorTests: [ConformanceTest] = [
    rejection(
      "magic-version", ["BH-20", "BH-21", "BH-22", "BH-23"], "BH-21",
      "magic, versions and struct sizes are those of the headers"),
    rejection(
      "descriptor-strings", ["BH-24", "BH-25", "BH-26"], "BH-24",
      "names, ids and limits are as the header says"),
    rejection(
      "params-schema", ["BH-27"], "BH-27",
      "each parameter has a key of its own, a type, a range and a default inside of it"),
    rejection(
      "caps-known", ["BH-28"], "BH-28", "no flag is set that the host must understand but does not"
    ),
    rejection(
      "hook-tables", ["BH-29", "BH-30"], "BH-29",
      "each plugin has a known hook and all its functions"),
    ConformanceTest(
      "unknown-extension", .core, .everyHook, "BH-14",
      "an extension that nobody knows is null, also one that begins like a known one"
    ) { subject in
      let plugin = try subject.plugin()
      guard let ask = plugin.raw.get_extension else {
        throw NotApplicable("the plugin has no \"get_extension\"")
      }
      for id in [
        "", "org.example.nothing/1", "billhook.quant-export/1x", "billhook.quant-export/999",
        "billhook.explain/", String(repeating: "x", count: 4096),
      ] {
        let answer = id.withCString { ask($0) }
        try subject.require(
          answer == nil, "\"\(id.prefix(40))\" gave a table, but no such extension exists")
      }
    },
    ConformanceTest(
      "descriptor-stable", .strict, .everyHook, "BH-20",
      "what the library says of itself is the same after 100 instances"
    ) { subject in
      let plugin = try subject.plugin()
      let module = try ProbeModule(path: subject.path)
      let before = module.fingerprint()
      for _ in 0..<100 { try ProbeInstance(plugin).end() }
      try subject.require(
        module.fingerprint() == before, "its description changed after 100 instances")
    },
  ]

  /// The host's own reader decides; each of its rules belongs to one test.
  private static func rejection(
    _ name: String, _ rules: Set<String>, _ rule: String, _ claim: String
  ) -> ConformanceTest {
    ConformanceTest(name, .core, .module, rule, claim) { subject in
      do {
        _ = try Plugin.probed(path: subject.path)
      } catch PluginError.rejected(let path, let broken, let field, let found, let expected) {
        guard rules.contains(broken) else {
          throw NotApplicable("the library breaks \(broken), which another test reports")
        }
        throw Violation(
          PluginError.rejected(
            path: path, rule: broken, field: field, found: found, expected: expected
          ).description)
      } catch PluginError.changedFloatingPoint {
        throw NotApplicable("the library breaks BH-08, which another test reports")
      }
    }
  }
}

extension ProbeModule {
  /// Everything that the library says, in one text.
  fileprivate func fingerprint() -> String {
    func text(_ pointer: UnsafePointer<CChar>?) -> String {
      pointer.map { String(cString: $0) } ?? "-"
    }
    return plugins().map { plugin in
      let parameters = (0..<Int(plugin.n_params)).map { index in
        let parameter = plugin.params?[index]?.pointee
        return "\(text(parameter?.key)) \(parameter?.type ?? 0) \(text(parameter?.doc))"
      }
      return """
        \(text(plugin.id)) \(text(plugin.name)) \(text(plugin.summary)) \(text(plugin.doc)) \
        \(plugin.hook) \(plugin.caps) \(plugin.needs) \(plugin.granularities) \(parameters)
        """
    }.joined(separator: "\n")
  }
}

/// An absolute path, for a test that changes the folder.
func realpathOf(_ path: String) -> String {
  guard let resolved = realpath(path, nil) else { return path }
  defer { free(resolved) }
  return String(cString: resolved)
}

/// Runs `body` in a folder of its own, so that files which appear are the plugin's.
func inEmptyFolder<R>(_ body: () throws -> R) throws -> R {
  let manager = FileManager.default
  let old = manager.currentDirectoryPath
  let folder = manager.temporaryDirectory.appendingPathComponent("billhook-\(UUID().uuidString)")
  try manager.createDirectory(at: folder, withIntermediateDirectories: true)
  _ = manager.changeCurrentDirectoryPath(folder.path)
  defer {
    _ = manager.changeCurrentDirectoryPath(old)
    try? manager.removeItem(at: folder)
  }
  return try body()
}
