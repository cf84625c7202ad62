public import ArgumentParser
internal import Billhook
public import BillhookValidator
internal import Foundation

/// `billhook plugin validate`.
struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate", abstract: "Test a plugin against the rules of the ABI.",
    discussion: """
      billhook plugin validate ./libmine.so
      billhook plugin validate ./libmine.so --level pedantic --junit results.xml

      Each test runs in a process of its own. Exit code: 0 when nothing failed, 1 when a test \
      failed, crashed or took too long, 2 when nothing was tested or the command was not \
      understood, 3 when a library could not be loaded.
      """)

  @Argument(help: .init("Shared libraries.", valueName: "path"))
  var paths: [String] = []
  @Option(help: "Only the plugin with this id, or whose id ends in it.")
  var id: String?
  @Option(help: "core, strict or pedantic: failures above it are warnings.")
  var level: ConformanceLevel = .strict
  @Option(help: .init("Write the results as JSON.", valueName: "file"))
  var json: String?
  @Option(help: .init("Write the results as JUnit XML.", valueName: "file"))
  var junit: String?
  @Option(help: .init("Only tests whose name matches.", valueName: "regex"))
  var include: String?
  @Option(help: .init("No tests whose name matches.", valueName: "regex"))
  var exclude: String?
  @Flag(help: "Show only what failed or warned.")
  var onlyFailed = false
  @Flag(help: "Run every test in this process, for a debugger.")
  var inProcess = false
  @Flag(help: "List the tests and what they claim.")
  var list = false
  @OptionGroup var seed: ConformanceSeed
  @Option(help: .init("Longest time of one test.", valueName: "seconds"))
  var timeout: Double = 60
  @Option(help: .init("Run the case of this seed from \"plugin fuzz\" again.", valueName: "seed"))
  var reproduce: UInt64?

  func validate() throws {
    if paths.isEmpty && !list { throw ValidationError("Name at least one library.") }
    if !(timeout > 0 && timeout <= 86_400) {
      throw ValidationError("--timeout is \(timeout) but must be above 0, up to 86400 seconds.")
    }
    if reproduce != nil && (id == nil || paths.count != 1) {
      throw ValidationError("--reproduce needs one library and --id.")
    }
  }

  func run() throws {
    if list {
      for test in ConformanceTest.all {
        Terminal.out("\(test.name) [\(test.level.rawValue), \(test.rule)]: \(test.claim)")
      }
      return
    }
    if let reproduce, let id {
      let finding = try asUsage { try Fuzzer.reproduce(paths[0], id: id, seed: reproduce) }
      if let finding {
        Terminal.out("fail: \(finding)")
        throw ExitCode(1)
      }
      Terminal.out("pass")
      return
    }
    var options = ConformanceOptions()
    options.level = level
    options.id = id
    options.include = include
    options.exclude = exclude
    options.seed = seed.seed
    options.timeoutSeconds = timeout
    options.isInProcess = inProcess
    let report = try asUsage { try ConformanceRunner(options).run(paths) }
    if let json { try AtomicFile.write(try report.json(), to: json) }
    if let junit { try AtomicFile.write(report.junit(), to: junit) }
    Terminal.out(report.text(onlyFailed: onlyFailed))
    if report.exitCode != 0 { throw ExitCode(report.exitCode) }
  }
}

/// `billhook plugin fuzz`.
struct FuzzCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fuzz", abstract: "Use a plugin in random ways for a while.",
    discussion: "billhook plugin fuzz ./libmine.so --duration 10m")

  @Argument(help: "A shared library.")
  var path: String
  @Option(help: "Only the plugin with this id, or whose id ends in it.")
  var id: String?
  @Option(
    help: .init("How long, as \"30s\", \"10m\" or \"2h\".", valueName: "time"),
    transform: duration)
  var duration: Duration = .seconds(60)
  @OptionGroup var seed: ConformanceSeed
  @Option(help: .init("Longest time of 200 cases.", valueName: "seconds"))
  var timeout: Double = 60

  func run() throws {
    let (findings, count) = try asUsage {
      try Fuzzer(timeoutSeconds: timeout).run(path, id: id, duration: duration, seed: seed.seed)
    }
    for finding in findings {
      Terminal.out("\(finding.status.rawValue) \(finding.plugin): \(finding.message)")
      Terminal.out("        seed \(finding.seed); again: \(finding.command)")
    }
    Terminal.out("\(count) cases, \(findings.count) findings.")
    if !findings.isEmpty { throw ExitCode(1) }
  }

  private static func duration(_ text: String) throws -> Duration {
    let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
    guard let unit = text.last, let factor = units[unit], let number = Double(text.dropLast()),
      number > 0, number * factor <= 86_400 * 7
    else { throw ValidationError("Write a time such as 30s, 10m or 2h.") }
    return .seconds(number * factor)
  }
}

/// The side of a test that touches the plugin: started by `validate` and `fuzz`, not by people.
struct ConformanceTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conformance-test",
    abstract: "Run one test, and leave its result in descriptor 3.",
    shouldDisplay: false)

  @Argument var path: String
  @Option var id = ""
  @Option var test: String?
  @Flag var fuzz = false
  @OptionGroup var seed: ConformanceSeed

  func run() throws {
    if fuzz {
      try ConformanceChild.fuzz(path: path, id: id, seed: seed.seed)
    } else {
      try ConformanceChild.run(path: path, id: id, test: test, seed: seed.seed)
    }
  }
}

struct ConformanceSeed: ParsableArguments {
  @Option(help: "The same seed gives the same numbers.")
  var seed: UInt64 = 1
}

extension ConformanceLevel: ExpressibleByArgument {}

/// Turns a question for what there is not into a usage error: exit code 2, as for unknown options.
private func asUsage<R>(_ body: () throws -> R) throws -> R {
  do {
    return try body()
  } catch let error as ValidatorError where error.isUsage {
    Terminal.error("billhook: error: \(error)")
    throw ExitCode(2)
  }
}
