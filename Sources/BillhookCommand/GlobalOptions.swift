internal import ArgumentParser
internal import Billhook
internal import Logging

/// Options that every command takes.
struct GlobalOptions: ParsableArguments {
  @Option(help: "Threads to use; results do not depend on it. Default: one a CPU core.")
  var threads: Int?

  @Flag(name: .shortAndLong, help: "Log what is done to standard error.")
  var verbose = false

  @Flag(name: .shortAndLong, help: "No progress, only results and errors.")
  var quiet = false

  @OptionGroup(title: "Plugins") var plugins: PluginOptions

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads is \(threads) but must be 1 to 1024.")
    }
    if verbose && quiet { throw ValidationError("--verbose and --quiet exclude each other.") }
  }

  /// Puts the options into effect.
  func start() -> Session {
    if let threads { Threads.count = threads }
    var logger = Logger(label: "billhook") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = verbose ? .debug : .error
    logger.debug("Billhook \(billhookVersion), \(Threads.count) threads")
    var remarks = logger
    remarks.logLevel = verbose ? .debug : .warning
    return Session(
      logger: logger, remarks: remarks, progress: quiet ? nil : ProgressBar(),
      plugins: plugins.settings)
  }
}

/// What a running command talks through.
struct Session {
  let logger: Logger
  /// For what plugins say: their warnings are seen without --verbose too.
  let remarks: Logger
  let progress: ProgressBar?
  let plugins: PluginSettings

  /// The plugins that can be named by id.
  func catalog() -> PluginCatalog {
    let catalog = PluginCatalog(
      settings: plugins,
      observer: PluginObserver(log: { [remarks] id, level, text in
        remarks.log(level: level.logLevel, "\(id): \(text)")
      }))
    for failure in catalog.failures {
      logger.warning("plugin \(failure.path) cannot be used: \(failure.error)")
    }
    logger.debug("plugins: \(catalog.descriptors.map(\.id).joined(separator: ", "))")
    return catalog
  }

  func announce(_ line: String) {
    guard let progress else { return }
    progress.clear()
    Terminal.error(line)
  }

  /// Writes a result to standard output.
  func show(_ value: some Encodable, asJSON: Bool, text: () -> String) throws {
    progress?.clear()
    Terminal.out(asJSON ? String(decoding: try reportJSON(value), as: UTF8.self) : text())
  }
}

extension PluginObserver.LogLevel {
  fileprivate var logLevel: Logger.Level {
    switch self {
    case .debug: .debug
    case .info: .info
    case .warning: .warning
    }
  }
}

struct OutputOption: ParsableArguments {
  @Option(name: .shortAndLong, help: .init("The file to write.", valueName: "file"))
  var output: String
}

struct JSONFlag: ParsableArguments {
  @Flag(help: "Write the result as JSON.")
  var json = false
}

struct SeedOption: ParsableArguments {
  @Option(help: "The same seed gives the same file.")
  var seed: UInt64 = 0
}

/// `--param key=value`, for the plugin of the command.
struct ParameterOptions: ParsableArguments {
  @Option(
    name: .customLong("param"),
    help: .init("A parameter of the plugin; may be repeated.", valueName: "key=value"),
    transform: Self.parameter)
  var parameters: [PluginChoice.Parameter] = []

  @Sendable static func parameter(_ text: String) throws -> PluginChoice.Parameter {
    guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
      throw ValidationError("Write KEY=VALUE.")
    }
    return PluginChoice.Parameter(
      key: String(text[..<equals]), values: [String(text[text.index(after: equals)...])],
      isList: false)
  }
}

/// `--block 4x1`: output channels and inputs of a block.
struct BlockOption: ParsableArguments {
  @Option(help: .init("Output channels and inputs of a block, as in 4x1.", valueName: "rxc"))
  var block: String?

  /// What is no number is 0, which no block can have.
  var sizes: [Int]? {
    block.map { $0.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 } }
  }
}

/// `--input name=file.npy`, repeated.
struct NamedFileOptions: ParsableArguments {
  @Option(
    help: .init("An array for an input; repeat for each input.", valueName: "name=file.npy"),
    transform: { text in
      // Input names may hold "=": what follows the last one is the file.
      guard let equals = text.lastIndex(of: "="), equals != text.startIndex else {
        throw ValidationError("Write NAME=FILE.npy.")
      }
      return NamedFile(
        name: String(text[..<equals]), path: String(text[text.index(after: equals)...]))
    })
  var input: [NamedFile] = []

  struct NamedFile {
    var name: String
    var path: String
  }

  var files: [(name: String, path: String)] { input.map { ($0.name, $0.path) } }
}

/// Checks a stage while the command line is validated, so that a wrong number is a usage error.
func checkUsage(_ stage: Stage) throws {
  try usage { try stage.checkNumbers() }
}

/// Makes what is wrong with a setting a usage error.
func usage<Value>(_ body: () throws -> Value) throws -> Value {
  do {
    return try body()
  } catch {
    throw ValidationError("\(error)")
  }
}
