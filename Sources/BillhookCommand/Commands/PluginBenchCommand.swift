internal import ArgumentParser
internal import Billhook

extension PluginCommand {
  struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Time a plugin on random numbers, and say how much of the time is its own.",
      discussion: """
        billhook plugin bench magnitude
        billhook plugin bench ./libmine.so --hook scorer --elements 10000000
        """)
    @Argument(
      help: .init(
        "A plugin's id, or a library's path.", valueName: "id|path[?key=value&…]"),
      transform: { text in try usage { try PluginChoice(text: text) } })
    var plugin: PluginChoice
    @Option(help: "scorer, loss or quantizer, when the name alone is not clear.")
    var hook: PluginDescriptor.Hook?
    @Option(help: "Weights, logits or numbers in a call.")
    var elements = 1_000_000
    @Option(help: "Stop after this long, but not before 7 runs.")
    var seconds = 1.0
    @OptionGroup var json: JSONFlag
    @OptionGroup var global: GlobalOptions

    func validate() throws {
      guard (1...1 << 30).contains(elements) else {
        throw ValidationError("--elements is \(elements) but must be 1 to \(1 << 30).")
      }
      guard seconds > 0 else {
        throw ValidationError("--seconds is \(seconds) but must be above 0.")
      }
    }

    func run() throws {
      let session = global.start()
      let report = try PluginBench(
        plugin, hook: hook, elements: elements, options: MeasurementOptions(seconds: seconds),
        settings: session.plugins
      ).run()
      try session.show(report, asJSON: json.json) { report.text() }
    }
  }
}
