internal import BillhookPlugins
internal import BillhookSDK
internal import BillhookTensor

/// Tests of what an instance has observed: saved, loaded, merged, forgotten.
extension ConformanceTest {
  static let stateTests: [ConformanceTest] = [
    ConformanceTest(
      "state-roundtrip", .core, .everyHook, "BH-17",
      "an instance that loads a saved state saves the same bytes and gives the same results"
    ) { subject in
      let plugin = try subject.savingPlugin()
      try plugin.withObservingInstance { instance in
        let state = try instance.saved()
        let again = try instance.saved()
        try subject.require(state == again, "\"save\" gives other bytes the second time")
        let other = try ProbeInstance(plugin)
        defer { other.end() }
        let loaded = other.load(PartialReader(state), plugin.raw.state_version)
        try subject.require(!loaded.isFailure, "\"load\" returned \(loaded.described)")
        let resaved = try other.saved()
        try subject.require(
          state == resaved, "after \"load\", \"save\" gives other bytes than those that were loaded"
        )
        try subject.requireSame(
          try plugin.answer(instance), try plugin.answer(other),
          "the instance that was saved and the one that loaded it")
      }
    },
    ConformanceTest(
      "state-partial-io", .core, .everyHook, "BH-17",
      "a reader or writer that takes 1 or 7 bytes at a time changes nothing"
    ) { subject in
      let plugin = try subject.savingPlugin()
      try plugin.withObservingInstance { instance in
        let state = try instance.saved()
        for size in [1, 7] {
          let slowly = try instance.saved(PartialWriter(pieceBytes: size))
          try subject.require(
            slowly == state, "\"save\" gives other bytes when \(size) are taken at a time")
          let other = try ProbeInstance(plugin)
          defer { other.end() }
          let loaded = other.load(
            PartialReader(state, pieceBytes: size), plugin.raw.state_version)
          try subject.require(
            !loaded.isFailure,
            "\"load\" returned \(loaded.described) when \(size) bytes came at a time")
          let atOnce = try ProbeInstance(plugin)
          defer { atOnce.end() }
          _ = atOnce.load(PartialReader(state), plugin.raw.state_version)
          try subject.requireSame(
            try plugin.answer(atOnce), try plugin.answer(other),
            "a state that was read at once and \(size) bytes at a time")
        }
      }
    },
    damaged("state-empty", "no bytes at all") { _, _ in [[]] },
    damaged("state-random-3x1MB", "a megabyte of random bytes") { _, seed in
      (0..<3).map { number in
        var random = CounterRandom(seed: seed &+ UInt64(number), stream: 77)
        return (0..<(1 << 17)).flatMap { _ in
          withUnsafeBytes(of: random.next()) { Array($0) }
        }
      }
    },
    damaged("state-truncated", "a state that ends early") { state, _ in
      guard !state.isEmpty else { return [] }
      let lengths =
        state.count <= 64
        ? Array(1..<state.count) : stride(from: 1, to: state.count, by: state.count / 64).map { $0 }
      return lengths.map { Array(state.prefix($0)) }
    },
    damaged("state-bitflip", "a state with one wrong bit") { state, seed in
      guard !state.isEmpty else { return [] }
      var random = CounterRandom(seed: seed, stream: 78)
      return (0..<200).map { _ in
        var copy = state
        let bit = Int(random.next() % UInt64(state.count * 8))
        copy[bit / 8] ^= 1 << UInt8(bit % 8)
        return copy
      }
    },
    ConformanceTest(
      "state-future-version", .core, .everyHook, "BH-17",
      "a state of a version that does not exist yet is refused with BH_E_BAD_STATE"
    ) { subject in
      let plugin = try subject.savingPlugin()
      try plugin.withObservingInstance { instance in
        let state = try instance.saved()
        let other = try ProbeInstance(plugin)
        defer { other.end() }
        let loaded = other.load(PartialReader(state), plugin.raw.state_version + 1000)
        try subject.require(
          loaded.status == BH_E_BAD_STATE,
          "\"load\" of version \(plugin.raw.state_version + 1000) returned \(loaded.described)")
      }
    },
    ConformanceTest(
      "reset-equals-fresh", .strict, .everyHook, "BH-12",
      "an instance that was reset gives what a new one gives"
    ) { subject in
      let plugin = try subject.deterministicPlugin()
      guard plugin.raw.reset != nil else { throw NotApplicable("the plugin has no \"reset\"") }
      let exercises = try plugin.workingExercises()
      for exercise in exercises {
        let fresh = try exercise.runAlone(plugin)
        let used = try ProbeInstance(plugin)
        defer { used.end() }
        _ = try exercises[0].run(used, Surroundings())
        let reset = used.reset()
        try subject.require(!reset.isFailure, "\"reset\" returned \(reset.described)")
        try subject.requireSame(
          fresh, try exercise.run(used, Surroundings()),
          "\(exercise.label), in a new instance and after \"reset\"")
      }
    },
    ConformanceTest(
      "observe-order", .strict, .scorer, "BH-45",
      "batches that come in another order give nearly the same scores"
    ) { subject in
      let plugin = try subject.observingPlugin()
      guard plugin.raw.caps & BH_CAP_STREAMING != 0 else {
        throw NotApplicable("the plugin takes all data at once")
      }
      let one = try ProbeInstance(plugin)
      let two = try ProbeInstance(plugin)
      defer {
        one.end()
        two.end()
      }
      try plugin.observe(one, batches: [0, 1])
      try plugin.observe(two, batches: [1, 0])
      try subject.requireNear(
        try plugin.answer(one), try plugin.answer(two), "batches in another order")
    },
    ConformanceTest(
      "merge-equivalence", .strict, .scorer, "BH-18",
      "instances that each saw a part of the data, merged, score like one that saw all"
    ) { subject in
      let plugin = try subject.observingPlugin()
      guard plugin.raw.caps & BH_CAP_MERGEABLE != 0 else {
        throw NotApplicable("the plugin does not declare BH_CAP_MERGEABLE")
      }
      let whole = try ProbeInstance(plugin)
      let first = try ProbeInstance(plugin)
      let second = try ProbeInstance(plugin)
      defer { for instance in [whole, first, second] { instance.end() } }
      try plugin.observe(whole)
      try plugin.observe(first, batches: [0])
      try plugin.observe(second, batches: [1])
      let merged = first.merge(PartialReader(try second.saved()))
      try subject.require(!merged.isFailure, "\"merge\" returned \(merged.described)")
      try subject.requireNear(
        try plugin.answer(whole), try plugin.answer(first), "one instance and two that were merged")
    },
  ]

