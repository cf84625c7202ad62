import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import Synchronization
import Testing

/// Settings with a trust file, cache and quarantine of their own.
func separateSettings(_ isolation: Isolation? = .worker) throws -> PluginSettings {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("billhook-home-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(
    atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  return PluginSettings(home: PluginHome(folder: folder), isolation: isolation)
}

/// The scorer of Tests/BrokenPlugins/crashing.c.
func crashing(
  _ mode: String, _ settings: PluginSettings, deterministic: Bool = false,
  observer: PluginObserver = PluginObserver()
) throws -> Scorer {
  let path = try compiledPlugin(
    "Tests/BrokenPlugins/crashing.c", defines: deterministic ? ["DETERMINISTIC"] : [])
  return try PluginCatalog(folders: [], settings: settings, observer: observer)
    .plugin(path, hook: .scorer).makeScorer(["mode": .string(mode)])
}

@Suite(.serialized) struct WorkerTests {
  static let weight = Tensor([1, -2, 3, -4] as [Float], shape: [2, 2])

  @Test func `a plugin in a worker gives the scores`() throws {
    let scorer = try crashing("good", separateSettings())
    for _ in 0..<3 {
      let scores = try scorer.score(layer(), granularity: .element, weight: Self.weight)
      #expect(scores?.elements(of: Float.self) == [1, 2, 3, 4])
    }
  }

  @Test(arguments: [
    ("segfault", "its worker process was ended by SIGSEGV"),
    ("abort", "its worker process was ended by SIGABRT; it wrote \"last words\""),
    ("exit", "it ended its worker process with exit status 3"),
    ("memory", "its worker process was ended by SIGABRT"),
    ("raise", "its worker process was ended by SIGSEGV"),
    ("fork", "it made a system call that a worker may not make (SIGSYS)"),
    ("terminate", "its worker process was ended by SIGTERM"),
    ("exec", "it made a system call that a worker may not make (SIGSYS)"),
  ])
  func `a crash names plugin, function, layer and signal`(mode: String, how: String) throws {
    let scorer = try crashing(mode, separateSettings())
    #expect(
      sentence { _ = try scorer.score(layer(), granularity: .element, weight: Self.weight) } == """
        Plugin "org.example.crashing" crashed in "score" on layer "conv": \(how). This process and \
        all finished work are unharmed.
        """)
  }

  @Test func `a call that does not return is stopped`() throws {
    var settings = try separateSettings()
    settings.limits.callSeconds = 0.3
    settings.limits.graceSeconds = 0.2
    let scorer = try crashing("hang", settings)
    #expect(
      sentence { _ = try scorer.score(layer(), granularity: .element, weight: Self.weight) } == """
        Plugin "org.example.crashing" did not return from "score" on layer "conv" within 0.3 \
        seconds and was stopped. This process and all finished work are unharmed.
        """)
  }

  @Test(arguments: ["past-end", "before-start"])
  func `a write beside the output is found`(mode: String) throws {
    let scorer = try crashing(mode, separateSettings())
    let weight = Tensor([1, 2, 3] as [Float], shape: [3, 1])
    #expect(
      sentence { _ = try scorer.score(layer(), granularity: .element, weight: weight) } == """
        Plugin "org.example.crashing" breaks rule BH-03 in "score" on layer "conv": it wrote \
        outside of its output.
        """)
  }

  #if arch(x86_64)
    // Elsewhere the sentence says "read or wrote".
    @Test(arguments: [
      ("far", 4, "it wrote behind its output, against rule BH-03"),
      ("far-before", 4, "it wrote before its output, against rule BH-03"),
      ("far-read", 4, "it read behind its output, against rule BH-03"),
      ("input", 4, "it wrote into an input, against rule BH-02"),
      // The first element behind an output that fills the 64 bytes it ends in.
      ("past-end", 16, "it wrote behind its output, against rule BH-03"),
    ])
    func `a crash beside a tensor says what was done`(mode: String, count: Int, deed: String) throws
    {
      let scorer = try crashing(mode, separateSettings())
      let weight = Tensor([Float](repeating: 1, count: count), shape: [count, 1])
      #expect(
        sentence { _ = try scorer.score(layer(), granularity: .element, weight: weight) } == """
          Plugin "org.example.crashing" crashed in "score" on layer "conv": \(deed), and its worker \
          process was ended by SIGSEGV. This process and all finished work are unharmed.
          """)
    }

    @Test func `a changed floating-point mode is reported as in process`() throws {
      let scorer = try crashing("flush", separateSettings())
      #expect(
        sentence { _ = try scorer.score(layer(), granularity: .element, weight: Self.weight) }
          == """
          Plugin "org.example.crashing" breaks rule BH-08 in "score" on layer "conv": the \
          floating-point mode was 0x1f80 and is 0x9f80 after it (it was set back). Build the plugin without -ffast-math.
          """)
    }
  #endif

  @Test(arguments: ["open", "socket", "signal", "limit"])
  func `files, sockets and other processes are out of reach`(mode: String) throws {
    let scorer = try crashing(mode, separateSettings())
    let scores = try scorer.score(layer(), granularity: .element, weight: Self.weight)
    #expect(scores?.elements(of: Float.self) == [1, 2, 3, 4])
  }

  @Test(arguments: [
    ("hang-in-destroy", "did not return from \"destroy\" within 0.3 seconds and was stopped."),
    (
      "abort-in-destroy",
      "crashed in \"destroy\": its worker process was ended by SIGABRT."
    ),
  ])
  func `an instance that does not end is a warning`(mode: String, what: String) throws {
    var settings = try separateSettings()
    settings.limits.callSeconds = 0.3
    settings.limits.graceSeconds = 0.2
    let heard = Mutex<[String]>([])
    let observer = PluginObserver(
      log: { _, level, text in heard.withLock { $0.append("\(level): \(text)") } })
    do {
      let scorer = try crashing(mode, settings, observer: observer)
      let scores = try scorer.score(layer(), granularity: .element, weight: Self.weight)
      #expect(scores?.elements(of: Float.self) == [1, 2, 3, 4])
    }
    #expect(
      heard.withLock { $0 } == [
        """
        warning: Plugin "org.example.crashing" \(what) This process and all finished work are \
        unharmed.
        """
      ])
  }

  @Test func `what a plugin logs arrives before its call returns`() throws {
    let heard = Mutex<[String]>([])
    let observer = PluginObserver(
      log: { id, level, text in heard.withLock { $0.append("\(id) \(level): \(text)") } })
    let scorer = try crashing("log", separateSettings(), observer: observer)
    for index in 1...5 {
      _ = try scorer.score(layer("l\(index)"), granularity: .element, weight: Self.weight)
      #expect(heard.withLock { $0.last } == "org.example.crashing warning: l\(index)")
    }
  }

  @Test func `with skip-layer a crash leaves the layer alone, and the next one is scored`() throws {
    var settings = try separateSettings()
    settings.crashPolicy = .skipLayer
    let heard = Mutex<[String]>([])
    let observer = PluginObserver(log: { _, _, text in heard.withLock { $0.append(text) } })
    let scorer = try crashing("once", settings, observer: observer)
    let scores = try (0..<3).map { index in
      try scorer.score(
        layer("l\(index)", index: index), granularity: .element, weight: Self.weight)
    }
    #expect(scores.map { $0 == nil } == [false, true, false])
    #expect(
      heard.withLock { $0 } == [
        """
        Plugin "org.example.crashing" crashed in "score" on layer "l1": its worker process was \
        ended by SIGABRT. This process and all finished work are unharmed. The layer stays as it \
        was (skip-layer).
        """
      ])
  }

  @Test func `a deterministic plugin that crashes twice goes into quarantine until it is cleared`()
    throws
  {
    let settings = try separateSettings()
    let scorer = try crashing("segfault", settings, deterministic: true)
    let crash: String? = sentence {
      _ = try scorer.score(layer(), granularity: .element, weight: Self.weight)
    }
    let quarantine = Quarantine(home: settings.home)
    let entry = try #require(quarantine.entries().first)
    #expect(entry.stage == "score")
    // What it says of this process is not true of the one that reads it later.
    let unharmed = " This process and all finished work are unharmed."
    #expect(entry.reason + unharmed == crash)
    let path = try compiledPlugin(
      "Tests/BrokenPlugins/crashing.c", defines: ["DETERMINISTIC"])
    #expect(
      sentence { _ = try crashing("good", settings, deterministic: true) } == """
        The plugin "\(path)" is in quarantine since \(entry.date): \(entry.reason) Run billhook \
        plugin clear \(entry.sha256.prefix(12)) to try it again.
        """)
    #expect(quarantine.clear { $0.sha256 == entry.sha256 } == 1)
    let again = try crashing("good", settings, deterministic: true)
    #expect(try again.score(layer(), granularity: .element, weight: Self.weight) != nil)
  }

  @Test func `a library that crashes when it is loaded goes into quarantine`() throws {
    let settings = try separateSettings()
    let path = try compiledPlugin(
      "Tests/BrokenPlugins/crashing.c", defines: ["CRASHES_WHEN_LOADED"])
    let catalog = PluginCatalog(folders: [], settings: settings)
    #expect(
      sentence { _ = try catalog.plugin(path, hook: .scorer) } == """
        Plugin "\(path)" crashed in "load": its worker process was ended by SIGABRT. This process \
        and all finished work are unharmed.
        """)
    #expect(Quarantine(home: settings.home).entries().map(\.stage) == ["load"])
  }

  @Test
  func `worker-strict runs where the kernel confines fully, and says what is missing elsewhere`()
    throws
  {
    let settings = try separateSettings(.workerStrict)
    let confinement = try #require(PluginHealth(settings: settings).confinement)
    let path = try compiledPlugin("Tests/BrokenPlugins/crashing.c")
    let found: String? = sentence {
      _ = try crashing("good", settings)
        .score(layer(), granularity: .element, weight: Self.weight)
    }
    let expected = confinement.missingForStrict.map { missing in
      """
      The plugin "\(path)" needs the isolation worker-strict, and this system lacks \(missing); it \
      has \(confinement).
      """
    }
    #expect(found == expected)
  }

  @Test func `worker-strict refuses a library that searches outside of its folder`() throws {
    let path = try compiledPlugin(
      "Tests/BrokenPlugins/crashing.c", flags: ["-Wl,-rpath,/opt/elsewhere"])
    let catalog = PluginCatalog(folders: [], settings: try separateSettings(.workerStrict))
    #expect(
      sentence { _ = try catalog.plugin(path, hook: .scorer) } == """
        The plugin "\(path)" looks for libraries in "/opt/elsewhere", which worker-strict does not \
        allow; put them beside it and link with -rpath '$ORIGIN'.
        """)
    let mild = PluginCatalog(folders: [], settings: try separateSettings())
    #expect(try mild.plugin(path, hook: .scorer).isolation == .worker)
  }

  @Test func `loading may take as long as a call, and at most a minute`() {
    #expect(WorkerLimits().loadSeconds == 60)
    #expect(WorkerLimits(callTimeout: 600) == WorkerLimits())
    let short = WorkerLimits(callTimeout: 3)
    #expect(short.callSeconds == 3)
    #expect(short.loadSeconds == 3)
  }

  @Test func `a missing worker program is an error, never a call in this process`() throws {
    var settings = try separateSettings()
    settings.workerPath = "/nonexistent/billhook-worker"
    #expect(
      sentence { _ = try crashing("good", settings) } == """
        Cannot run plugins in a process of their own with "/nonexistent/billhook-worker": the \
        program: No such file or directory. Check the installation; there is no way around it but \
        to trust the plugin with this process.
        """)
  }
}
