import BillhookPlugins
import BillhookTestSupport
import Foundation
import Testing

@Suite(.serialized) struct TrustTests {
  static func digest(_ path: String, _ settings: PluginSettings) throws -> String {
    try #require(try PluginCatalog(folders: [], settings: settings).why(path)).sha256
  }

  static func folder(with library: String, _ settings: inout PluginSettings) throws -> String {
    let folder = "\(settings.home.cacheFolder)-plugins"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let path = "\(folder)/libbillhook-plugin-found.so"
    try FileManager.default.copyItem(atPath: library, toPath: path)
    settings.home.searchFolders = [folder]
    return path
  }

  @Test func `an unknown library given by path runs in a worker`() throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    let catalog = PluginCatalog(folders: [], settings: try separateSettings(nil))
    #expect(try catalog.plugin(path, hook: .scorer).isolation == .worker)
    let account = try #require(try catalog.why(path))
    #expect(account.reason == "it was given by path and is not known")
    #expect(account.exportedSymbols.contains("billhook_module_v1"))
    #expect(account.byteCount.map { $0 > 1000 } == true)
  }

  @Test func `a private copy that was changed is made again`() throws {
    let path = try compiledPlugin("Plugins/Examples/c-taylor/taylor.c")
    let settings = try separateSettings(nil)
    let original = try Data(contentsOf: URL(fileURLWithPath: path))
    func copies() throws -> [String] {
      _ = try PluginCatalog(folders: [], settings: settings).plugin(path, hook: .scorer)
        .makeScorer()
      let cache = settings.home.cacheFolder
      return try FileManager.default.subpathsOfDirectory(atPath: cache)
        .filter { $0.hasSuffix(".so") }.map { "\(cache)/\($0)" }
    }
    let copy = try #require(try copies().first)
    #expect(try Data(contentsOf: URL(fileURLWithPath: copy)) == original)
    // Another file in its place, as a running worker may have the old one open.
    try FileManager.default.removeItem(atPath: copy)
    try original.dropLast(100).write(to: URL(fileURLWithPath: copy))
    #expect(try copies() == [copy])
    #expect(try Data(contentsOf: URL(fileURLWithPath: copy)) == original)
  }

  @Test func `an unknown library in a folder is not used, until it is trusted`() throws {
    var settings = try separateSettings(nil)
    let path = try Self.folder(
      with: compiledPlugin("Tests/BrokenPlugins/parameters.c"), &settings)
    let before = PluginCatalog(folders: [], settings: settings)
    let sha256 = try Self.digest(path, settings)
    #expect(before.descriptors.isEmpty)
    #expect(
      before.failures.map(\.error.description) == [
        """
        The plugin "\(path)" (SHA-256 \(sha256.prefix(12))…) is not trusted: it was found in a \
        folder, and the trust file has no rule for it. Run billhook plugin trust "\(path)" to \
        allow it.
        """
      ])
    for isolation in [Isolation.worker, .inproc] {
      try PluginPolicy(rules: [.init(sha256: sha256, isolation: isolation)])
        .write(to: settings.home.policyPath)
      let after = PluginCatalog(folders: [], settings: settings)
      #expect(after.descriptors.map(\.id) == ["org.example.parameters"])
      #expect(try after.plugin("parameters", hook: .scorer).isolation == isolation)
    }
  }

  @Test func `the doctor lists the rules of the trust file`() throws {
    var settings = try separateSettings(nil)
    let path = try Self.folder(
      with: compiledPlugin("Tests/BrokenPlugins/parameters.c"), &settings)
    let sha256 = try Self.digest(path, settings)
    let gone = String(repeating: "0a", count: 32)
    try PluginPolicy(rules: [
      .init(sha256: sha256, isolation: .worker, note: "mine", added: "2026-01-31"),
      .init(sha256: gone, isolation: .inproc),
    ]).write(to: settings.home.policyPath)
    let health = PluginHealth(settings: settings)
    #expect(health.rules.map(\.id) == ["org.example.parameters.module", nil])
    #expect(
      health.text().split(separator: "\n").filter { $0.hasPrefix("rule: ") } == [
        """
        rule: \(sha256.prefix(12))… org.example.parameters.module: worker, since 2026-01-31 ("mine")
        """,
        "rule: 0a0a0a0a0a0a…: inproc",
      ])
  }

  @Test func `the trust file can deny what it does not know`() throws {
    let settings = try separateSettings(nil)
    let path = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    let sha256 = try Self.digest(path, settings)
    try PluginPolicy(default: .deny).write(to: settings.home.policyPath)
    let catalog = PluginCatalog(folders: [], settings: settings)
    #expect(
      sentence { _ = try catalog.plugin(path, hook: .scorer) } == """
        The plugin "\(path)" (SHA-256 \(sha256.prefix(12))…) is not trusted: the trust file denies \
        what it does not know. Run billhook plugin trust "\(path)" to allow it.
        """)
  }

  @Test func `asking is a no without an answer, and a yes means a worker`() throws {
    var settings = try separateSettings(nil)
    let path = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    try PluginPolicy(default: .ask).write(to: settings.home.policyPath)
    let silent = PluginCatalog(folders: [], settings: settings)
    #expect(throws: PluginError.self) { try silent.plugin(path, hook: .scorer) }
    settings.ask = { asked, _ in asked == path }
    let asking = PluginCatalog(folders: [], settings: settings)
    #expect(try asking.plugin(path, hook: .scorer).isolation == .worker)
  }

  @Test func `a recipe cannot be milder than the trust file`() throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    let catalog = PluginCatalog(folders: [], settings: try separateSettings(nil))
    #expect(
      sentence { _ = try catalog.plugin(path, hook: .scorer, isolation: .inproc) } == """
        The plugin "\(path)" may run as worker, but inproc is asked for. Run billhook plugin trust \
        --inproc "\(path)" to let it into this process.
        """)
    #expect(
      try builtIns.plugin("magnitude", hook: .scorer, isolation: .worker).isolation == .worker)
  }

  @Test(arguments: [
    (
      #"{"schema": "billhook.trust/1", "default": "allow", "rules": []}"#,
      "\"default\" has a wrong value"
    ),
    (#"{"schema": "billhook.trust/1", "default": "deny", "rule": []}"#, "there is no key \"rule\""),
    (
      #"{"schema": "billhook.trust/2", "default": "deny", "rules": []}"#,
      "\"schema\" is \"billhook.trust/2\", not \"billhook.trust/1\""
    ),
    (
      #"{"schema": "billhook.trust/1", "default": "deny", "rules": [{"sha256": "ab", "isolation": "worker"}]}"#,
      "\"sha256\" is \"ab\", not 64 hexadecimal digits"
    ),
    ("[]", "it is not a JSON object"),
  ])
  func `a damaged trust file trusts nothing and says why`(text: String, reason: String) throws {
    let settings = try separateSettings(nil)
    let path = settings.home.policyPath
    try PluginPolicy().write(to: path)
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    chmod(path, 0o600)
    let catalog = PluginCatalog(folders: [], settings: settings)
    #expect(
      catalog.failures.map(\.error.description) == [
        """
        The trust file "\(path)" is not used: \(reason). No plugin but the built-ins is trusted.
        """
      ])
    let library = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    #expect(throws: PluginError.self) { try catalog.plugin(library, hook: .scorer) }
  }

  @Test func `a rule is taken away by its digest or the start of it, and no other`() {
    func rule(_ start: String) -> PluginPolicy.Rule {
      .init(
        sha256: start + String(repeating: "0", count: 64 - start.count), isolation: .worker)
    }
    var policy = PluginPolicy(default: .deny, rules: [rule("abcdef1"), rule("abcdef2"), rule("9")])
    #expect(policy.remove(digest: "abcde") == [])
    #expect(policy.remove(digest: "") == [])
    #expect(policy.remove(digest: "abcdef2") == [rule("abcdef2")])
    #expect(policy.remove(digest: rule("9").sha256) == [rule("9")])
    #expect(policy == PluginPolicy(default: .deny, rules: [rule("abcdef1")]))
    #expect(
      PluginError.notInTrustFile(name: "lib.so").description == """
        The trust file has no rule for "lib.so", nor for a digest that starts so (6 digits at \
        least). A library that was built anew has another digest; billhook plugin doctor says where \
        the file is.
        """)
  }

  @Test func `a trust file that others can read is not used`() throws {
    let settings = try separateSettings(nil)
    let path = settings.home.policyPath
    try PluginPolicy().write(to: path)
    chmod(path, 0o644)
    #expect(
      sentence { _ = try PluginPolicy(path: path) } == """
        The trust file "\(path)" is not used: it must belong to this user, with permissions 600 \
        (chmod 600 "\(path)"). No plugin but the built-ins is trusted.
        """)
  }

  @Test func `a library that everybody can write is not used`() throws {
    var settings = try separateSettings(nil)
    let path = try Self.folder(
      with: compiledPlugin("Tests/BrokenPlugins/parameters.c"), &settings)
    chmod(path, 0o777)
    let catalog = PluginCatalog(folders: [], settings: settings)
    #expect(
      sentence { _ = try catalog.plugin(path, hook: .scorer) } == """
        The plugin "\(path)" is not used, because every user can change "\(path)"; take that right \
        away (chmod o-w).
        """)
  }

  @Test func `no-plugins leaves the built-ins, plugins-only those that match`() throws {
    var settings = try separateSettings(nil)
    settings.onlyBuiltIns = true
    let path = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    let builtIn = PluginCatalog(settings: settings)
    #expect(builtIn.descriptors.contains { $0.id == "org.billhook.magnitude" })
    #expect(
      sentence { _ = try builtIn.plugin(path, hook: .scorer) } == """
        The plugin "\(path)" is not loaded, because only built-ins are allowed (--no-plugins).
        """)
    settings.onlyBuiltIns = false
    settings.onlyMatching = "org.billhook.mag*"
    let matching = PluginCatalog(settings: settings)
    #expect(matching.descriptors.map(\.id) == ["org.billhook.magnitude"])
    #expect(
      sentence { _ = try matching.plugin(path, hook: .scorer) } == """
        Plugin "org.example.parameters" is not used, because it does not match --plugins-only \
        "org.billhook.mag*".
        """)
  }

  @Test func `a library brings along those beside it`() throws {
    let settings = try separateSettings()
    let helper = try compiledPlugin(
      "Tests/BrokenPlugins/helper.c", flags: ["-Wl,-soname,libhelper.so"])
    let folder = "\(settings.home.cacheFolder)-bundle"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: helper, toPath: "\(folder)/libhelper.so")
    let plugin = try compiledPlugin(
      "Tests/BrokenPlugins/parameters.c",
      flags: ["-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", "-L\(folder)", "-lhelper"])
    try FileManager.default.copyItem(atPath: plugin, toPath: "\(folder)/plugin.so")
    let catalog = PluginCatalog(folders: [], settings: settings)
    let found = try catalog.plugin("\(folder)/plugin.so", hook: .scorer)
    #expect(found.descriptor.id == "org.example.parameters")
    #expect(try catalog.why("\(folder)/plugin.so")?.needed.contains("libhelper.so") == true)
  }

  @Test func `a listing from the cache says the same`() throws {
    let settings = try separateSettings(nil)
    let first = PluginCatalog(settings: settings).descriptors
    #expect(PluginCatalog(settings: settings).descriptors == first)
    #expect(!first.isEmpty)
  }
}
