public import ArgumentParser
public import Billhook

struct PluginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin", abstract: "Show, write, test, time and trust plugins.",
    subcommands: [
      List.self, Show.self, New.self, Bench.self, ValidateCommand.self, FuzzCommand.self,
      Trust.self, Why.self, Doctor.self, Clear.self, ConformanceTestCommand.self,
    ], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the plugins that can be named by id.")
    @OptionGroup var json: JSONFlag
    @OptionGroup var global: GlobalOptions

    func run() throws {
      let session = global.start()
      let catalog = session.catalog()
      for failure in catalog.failures {
        session.announce("billhook: warning: \(failure.error)")
      }
      let plugins = catalog.descriptors.map { PluginListing($0) }
      try session.show(plugins, asJSON: json.json) { PluginListing.table(plugins) }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show a plugin: what it does, its parameters, its digest.",
      discussion: """
        billhook plugin show magnitude
        billhook plugin show ./libmine.so --hook scorer
        billhook plugin show 'ffi:libm.so.6:float fabsf(float)'
        """)
    @Argument(
      help: .init(
        "A plugin's id, a library's or manifest's path, or a plain function.",
        valueName: "id|path"))
    var plugin: String
    @Option(help: "scorer, loss or quantizer, when the name alone is not clear.")
    var hook: PluginDescriptor.Hook?
    @OptionGroup var json: JSONFlag
    @OptionGroup var global: GlobalOptions

    func run() throws {
      let session = global.start()
      let listing = try PluginListing.find(plugin, hook: hook, in: session.catalog())
      try session.show(listing, asJSON: json.json) { listing.text() }
    }
  }
}

extension PluginDescriptor.Hook: ExpressibleByArgument {}
