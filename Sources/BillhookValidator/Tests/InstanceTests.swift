internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookSDK
internal import Foundation

/// Tests of instances: made, used beside each other, ended, in good and in bad times.
extension ConformanceTest {
  static let instanceTests: [ConformanceTest] = [
    ConformanceTest(
      "ordinary-call", .core, .everyHook, "BH-12",
      "with its defaults the plugin does what it is for on an ordinary layer or batch"
    ) { subject in
      let plugin = try subject.plugin()
      let made = ProbeInstance.create(plugin, plugin.ordinaryValues(), in: Surroundings())
      if ProbeInstance.hasFailedInit { throw NotApplicable("\"init\" fails") }
      if made.outcome.hasChangedFloatingPoint {
        throw NotApplicable("\"create\" changes the floating-point mode")
      }
      try subject.require(
        made.outcome.status >= 0,
        "\"create\" returned \(statusName(made.outcome.status)): "
          + (made.outcome.message ?? "no text"))
      plugin.raw.destroy(made.pointer)
      var failures: [String] = []
      let exercises = plugin.exercises()
      for exercise in exercises {
        let observation = try exercise.runAlone(plugin)
        if observation.isFailure, !observation.hasChangedFloatingPoint {
          failures.append("\(exercise.label) returned \(observation.described)")
        }
      }
      // A plugin may decline some kinds of layer, not all.
      if failures.count == exercises.count, let first = failures.first { throw Violation(first) }
    },
    ConformanceTest(
      "create-destroy-1000", .core, .everyHook, "BH-05",
      "1000 instances leave no memory, descriptors or threads behind"
    ) { subject in
      let plugin = try subject.plugin()
      func round(_ count: Int) throws {
        for _ in 0..<count { try ProbeInstance(plugin).end() }
      }
      try round(200)
      let before = (
        ProcessState.residentBytes(), ProcessState.descriptors().count,
        ProcessState.threads().count
      )
      try round(1000)
      let grown = ProcessState.residentBytes() - before.0
      let descriptors = ProcessState.descriptors().count - before.1
      let threads = ProcessState.threads().count - before.2
      try subject.require(
        descriptors <= 0, "\(descriptors) descriptors stay open after 1000 instances")
      try subject.require(threads <= 0, "\(threads) threads stay after 1000 instances")
      // 4 KiB an instance: below it the allocator's own habits would be measured.
      try subject.require(
        grown <= 1000 * 4096, "memory grew by \(grown / 1024) KiB over 1000 instances")
    },
    ConformanceTest(
      "two-instances", .strict, .everyHook, "BH-05",
      "two instances used in turns give what each gives alone"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      let exercises = try plugin.workingExercises()
      let others = try plugin.workingExercises(Numbers(seed: plugin.seed &+ 1))
      for (exercise, other) in zip(exercises, others) {
        let alone = try exercise.runAlone(plugin)
        let one = try ProbeInstance(plugin)
        let two = try ProbeInstance(plugin)
        defer {
          one.end()
          two.end()
        }
        _ = try other.run(two, Surroundings())
        let between = try exercise.run(one, Surroundings())
        try subject.requireSame(
          alone, between, "\(exercise.label), alone and beside another instance")
      }
    },
    ConformanceTest(
      "create-bad-params", .core, .everyHook, "BH-27",
      "values outside of their range, and lists of any length, are refused or borne, without a crash"
    ) { subject in
      let plugin = try subject.plugin()
      guard !plugin.descriptor.parameters.isEmpty else {
        throw NotApplicable("the plugin has no parameters")
      }
      for (index, parameter) in plugin.descriptor.parameters.enumerated() {
        for value in Self.badValues(parameter) {
          var values = plugin.ordinaryValues()
          values[index] = value
          let made = ProbeInstance.create(plugin, values, in: Surroundings())
          if made.outcome.status >= 0 { plugin.raw.destroy(made.pointer) }
        }
      }
    },
    ConformanceTest(
      "scratch-failure", .strict, .everyHook, "BH-12",
      "a request for scratch memory that fails, whichever it is, becomes BH_E_NO_MEMORY"
    ) { subject in
      let plugin = try subject.plugin()
      var count = 0
      for exercise in try plugin.workingExercises() {
        let requests = try exercise.runAlone(plugin).record.scratchRequests
        // Beyond the first hundred the same lines of the plugin ask again.
        for number in 0..<min(requests, 100) {
          count += 1
          let failing = Surroundings().with { $0.failingScratch = number }
          let observation = try exercise.runAlone(plugin, failing)
          // An exercise may be several calls, and a later one makes fewer requests.
          guard observation.record.scratchRefusals > 0 else { continue }
          try subject.require(
            observation.status == BH_E_NO_MEMORY,
            "\(exercise.label) returned \(observation.described) when request \(number) failed; "
              + "it must be BH_E_NO_MEMORY")
        }
      }
      if count == 0 { throw NotApplicable("the plugin asks for no scratch memory") }
    },
    ConformanceTest(
      "host-fail-paths", .strict, .everyHook, "BH-12",
      "when the host cannot give random numbers, read or write, the plugin fails with a status"
    ) { subject in
      let plugin = try subject.plugin()
      var count = 0
      for exercise in try plugin.workingExercises() {
        guard try exercise.runAlone(plugin).record.randomRequests > 0 else { continue }
        count += 1
        let failing = Surroundings().with { $0.failsRandom = true }
        let observation = try exercise.runAlone(plugin, failing)
        try subject.require(
          observation.isFailure,
          "\(exercise.label) returned \(observation.described) although \"random\" failed")
      }
      if plugin.raw.save != nil {
        count += 1
        try plugin.withObservingInstance { instance in
          let outcome = instance.save(PartialWriter(failsAfter: 0))
          let wrote = PartialWriter(failsAfter: .max)
          _ = instance.save(wrote)
          try subject.require(
            outcome.isFailure || wrote.bytes.isEmpty,
            "\"save\" returned \(outcome.described) although nothing could be written")
          guard plugin.raw.load != nil, !wrote.bytes.isEmpty else { return }
          let other = try ProbeInstance(plugin)
          defer { other.end() }
          let loaded = other.load(PartialReader([], fails: true), plugin.raw.state_version)
          try subject.require(
            loaded.isFailure,
            "\"load\" returned \(loaded.described) although nothing could be read")
        }
      }
      if count == 0 { throw NotApplicable("the plugin asks for nothing that can fail") }
    },
  ]

