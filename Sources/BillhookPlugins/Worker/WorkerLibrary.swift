internal import BillhookKernels
internal import BillhookSDK
internal import BillhookSandbox
internal import Foundation
internal import Synchronization

/// A library whose plugins run in a worker: the process, started when it is needed and again after a
/// crash, and what is known of its crashes.
///
/// Safety of `@unchecked`: what changes is behind `state`.
final class WorkerLibrary: @unchecked Sendable {
  let file: LibraryFile
  let isolation: Isolation
  let settings: PluginSettings
  let observer: PluginObserver
  private let state = Mutex(State())

  private struct State {
    var process: WorkerProcess?
    /// What the library says of itself; nil until it was asked.
    var descriptions: [PluginDescription]?
    /// What its plugins logged so far.
    var logCount = 0
  }
  /// More lines than anybody reads.
  private static let logLimit = 10_000

  /// - Parameter known: What the library says of itself; nil starts the process to ask it.
  init(
    _ file: LibraryFile, _ isolation: Isolation, _ settings: PluginSettings,
    known: [PluginDescription]?, observer: PluginObserver
  ) throws(PluginError) {
    self.file = file
    self.isolation = isolation
    self.settings = settings
    self.observer = observer
    state.withLock { $0.descriptions = known }
    if known == nil { _ = try process() }
  }

  deinit { state.withLock { $0.process?.close() } }

  var descriptions: [PluginDescription] { state.withLock { $0.descriptions ?? [] } }

  /// The library's plugins, as if they were in this process.
  func plugins() -> [Plugin] {
    descriptions.enumerated().map { index, description in
      Plugin(
        descriptor: description.descriptor,
        entry: .proxies(of: description.descriptor.hook, named: description.functions),
        observer: observer, worker: Remote(library: self, index: index))
    }
  }

  /// Where a plugin runs.
  struct Remote: Sendable {
    let library: WorkerLibrary
    /// Among the plugins of the library.
    let index: Int
  }

  /// What confines the worker, when one runs.
  var confinement: Confinement? { state.withLock { $0.process?.confinement } }

