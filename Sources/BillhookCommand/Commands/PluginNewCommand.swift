public import ArgumentParser
public import Billhook

extension PluginProject.Language: ExpressibleByArgument {}

extension PluginCommand {
  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a project for a new plugin, which `make` builds.",
      discussion: """
        billhook plugin new my-scorer --hook scorer --lang c -o my-scorer
        make -C my-scorer check
        """)
    @Argument(help: "Lower-case letters, digits and hyphens.")
    var name: String
    @Option(help: "What the plugin decides: scorer, loss or quantizer.")
    var hook: PluginDescriptor.Hook
    @Option(help: "What it is written in: c, cxx, swift or rust.")
    var lang: PluginProject.Language
    @OptionGroup var output: OutputFolderOption
    @OptionGroup var global: GlobalOptions

    private var project: PluginProject {
      PluginProject(name: name, hook: hook, language: lang, folder: output.output)
    }

    func validate() throws {
      try usage { try project.check() }
    }

    func run() throws {
      let session = global.start()
      let files = try project.write()
      session.announce("\(output.output): \(files.joined(separator: ", "))")
      session.announce("Build it with: make -C \(output.output)")
    }
  }
}
