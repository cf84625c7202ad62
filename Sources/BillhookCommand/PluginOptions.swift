public import ArgumentParser
public import Billhook

extension Isolation: ExpressibleByArgument {}
extension CrashPolicy: ExpressibleByArgument {}

/// Which plugins may be used, and where they run.
struct PluginOptions: ParsableArguments {
  @Flag(help: "Use the built-in plugins only.")
  var noPlugins = false

  @Option(
    help: .init("Use only plugins whose id matches, such as \"org.example.*\".", valueName: "glob"))
  var pluginsOnly: String?

  @Option(
    help: """
      Where plugins given by path run: inproc, worker or worker-strict. Default: what the trust \
      file says, else worker.
      """)
  var isolation: Isolation?

  @Option(help: "When a plugin in a worker crashes or hangs: stop or skip-layer.")
  var onPluginCrash = CrashPolicy.stop

  @Option(
    help: .init(
      "Wall time of one call of a plugin in a worker, and at most of loading one.",
      valueName: "seconds"))
  var callTimeout = WorkerLimits().callSeconds

  func validate() throws {
    guard callTimeout > 0, callTimeout <= 1e6 else {
      throw ValidationError("--call-timeout is \(callTimeout) but must be above 0, to 1000000.")
    }
  }

  var settings: PluginSettings {
    var settings = PluginSettings(isolation: isolation)
    settings.onlyBuiltIns = noPlugins
    settings.onlyMatching = pluginsOnly
    settings.crashPolicy = onPluginCrash
    settings.limits = WorkerLimits(callTimeout: callTimeout)
    settings.ask = { path, sha256 in
      Terminal.confirm("billhook: run the plugin \"\(path)\" (SHA-256 \(sha256)) in a worker?")
    }
    return settings
  }
}