  /// The running process, or a new one that has loaded the library.
  func process() throws(PluginError) -> WorkerProcess {
    let result = state.withLock { state -> Result<WorkerProcess, PluginError> in
      if let process = state.process, !process.hasEnded { return .success(process) }
      do throws(PluginError) {
        let process = try start(&state.descriptions)
        state.process = process
        return .success(process)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func start(
    _ known: inout [PluginDescription]?
  ) throws(PluginError) -> WorkerProcess {
    guard let arena = SharedArena.common else {
      throw .noWorker(executable: settings.workerPath, reason: "there is no shared memory")
    }
    let copy = try LibraryStore(settings.home).copy(file, strictly: isolation == .workerStrict)
    let order = WorkerOrder(
      libraries: [copy],
      // The inputs' block counts as addresses, whatever little of it is used.
      memoryBytes: settings.limits.memoryBytes + UInt64(arena.byteCount),
      readable: copy.readable, threads: Int(bh_thread_count()),
      laneCount: min(Int(bh_thread_count()), 16))
    let process = try WorkerProcess(order, executable: settings.workerPath, arena: arena) {
      [weak self] remark in self?.hear(remark)
    }
    do throws(PluginError) {
      let found = try WorkerLibrary.outcome(
        of: process, library: 0, file, settings, isolation: isolation)
      guard known == nil || known == found else {
        throw PluginError.cannotLoad(
          path: file.name, reason: "it describes itself differently from one time to the next")
      }
      known = found
    } catch {
      process.close()
      throw error
    }
    return process
  }

  private func hear(_ remark: WorkerProcess.Remark) {
    let known = descriptions
    switch remark {
    case .log(let plugin, let level, let text):
      guard known.indices.contains(plugin) else { return }
      let count = state.withLock { state in
        state.logCount += 1
        return state.logCount
      }
      let id = known[plugin].descriptor.id
      guard count <= Self.logLimit else {
        if count == Self.logLimit + 1 {
          observer.log(id, .warning, "It logged \(Self.logLimit) lines; the others are left out.")
        }
        return
      }
      observer.log(id, PluginObserver.LogLevel(rawValue: level) ?? .info, printable(text))
    case .progress(let plugin, let fraction, let text):
      guard known.indices.contains(plugin), !fraction.isNaN else { return }
      observer.progress(
        known[plugin].descriptor.id, min(max(fraction, 0), 1), printable(text))
    }
  }

  /// What a worker said of one of its libraries, and whether it is confined well enough.
  ///
  /// A crash or a hang while loading puts the library into quarantine.
  static func outcome(
    of process: WorkerProcess, library: Int, _ file: LibraryFile, _ settings: PluginSettings,
    isolation: Isolation
  ) throws(PluginError) -> [PluginDescription] {
    let now = process.loadings(within: settings.limits.loadSeconds) ?? process.loadingsSoFar
    // A process that only describes has done so for this library, whatever a later one did to it.
    let servesCalls = process.order.laneCount > 0
    if process.isOverdue, servesCalls || now.loadings[library] == nil {
      let error = PluginError.timedOut(
        plugin: file.name, function: "load", layer: nil, seconds: settings.limits.loadSeconds)
      settings.quarantine.add(file, stage: "load", reason: error.lastingDescription, output: "")
      throw error
    }
    if isolation == .workerStrict, let confinement = now.confinement,
      let missing = confinement.missingForStrict
    {
      throw .weakIsolation(plugin: file.name, missing: missing, found: confinement.description)
    }
    switch now.loadings[library] {
    case .loaded(let descriptions):
      if let end = now.end, servesCalls { throw crash(end, file.name, "load", nil) }
      return try DescriptionCheck(file: file).checked(descriptions)
    case .refused(let error): throw error
    case nil:
      if let number = now.startError {
        throw .noWorker(
          executable: settings.workerPath, reason: String(cString: strerror(number)))
      }
      guard let end = now.end, now.confinement != nil else {
        throw .noWorker(
          executable: settings.workerPath,
          reason: "it ended before it was ready\(now.end.map { ": \(describe($0))" } ?? "")")
      }
      if let failure = process.failedProbe(file, end) { throw failure }
      let error = crash(end, file.name, "load", nil)
      settings.quarantine.add(
        file, stage: "load", reason: error.lastingDescription, output: end.output)
      throw error
    }
  }

  // MARK: - Crashes

  /// - Parameter deed: What it did, when that is known.
  static func crash(
    _ end: WorkerProcess.End, _ plugin: String, _ function: String, _ layer: String?,
    doing deed: String? = nil
  ) -> PluginError {
    let how = (deed.map { "\($0), and " } ?? "") + describe(end)
    return .crashed(plugin: plugin, function: function, layer: layer, how: how)
  }

  private static func describe(_ end: WorkerProcess.End) -> String {
    var text =
      if end.signal == SIGSYS {
        "it made a system call that a worker may not make (\(signalName(end.signal)))"
      } else if end.signal != 0 {
        "its worker process was ended by \(signalName(end.signal))"
      } else {
        "it ended its worker process with exit status \(end.exitCode)"
      }
    if let last = end.output.split(separator: "\n").last {
      text += "; it wrote \"\(printable(String(last)))\""
    }
    return text
  }

  /// The start of a worker that only says what libraries are.
  ///
  /// - Parameter copies: As ``LibraryStore`` made them.
  static func describer(
    of copies: [LibraryFile], _ settings: PluginSettings, probes: Bool = false
  ) throws(PluginError) -> WorkerProcess {
    try WorkerProcess(
      WorkerOrder(
        libraries: copies, memoryBytes: settings.limits.memoryBytes,
        readable: copies.flatMap(\.readable), threads: 1, laneCount: 0, probes: probes),
      executable: settings.workerPath, arena: nil, hear: { _ in })
  }

  static func signalName(_ signal: Int32) -> String {
    let names: [Int32: String] = [
      SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
      SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL",
      SIGSEGV: "SIGSEGV", SIGPIPE: "SIGPIPE", SIGTERM: "SIGTERM", SIGXCPU: "SIGXCPU",
      SIGXFSZ: "SIGXFSZ", SIGSYS: "SIGSYS", SIGALRM: "SIGALRM", SIGUSR1: "SIGUSR1",
      SIGUSR2: "SIGUSR2",
    ]
    return names[signal] ?? "signal \(signal)"
  }
}

extension WorkerProcess {
  /// What a plain function did wrong when it was tried; nil when it was not that.
  fileprivate func failedProbe(_ file: LibraryFile, _ end: End) -> PluginError? {
    guard order.probes, let record = try? file.plain?.record() else { return nil }
    return report.failure(of: record, end.signal != 0 ? .signal(end.signal) : .exit(end.exitCode))
  }
}

extension SharedArena {
  /// The process's arena: all workers read their inputs from it, each only what it is shown.
  static let common = SharedArena()
}
