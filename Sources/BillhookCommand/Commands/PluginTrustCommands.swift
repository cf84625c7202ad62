internal import ArgumentParser
internal import Billhook
internal import Foundation

extension PluginCommand {
  struct Trust: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a library be used: adds its digest to the trust file.",
      discussion: """
        billhook plugin trust ./libmine.so             # in a worker, also when found in a folder
        billhook plugin trust --inproc ./libmine.so    # in Billhook's own process
        billhook plugin trust 'ffi:libm.so.6:float fabsf(float)'
        billhook plugin trust --remove ./libmine.so    # or the start of a digest

        A digest says that a file is the same, not that it is harmless. In Billhook's own process a \
        library can do all that you can.
        """)
    @Argument(
      help: .init(
        "A library's or manifest's file, or a plain function.", valueName: "path|ffi:…"))
    var path: String
    @Flag(help: "Let it into Billhook's own process.")
    var inproc = false
    @Flag(help: "Only in a worker that is confined fully.")
    var strict = false
    @Flag(help: "Take its rule away again.")
    var remove = false
    @Option(help: "Why, for later readers of the file.")
    var note: String?
    @OptionGroup var json: JSONFlag
    @OptionGroup var global: GlobalOptions

    func validate() throws {
      if inproc && strict { throw ValidationError("--inproc and --strict exclude each other.") }
      if remove && (inproc || strict || note != nil) {
        throw ValidationError("--remove goes with none of --inproc, --strict and --note.")
      }
    }

    func run() throws {
      let session = global.start()
      if remove { return try takeAway(session) }
      let isolation: Isolation = inproc ? .inproc : strict ? .workerStrict : .worker
      let home = session.plugins.home
      var policy = try PluginPolicy(path: home.policyPath)
      guard let account = try session.catalog().why(file) else { return }
      policy.set(
        .init(
          sha256: account.sha256, isolation: isolation, note: note,
          added: String(Date().formatted(.iso8601).prefix(10))))
      try policy.write(to: home.policyPath)
      let after = try PluginCatalog(settings: session.plugins).why(file) ?? account
      try session.show(after, asJSON: json.json) { after.text() }
    }

    /// Without a "/" it would be taken for an id.
    private var file: String {
      path.contains("/") || PluginCatalog.isPlainFunction(path) ? path : "./\(path)"
    }

    private func takeAway(_ session: Session) throws {
      let home = session.plugins.home
      var policy = try PluginPolicy(path: home.policyPath)
      // Whoever built the library anew has but the digest of the old one.
      let isHere =
        PluginCatalog.isPlainFunction(path) || FileManager.default.fileExists(atPath: file)
      let digest = try isHere ? session.catalog().why(file)?.sha256 : path
      let removed = policy.remove(digest: digest ?? path)
      guard !removed.isEmpty else { throw PluginError.notInTrustFile(name: path) }
      try policy.write(to: home.policyPath)
      try session.show(removed, asJSON: json.json) {
        removed.map { "no longer trusted: \($0.sha256)\n" }.joined()
      }
    }
  }

  struct Why: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say where a library runs and why, or why it is not used.")
    @Argument(help: .init("A plugin's id, or a library's path.", valueName: "id|path"))
    var plugin: String
    @OptionGroup var json: JSONFlag
    @OptionGroup var global: GlobalOptions

    func run() throws {
      let session = global.start()
      let catalog = session.catalog()
      guard let account = try catalog.why(plugin) else {
        // The answer for an unknown id, with the nearest ones.
        _ = try PluginListing.find(plugin, hook: nil, in: catalog)
        return
      }
      try session.show(account, asJSON: json.json) { account.text() }
    }
  }

  struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Look through folders, trust file, quarantine and worker for what is wrong.")
    @OptionGroup var json: JSONFlag
    @OptionGroup var global: GlobalOptions

    func run() throws {
      let session = global.start()
      let report = PluginHealth(settings: session.plugins)
      try session.show(report, asJSON: json.json) { report.text() }
      if !report.problems.isEmpty { throw ExitCode.failure }
    }
  }

  struct Clear: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let libraries in quarantine be tried again.",
      discussion: """
        billhook plugin clear ./libmine.so
        billhook plugin clear 3f9a0c    # the start of a digest
        billhook plugin clear --all
        """)
    @Argument(
      help: .init("A library's path, or the start of its digest.", valueName: "path|digest"))
    var library: String?
    @Flag(help: "Every library.")
    var all = false
    @OptionGroup var global: GlobalOptions

    func validate() throws {
      if all == (library != nil) { throw ValidationError("Name a library, or give --all.") }
    }

    /// Fewer digits could mean several libraries.
    private func isStart(of digest: String) -> Bool {
      library.map { $0.count >= 6 && digest.hasPrefix($0) } ?? false
    }

    func run() throws {
      let session = global.start()
      let quarantine = Quarantine(home: session.plugins.home)
      let path = library.map { URL(fileURLWithPath: $0).resolvingSymlinksInPath().path }
      let count = quarantine.clear { entry in
        all || entry.path == path || isStart(of: entry.sha256)
      }
      if count == 0, let library { throw PluginError.notQuarantined(name: library) }
      Terminal.out("\(count) cleared")
    }
  }
}
