internal import Glibc

/// Tries the functions of a plain plugin on made-up values in a process of its own, before any real
/// data: sizes 0, 1, 2, 3, 17 and 4096, outputs between guard pages, inputs that cannot be written.
struct PlainProbe {
  static let counts = [0, 1, 2, 3, 17, 4096]
  /// A function that has not returned by then hangs.
  private static let secondLimit = 10
  private static let tries = 3

  let functions: PlainFunctions

  /// - Throws: ``PluginError/failedProbe(signature:count:reason:)``.
  func run() throws(PluginError) {
    guard let report = ProbeReport() else {
      throw failure(functions.plugin.calls[0], 0, "there is no memory for it")
    }
    defer { report.release() }
    for attempt in 1...Self.tries {
      report.clear()
      let end = Self.fork { PlainProbeRun(functions: functions, report: report).run() }
      // The new process has one thread. If another one held a lock of the runtime at that moment,
      // it waits forever before the function is even called: that is not the function's fault.
      if case .tooLong = end, report.stage == .preparing, attempt < Self.tries { continue }
      return try judge(end, report)
    }
  }

  private func judge(_ end: ProcessEnd, _ report: ProbeReport) throws(PluginError) {
    let roles = PlainRole.allCases
    let role = roles.indices.contains(report.role) ? roles[report.role] : roles[0]
    let call = functions.plugin.call(role) ?? functions.plugin.calls[0]
    let count = report.count
    switch end {
    case .notStarted(let reason):
      throw failure(call, count, "no process could be made for it (\(reason))")
    case .tooLong:
      throw failure(call, count, "it did not return within \(Self.secondLimit) seconds")
    case .signal(let number):
      let what = "signal \(number), \(String(cString: strsignal(number)))"
      throw failure(
        call, count, report.accessed.map { "\($0) (\(what))" } ?? "it crashed (\(what))")
    case .exit(let code):
      switch report.stage {
      case .done: return
      case .failed: throw failure(call, count, report.text)
      default: throw failure(call, count, "it ended the process with exit code \(code)")
      }
    }
  }

  private func failure(_ call: PlainCall, _ count: Int, _ reason: String) -> PluginError {
    .failedProbe(signature: call.signature.description, count: count, reason: reason)
  }

  // MARK: - The process

  private enum ProcessEnd {
    case notStarted(String)
    case exit(Int32)
    case signal(Int32)
    case tooLong
  }

  private final class Job {
    let body: () -> Void
    var end = ProcessEnd.notStarted("no thread")
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// Runs `body` in a copy of this process.
  ///
  /// From a thread of its own: OpenMP keeps the team of a thread that used it, and in the copy the
  /// team's members are gone.
  private static func fork(_ body: () -> Void) -> ProcessEnd {
    withoutActuallyEscaping(body) { body in
      let job = Job(body)
      var thread = pthread_t()
      let status = pthread_create(
        &thread, nil,
        { data in
          let job = Unmanaged<Job>.fromOpaque(data!).takeUnretainedValue()
          job.end = PlainProbe.forkHere(job.body)
          return nil
        }, Unmanaged.passUnretained(job).toOpaque())
      guard status == 0 else { return .notStarted(String(cString: strerror(status))) }
      pthread_join(thread, nil)
      return withExtendedLifetime(job) { job.end }
    }
  }

  private static func forkHere(_ body: () -> Void) -> ProcessEnd {
    // Swift hides fork because much of its runtime must not be used after it. Here the copy touches
    // no lock that another thread may hold, except by bad luck, which `run` knows how to meet.
    guard let symbol = dlsym(nil, "fork") else { return .notStarted("no fork") }
    let child = unsafeBitCast(symbol, to: (@convention(c) () -> pid_t).self)()
    guard child >= 0 else { return .notStarted(String(cString: strerror(errno))) }
    if child == 0 {
      body()
      _exit(0)
    }
    var status: Int32 = 0
    var waited = 0
    while true {
      let found = waitpid(child, &status, WNOHANG)
      if found == child { break }
      if found < 0, errno != EINTR { return .notStarted(String(cString: strerror(errno))) }
      guard waited < secondLimit * 1000 else {
        kill(child, SIGKILL)
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        return .tooLong
      }
      usleep(1000)
      waited += 1
    }
    let signal = status & 0x7F
    return signal == 0 ? .exit((status >> 8) & 0xFF) : .signal(signal)
  }
}
