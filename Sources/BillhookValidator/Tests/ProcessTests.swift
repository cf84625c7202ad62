internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookSDK
internal import Foundation
internal import Glibc
internal import Synchronization

/// Tests of how a plugin behaves as a guest in the host's process.
extension ConformanceTest {
  static let processTests: [ConformanceTest] = [
    ConformanceTest(
      "cancel-before", .core, .everyHook, "BH-11",
      "a call that is cancelled from the start ends, and the instance can be ended"
    ) { subject in
      let plugin = try subject.plugin()
      try cancelled(subject, plugin, after: 0)
    },
    ConformanceTest(
      "cancel-during", .core, .everyHook, "BH-11",
      "a call that is cancelled half way ends within 200 ms, and the instance can be ended"
    ) { subject in
      let plugin = try subject.plugin()
      for questions in [1, 2, 5] { try cancelled(subject, plugin, after: questions) }
    },
    ConformanceTest(
      "timeout-behaviour", .pedantic, .everyHook, "BH-11",
      "a call that could take longer than 200 ms asks whether it is cancelled"
    ) { subject in
      let plugin = try subject.plugin()
      for exercise in try plugin.workingExercises() {
        let start = ContinuousClock.now
        let observation = try exercise.runAlone(plugin)
        let elapsed = ContinuousClock.now - start
        try subject.require(
          elapsed < .milliseconds(200) || observation.record.cancelQuestions > 0,
          "\(exercise.label) took \(elapsed) and never asked \"cancelled\"")
      }
    },
    ConformanceTest(
      "fp-env", .core, .everyHook, "BH-08",
      "rounding, flushing and floating-point exceptions are as before after each call"
    ) { subject in
      let plugin = try subject.plugin()
      let made = ProbeInstance.create(plugin, plugin.ordinaryValues(), in: Surroundings())
      try subject.require(
        !made.outcome.hasChangedFloatingPoint, "\"create\" changes the floating-point mode")
      if made.outcome.status >= 0 { plugin.raw.destroy(made.pointer) }
      for exercise in plugin.exercises() {
        let observation = try exercise.runAlone(plugin)
        try subject.require(
          !observation.hasChangedFloatingPoint,
          "\(exercise.label) changes the floating-point mode; restore it before you return, or "
            + "build without -ffast-math")
      }
    },
    ConformanceTest(
      "process-state", .core, .everyHook, "BH-08",
      "environment, locale, folder, signals, files and descriptors are as before after each call"
    ) { subject in
      let plugin = try subject.plugin()
      try inEmptyFolder {
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        let before = ProcessState()
        for exercise in plugin.exercises() {
          _ = try exercise.run(instance, Surroundings())
          let changes = before.changes(to: ProcessState(), ignoringThreads: true)
          try subject.require(
            changes.isEmpty, "\(exercise.label): \(changes.joined(separator: "; "))")
        }
      }
    },
    ConformanceTest(
      "no-own-threads", .strict, .everyHook, "BH-06", "no thread of the plugin outlives a call"
    ) { subject in
      // One thread: the host's pool then starts none of its own.
      Threads.count = 1
      let plugin = try subject.plugin()
      for exercise in try plugin.workingExercises() {
        let before = ProcessState.threads()
        _ = try exercise.runAlone(plugin)
        let left = ProcessState.threads().subtracting(before).count
        try subject.require(left == 0, "\(left) threads are left after \(exercise.label)")
      }
    },
    ConformanceTest(
      "no-own-processes", .core, .everyHook, "BH-09", "no process is started, in no function"
    ) { subject in
      guard !ChildProcesses.exist() else {
        throw NotApplicable("this process has children already; run the test alone")
      }
      let before = ChildProcesses.endedPageFaults()
      func check(_ doing: String) throws {
        try subject.require(
          !ChildProcesses.exist() && ChildProcesses.endedPageFaults() == before,
          "\(doing) started a process")
      }
      let plugin = try subject.plugin()
      try check("loading")
      for exercise in try plugin.workingExercises() {
        _ = try exercise.runAlone(plugin)
        try check(exercise.label)
      }
    },
    ConformanceTest(
      "no-stdout", .pedantic, .everyHook, "BH-09",
      "nothing is printed: what there is to say goes to the host's log"
    ) { subject in
      // Loading is among it: a library's constructors may print too.
      let printed = try capturingOutput {
        let plugin = try subject.plugin()
        for exercise in try plugin.workingExercises() { _ = try exercise.runAlone(plugin) }
      }
      try subject.require(
        printed.isEmpty, "it printed \(printed.utf8.count) bytes: \"\(printed.prefix(60))\"")
    },
    ConformanceTest(
      "fresh-thread", .strict, .everyHook, "BH-07",
      "an instance gives the same results when each call comes on a new thread"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      for exercise in try plugin.workingExercises() {
        let instance = try ProbeInstance(plugin)
        let first = try exercise.run(instance, Surroundings())
        let again = try exercise.run(instance, Surroundings())
        instance.end()
        let moved = Mutex<[Observation]>([])
        nonisolated(unsafe) var other: ProbeInstance?
        onThreads(1) { _ in other = try? ProbeInstance(plugin) }
        guard let other else { continue }
        for _ in 0..<2 {
          onThreads(1) { _ in
            guard let observation = try? exercise.run(other, Surroundings()) else { return }
            moved.withLock { $0.append(observation) }
          }
        }
        onThreads(1) { _ in other.end() }
        for (stayed, moved) in zip([first, again], moved.withLock { $0 }) {
          try subject.requireSame(
            stayed, moved, "\(exercise.label), on one thread and on new ones")
        }
      }
    },
    ConformanceTest(
      "error-text", .strict, .everyHook, "BH-12", "a failure says why"
    ) { subject in
      let plugin = try subject.plugin()
      var numbers = Numbers(seed: plugin.seed)
      numbers.change = { value, index in index % 5 == 0 ? .nan : value }
      let withoutHost = Surroundings().with { $0.hidesExtensions = true }
      let withoutMemory = Surroundings().with { $0.failingScratch = 0 }
      for exercise in plugin.exercises() + plugin.exercises(numbers) + plugin.oddExercises() {
        for surroundings in [Surroundings(), withoutHost, withoutMemory] {
          let observation = try exercise.runAlone(plugin, surroundings)
          guard observation.isFailure, observation.status != BH_E_CANCELLED else { continue }
          try subject.require(
            observation.message?.isEmpty == false,
            "\(exercise.label) returned \(statusName(observation.status)) without a text")
        }
      }
    },
  ]

