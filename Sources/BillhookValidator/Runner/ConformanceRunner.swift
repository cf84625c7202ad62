internal import Foundation
internal import Glibc

/// What to validate, and how.
public struct ConformanceOptions: Sendable {
  public var level: ConformanceLevel = .strict
  /// Only plugins with this id, or whose id ends in it; nil for all.
  public var id: String?
  /// Regular expressions over test names.
  public var include: String?
  public var exclude: String?
  public var seed: UInt64 = 1
  /// Longest time of one test.
  public var timeoutSeconds: Double = 60
  /// All tests in this process, one after the other: for a debugger. A crash ends it.
  public var isInProcess = false

  public init() {}
}

/// Runs conformance tests, each in a process of its own, two at a time.
public struct ConformanceRunner {
  let options: ConformanceOptions
  let executable: String
  private static let processLimit = 2

  /// - Parameter executable: A program that hands its arguments after `plugin conformance-test` to
  ///   ``ConformanceChild``; by default this one.
  public init(_ options: ConformanceOptions, executable: String? = nil) {
    self.options = options
    self.executable =
      executable ?? URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
  }

  /// - Parameters:
  ///   - paths: Shared libraries.
  ///   - finished: Gets each result as it comes, in the order of the report.
  /// - Throws: ``ValidatorError``.
  public func run(
    _ paths: [String], finished: (ConformanceResult) -> Void = { _ in }
  ) throws -> ConformanceReport {
    let selected = try selectedTests()
    var report = ConformanceReport(
      level: options.level, seed: options.seed,
      leftOut: ConformanceTest.all.map(\.name).filter { name in
        !selected.contains { $0.name == name }
      })
    for path in paths {
      let contents = try describe(path)
      if let reason = contents.unloadable {
        report.unloadable.append(.init(library: path, reason: reason))
        continue
      }
      let plugins = contents.plugins.filter { plugin in
        options.id.map { plugin.id == $0 || plugin.id.hasSuffix(".\($0)") } ?? true
      }
      if let id = options.id, plugins.isEmpty, !contents.plugins.isEmpty {
        throw ValidatorError.noSuchPlugin(
          id: id, library: path, known: contents.plugins.map(\.id))
      }
      let jobs =
        selected.filter { $0.scope == .module }.map { Job(test: $0, path: path, plugin: "") }
        + plugins.flatMap { plugin in
          selected.filter { $0.covers(plugin.hook) }
            .map { Job(test: $0, path: path, plugin: plugin.id) }
        }
      report.results += try run(jobs, finished)
    }
    return report
  }

  private func selectedTests() throws -> [ConformanceTest] {
    let include = try options.include.map(Self.pattern)
    let exclude = try options.exclude.map(Self.pattern)
    return ConformanceTest.all.filter { test in
      (include.map { test.name.contains($0) } ?? true)
        && !(exclude.map { test.name.contains($0) } ?? false)
    }
  }

  private static func pattern(_ text: String) throws -> Regex<AnyRegexOutput> {
    do {
      return try Regex(text)
    } catch {
      throw ValidatorError.notAPattern(text: text, reason: "\(error)")
    }
  }

  // MARK: - Jobs

  private struct Job {
    let test: ConformanceTest
    let path: String
    let plugin: String
  }

  /// Keeps the order of the report, whichever of the two children ends first.
  private func run(
    _ jobs: [Job], _ finished: (ConformanceResult) -> Void
  ) throws -> [ConformanceResult] {
    var results: [ConformanceResult] = []
    if options.isInProcess {
      for job in jobs {
        let start = ContinuousClock.now
        let subject = Subject(path: job.path, id: job.plugin, seed: options.seed)
        results.append(result(job, job.test.verdict(on: subject), since: start))
        finished(results[results.count - 1])
      }
      return results
    }
    var running: [(job: Int, child: ChildProcess)] = []
    var done = [ConformanceResult?](repeating: nil, count: jobs.count)
    var next = 0
    while results.count < jobs.count {
      while running.count < Self.processLimit && next < jobs.count {
        running.append((next, try start(jobs[next])))
        next += 1
      }
      running = running.filter { entry in
        guard let ending = entry.child.ending() else { return true }
        let verdict = Self.verdict(ending, entry.child, options.timeoutSeconds)
        done[entry.job] = result(jobs[entry.job], verdict, since: entry.child.started)
        return false
      }
      while results.count < jobs.count, let result = done[results.count] {
        results.append(result)
        finished(result)
      }
      // A millisecond is short beside the start of a process.
      usleep(1000)
    }
    return results
  }