  /// A state that is not one: refused or taken, but nothing worse.
  private static func damaged(
    _ name: String, _ what: String,
    _ states: @escaping @Sendable (_ state: [UInt8], _ seed: UInt64) -> [[UInt8]]
  ) -> ConformanceTest {
    ConformanceTest(
      name, .core, .everyHook, "BH-17", "\(what) is refused or taken by \"load\", without a crash"
    ) { subject in
      let plugin = try subject.savingPlugin()
      try plugin.withObservingInstance { instance in
        for state in states(try instance.saved(), subject.seed) {
          let other = try ProbeInstance(plugin)
          let loaded = other.load(PartialReader(state), plugin.raw.state_version)
          // What was taken must be usable.
          if !loaded.isFailure { _ = try plugin.answer(other) }
          other.end()
        }
      }
    }
  }
}

extension Subject {
  fileprivate func savingPlugin() throws -> ProbePlugin {
    let plugin = try plugin()
    guard plugin.raw.save != nil, plugin.raw.load != nil else {
      throw NotApplicable("the plugin has no state to save")
    }
    return plugin
  }

  fileprivate func observingPlugin() throws -> ProbePlugin {
    let plugin = try plugin()
    guard plugin.raw.needs & ScorerCase.rawNeeds != 0 else {
      throw NotApplicable("the plugin does not observe")
    }
    return plugin
  }

  /// The same up to the order in which numbers were added.
  func requireNear(_ first: Observation, _ second: Observation, _ what: String) throws {
    try require(
      first.status == second.status,
      "\(what): one returned \(first.described), the other \(second.described)")
    for (left, right) in zip(first.outputs, second.outputs) {
      for (index, pair) in zip(left.floats, right.floats).enumerated() {
        let bound = 1e-4 * max(abs(pair.0), abs(pair.1)) + 1e-6
        try require(
          abs(pair.0 - pair.1) <= bound,
          "\(what): \"\(left.name)\" \(index) is \(pair.0) and \(pair.1)")
      }
    }
  }
}