  private static func badValues(_ parameter: ParameterDescriptor) -> [ParameterValue] {
    let low = parameter.range.lowerBound
    let high = parameter.range.upperBound
    switch parameter.kind {
    case .int:
      return [.int(.min), .int(.max)] + (Int64(exactly: low).map { [.int($0 &- 1)] } ?? [])
        + (Int64(exactly: high).map { [.int($0 &+ 1)] } ?? [])
    case .double:
      return [.double(.nan), .double(-.infinity), .double(.infinity)]
        + (low.isFinite ? [.double(low.nextDown)] : [])
        + (high.isFinite ? [.double(high.nextUp)] : [])
    case .bool, .choice: return []
    case .string: return [.string(""), .string(String(repeating: "y", count: 1 << 20))]
    case .ints: return [.ints([]), .ints([.min]), .ints([Int64](repeating: 1, count: 10_000))]
    case .doubles:
      return [.doubles([]), .doubles([.nan]), .doubles([Double](repeating: 1, count: 10_000))]
    }
  }
}

extension Subject {
  /// The plugin, when it promises the same bytes for the same inputs.
  func deterministicPlugin() throws -> ProbePlugin {
    let plugin = try plugin()
    guard plugin.raw.caps & BH_CAP_DETERMINISTIC != 0 else {
      throw NotApplicable("the plugin does not declare BH_CAP_DETERMINISTIC")
    }
    return plugin
  }
}