  private func start(_ job: Job) throws -> ChildProcess {
    try ChildProcess(
      executable: executable,
      arguments: [
        "plugin", "conformance-test", job.path, "--id", job.plugin, "--test", job.test.name,
        "--seed", "\(options.seed)",
      ], timeout: .seconds(options.timeoutSeconds))
  }

  /// No answer is a crash, whatever the exit code says.
  static func verdict(
    _ ending: ChildProcess.Ending, _ child: ChildProcess, _ timeoutSeconds: Double
  ) -> Verdict {
    let last = child.output().split(separator: "\n").last.map { "; it said: \($0)" } ?? ""
    switch ending {
    case .timedOut: return Verdict(.timeout, "no end within \(timeoutSeconds) s")
    case .killed(let signal):
      return Verdict(.crash, "\(signalName(signal))\(last)")
    case .exited(let code):
      guard code == 0, let verdict = try? JSONDecoder().decode(Verdict.self, from: child.answer())
      else { return Verdict(.crash, "the process ended itself with exit code \(code)\(last)") }
      return verdict
    }
  }

  private func result(
    _ job: Job, _ verdict: Verdict, since start: ContinuousClock.Instant
  ) -> ConformanceResult {
    var status = verdict.status
    if job.test.level > options.level, [.fail, .crash, .timeout].contains(status) {
      status = .warn
    }
    let elapsed = (ContinuousClock.now - start) / .milliseconds(1)
    return ConformanceResult(
      library: job.path, plugin: job.plugin, test: job.test.name, level: job.test.level,
      rule: job.test.rule, claim: job.test.claim, status: status, message: verdict.message,
      seed: options.seed, milliseconds: Int(elapsed), command: command(job))
  }

  private func command(_ job: Job) -> String {
    let id = job.plugin.isEmpty ? "" : " --id \(job.plugin)"
    return "billhook plugin validate \(shellWord(job.path))\(id) --include '^\(job.test.name)$' "
      + "--seed \(options.seed) --in-process"
  }

  private func describe(_ path: String) throws -> LibraryContents {
    if options.isInProcess { return LibraryContents(path: path) }
    let child = try ChildProcess(
      executable: executable, arguments: ["plugin", "conformance-test", path],
      timeout: .seconds(options.timeoutSeconds))
    while true {
      if let ending = child.ending() {
        if ending == .exited(code: 0),
          let contents = try? JSONDecoder().decode(LibraryContents.self, from: child.answer())
        {
          return contents
        }
        let verdict = Self.verdict(ending, child, options.timeoutSeconds)
        return LibraryContents(
          unloadable: "loading it ended in a \(verdict.status): \(verdict.message)")
      }
      usleep(1000)
    }
  }
}

extension ConformanceTest {
  fileprivate func covers(_ hook: HookKind) -> Bool {
    if case .plugin(let hooks) = scope { return hooks.contains(hook) }
    return false
  }
}

/// The name that people know a signal by.
func signalName(_ signal: Int32) -> String {
  switch signal {
  case SIGSEGV: "SIGSEGV (a bad memory access)"
  case SIGBUS: "SIGBUS (a bad memory access)"
  case SIGABRT: "SIGABRT (it aborted)"
  case SIGILL: "SIGILL (a trap, or an unknown instruction)"
  case SIGTRAP: "SIGTRAP (a trap)"
  case SIGFPE: "SIGFPE (a division by zero)"
  case SIGKILL: "SIGKILL (killed, perhaps for its memory)"
  default: "signal \(signal)"
  }
}

/// A word as a shell takes it.
func shellWord(_ text: String) -> String {
  let plain = text.allSatisfy { $0.isLetter || $0.isNumber || "/._-+:@%".contains($0) }
  return plain && !text.isEmpty ? text : "'\(text.replacing("'", with: "'\\''"))'"
}
