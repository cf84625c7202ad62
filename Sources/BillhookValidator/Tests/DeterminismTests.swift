internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookSDK
internal import Synchronization

/// Tests of what must not depend on time, threads or order.
extension ConformanceTest {
  static let determinismTests: [ConformanceTest] = [
    ConformanceTest(
      "determinism-repeat", .core, .everyHook, "BH-10",
      "the same inputs, parameters and seed give the same bytes again"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      for exercise in try plugin.workingExercises() {
        let first = try exercise.runAlone(plugin)
        for _ in 0..<3 {
          try subject.requireSame(first, try exercise.runAlone(plugin), exercise.label)
        }
      }
    },
    ConformanceTest(
      "determinism-threads", .core, .everyHook, "BH-10",
      "1, 2, 3 and 8 threads give the same bytes"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      for exercise in try plugin.repeatableExercises() {
        Threads.count = 1
        let first = try exercise.runAlone(plugin)
        for count in [2, 3, 8] {
          Threads.count = count
          let threads = Surroundings().with { $0.order = .threads(count) }
          try subject.requireSame(
            first, try exercise.runAlone(plugin, threads),
            "\(exercise.label), on 1 thread and on \(count)")
        }
      }
    },
    ConformanceTest(
      "determinism-chunk-order", .strict, .everyHook, "BH-10",
      "pieces of a loop that run in reverse give the same bytes"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      var loops = 0
      for exercise in try plugin.repeatableExercises() {
        let first = try exercise.runAlone(plugin)
        loops += first.record.loops
        let reversed = Surroundings().with { $0.order = .reversed }
        try subject.requireSame(
          first, try exercise.runAlone(plugin, reversed), "\(exercise.label), in reverse")
      }
      if loops == 0 { throw NotApplicable("the plugin uses no \"parallel_for\"") }
    },
    ConformanceTest(
      "seed-honoured", .strict, .everyHook, "BH-10",
      "a plugin that uses random numbers gives others for another seed, the same for the same"
    ) { subject in
      let plugin = try subject.plugin()
      let other = try ProbePlugin(
        Subject(path: subject.path, id: subject.id, seed: subject.seed &+ 1))
      var isUsed = false
      var isDifferent = false
      for exercise in try plugin.workingExercises() {
        let first = try exercise.runAlone(plugin)
        guard first.record.randomRequests > 0 else { continue }
        isUsed = true
        try subject.requireSame(
          first, try exercise.runAlone(plugin), "\(exercise.label), twice with the same seed")
        let second = try exercise.runAlone(other)
        isDifferent = isDifferent || first.outputs.map(\.bytes) != second.outputs.map(\.bytes)
      }
      guard isUsed else { throw NotApplicable("the plugin uses no random numbers") }
      try subject.require(isDifferent, "another seed changes nothing")
    },
    ConformanceTest(
      "nested-parallel", .strict, .everyHook, "BH-06", "the plugin works inside of the host's loops"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      for exercise in try plugin.repeatableExercises() {
        let first = try exercise.runAlone(plugin)
        let results = Mutex<[Observation]>([])
        // The host's own loops run several layers at once, each with its own instance.
        onThreads(1) { _ in
          guard let observation = try? exercise.runAlone(plugin) else { return }
          results.withLock { $0.append(observation) }
        }
        for second in results.withLock({ $0 }) {
          try subject.requireSame(first, second, "\(exercise.label), inside of a loop")
        }
      }
    },
    ConformanceTest(
      "concurrent-calls", .strict, .everyHook, "BH-06",
      "calls from 8 threads on one instance give what they give one after the other"
    ) { subject in
      let plugin = try subject.plugin()
      guard plugin.raw.caps & BH_CAP_CONCURRENT != 0 else {
        throw NotApplicable("the plugin does not declare BH_CAP_CONCURRENT")
      }
      guard plugin.raw.needs & ScorerCase.rawNeeds == 0 || plugin.descriptor.hook != .scorer else {
        throw NotApplicable("the plugin observes, which is exclusive")
      }
      for (number, exercise) in try plugin.workingExercises().enumerated() {
        let alone = try exercise.runAlone(plugin)
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        let failures = Mutex<[String]>([])
        onThreads(8) { _ in
          for _ in 0..<20 {
            guard let together = try? exercise.run(instance, Surroundings()) else { continue }
            do {
              try subject.requireSame(alone, together, "\(exercise.label), on 8 threads at once")
            } catch let violation as Violation {
              failures.withLock { $0.append(violation.message) }
            } catch {
              failures.withLock { $0.append("\(error)") }
            }
          }
        }
        if let failure = failures.withLock({ $0.first }) {
          throw Violation("\(failure) (exercise \(number))")
        }
      }
    },
    ConformanceTest(
      "order-independence", .strict, .everyHook, "BH-10",
      "an instance that works on layers in another order gives the same for each"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      let exercises = try plugin.repeatableExercises()
      func all(_ order: [Int]) throws -> [Int: Observation] {
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        var result: [Int: Observation] = [:]
        for index in order { result[index] = try exercises[index].run(instance, Surroundings()) }
        return result
      }
      guard plugin.raw.needs & ScorerCase.rawNeeds == 0 || plugin.descriptor.hook != .scorer else {
        throw NotApplicable("what the plugin observes comes in the order of the data")
      }
      let forward = try all(Array(exercises.indices))
      let backward = try all(exercises.indices.reversed())
      for index in exercises.indices {
        guard let one = forward[index], let two = backward[index] else { continue }
        try subject.requireSame(one, two, "\(exercises[index].label), in another order of layers")
      }
    },
  ]
}
