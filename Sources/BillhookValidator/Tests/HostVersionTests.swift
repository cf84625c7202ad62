internal import BillhookPlugins
internal import BillhookSDK

/// Tests with hosts other than this one.
extension ConformanceTest {
  static let hostVersionTests: [ConformanceTest] = [
    ConformanceTest(
      "old-host", .core, .everyHook, "BH-14",
      "a host without extensions is met with a status, not a crash"
    ) { subject in
      let plugin = try subject.plugin()
      let old = Surroundings().with { $0.hidesExtensions = true }
      for exercise in try plugin.workingExercises() {
        let made = ProbeInstance.create(plugin, plugin.ordinaryValues(), in: old)
        guard made.outcome.status >= 0 else { continue }
        plugin.raw.destroy(made.pointer)
        let instance = try ProbeInstance(plugin, in: old)
        defer { instance.end() }
        let observation = try exercise.run(instance, old)
        let isRefusal = observation.status == BH_E_UNSUPPORTED
        try subject.require(
          !observation.isFailure || isRefusal,
          "\(exercise.label) returned \(observation.described); a missing extension is "
            + "BH_E_UNSUPPORTED")
      }
    },
    ConformanceTest(
      "new-host", .core, .everyHook, "BH-14",
      "structs that are larger than those of the headers, with unknown bytes behind, change nothing"
    ) { subject in
      let plugin = try subject.plugin()
      let newer = Surroundings().with { $0.isNewer = true }
      for exercise in try plugin.workingExercises() {
        let today = try exercise.runAlone(plugin)
        let made = ProbeInstance.create(plugin, plugin.ordinaryValues(), in: newer)
        try subject.require(
          made.outcome.status >= 0,
          "\"create\" returned \(statusName(made.outcome.status)) to a newer host")
        plugin.raw.destroy(made.pointer)
        let instance = try ProbeInstance(plugin, in: newer)
        defer { instance.end() }
        let tomorrow = try exercise.run(instance, newer)
        try subject.require(
          !tomorrow.isFailure, "\(exercise.label) returned \(tomorrow.described) to a newer host")
        guard plugin.raw.caps & BH_CAP_DETERMINISTIC != 0, try exercise.isRepeatable(plugin)
        else { continue }
        try subject.requireSame(today, tomorrow, "\(exercise.label), for this host and a newer one")
      }
    },
  ]
}