  private static func cancelled(
    _ subject: Subject, _ plugin: ProbePlugin, after questions: Int
  ) throws {
    for exercise in try plugin.workingExercises() {
      let instance = try ProbeInstance(plugin)
      let start = ContinuousClock.now
      let observation = try exercise.run(
        instance, Surroundings().with { $0.cancelsAfter = questions })
      let elapsed = ContinuousClock.now - start
      instance.end()
      guard observation.record.cancellations > 0 else { continue }
      // A plugin that hears it with its work all but done may as well finish.
      try subject.require(
        observation.status == BH_E_CANCELLED || observation.status >= 0,
        "\(exercise.label) returned \(observation.described) when it was cancelled")
      try subject.require(
        observation.status == BH_E_CANCELLED || observation.record.cancellations < 8,
        "\(exercise.label) asked \(observation.record.cancelQuestions) times and went on; it must "
          + "return BH_E_CANCELLED")
      if elapsed > .milliseconds(200) {
        throw Remark("\(exercise.label) took \(elapsed) to end after it was cancelled")
      }
    }
  }
}

/// What there is to see of processes that this one started.
private enum ChildProcesses {
  /// Whether one runs, or has ended and was not waited for.
  static func exist() -> Bool {
    var information = siginfo_t()
    return waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) == 0
  }

  /// A number that grows with each one that was waited for: none ends without a page fault.
  static func endedPageFaults() -> Int {
    var usage = rusage()
    guard getrusage(RUSAGE_CHILDREN.rawValue, &usage) == 0 else { return 0 }
    return usage.ru_minflt + usage.ru_majflt
  }
}

/// What `body` prints, on standard output and error.
private func capturingOutput(_ body: () throws -> Void) throws -> String {
  let file = FileManager.default.temporaryDirectory
    .appendingPathComponent("billhook-\(UUID().uuidString).out").path
  let descriptor = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
  guard descriptor >= 0 else {
    throw NotApplicable("\"\(file)\": \(String(cString: strerror(errno)))")
  }
  unlink(file)
  fflush(nil)
  let saved = [dup(1), dup(2)]
  dup2(descriptor, 1)
  dup2(descriptor, 2)
  defer {
    dup2(saved[0], 1)
    dup2(saved[1], 2)
    for number in saved + [descriptor] { close(number) }
  }
  try body()
  fflush(nil)
  var bytes = [UInt8](repeating: 0, count: 4096)
  let count = pread(descriptor, &bytes, bytes.count, 0)
  return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
}
