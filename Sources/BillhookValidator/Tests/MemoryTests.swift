internal import BillhookPlugins
internal import BillhookSDK

/// Tests of what a plugin reads and writes.
extension ConformanceTest {
  static let memoryTests: [ConformanceTest] = [
    ConformanceTest(
      "inputs-read-only", .core, .everyHook, "BH-02", "inputs on read-only pages are not written to"
    ) { subject in
      try run(subject, Surroundings().with { $0.protectsInputs = true })
    },
    ConformanceTest(
      "bounds-end", .core, .everyHook, "BH-03",
      "nothing behind the last byte of an input or output is touched"
    ) { subject in
      try run(subject, Surroundings().with { $0.placement = .beforeGuard })
    },
    ConformanceTest(
      "bounds-start", .core, .everyHook, "BH-03",
      "nothing before the first byte of an input or output is touched"
    ) { subject in
      try run(subject, Surroundings().with { $0.placement = .behindGuard })
    },
    ConformanceTest(
      "writes-everything", .core, .everyHook, "BH-03",
      "every element of an output is written, whatever was there before"
    ) { subject in
      let plugin = try subject.plugin()
      // Two NaN that no arithmetic gives; a byte that is the same twice may be a result.
      let first = Surroundings().with { $0.fill = 0x7FD5_A5A5 }
      let second = Surroundings().with { $0.fill = 0xFFCA_5A5A }
      for exercise in try plugin.workingExercises() {
        let one = try exercise.runAlone(plugin, first)
        let two = try exercise.runAlone(plugin, second)
        guard one.status == BH_OK, two.status == BH_OK else { continue }
        for (left, right) in zip(one.outputs, two.outputs) {
          guard
            let index = left.firstUnwritten(fill: first.fill, other: right, fill: second.fill)
          else { continue }
          throw Violation(
            "\(exercise.label) left byte \(index) of \"\(left.name)\" as it was before the call")
        }
      }
    },
    ConformanceTest(
      "keeps-no-pointers", .strict, .everyHook, "BH-01",
      "after a call nothing that belonged to it is touched, in later calls or at the end"
    ) { subject in
      let plugin = try subject.plugin()
      let gone = Surroundings().with { $0.forbidsInputs = true }
      for exercise in try plugin.workingExercises() {
        let instance = try ProbeInstance(plugin)
        for _ in 0..<3 { _ = try exercise.run(instance, gone) }
        instance.end()
      }
    },
    ConformanceTest(
      "byte-offset", .core, .everyHook, "BH-03",
      "data aligned to its elements and to nothing more gives the same result"
    ) { subject in
      let plugin = try subject.plugin()
      let unaligned = Surroundings().with { $0.placement = .unaligned }
      for exercise in try plugin.workingExercises() {
        let aligned = try exercise.runAlone(plugin)
        let other = try exercise.runAlone(plugin, unaligned)
        try subject.require(
          !other.isFailure,
          "\(exercise.label) returned \(other.described) for data that is aligned to 4 bytes")
        guard plugin.raw.caps & BH_CAP_DETERMINISTIC != 0, try exercise.isRepeatable(plugin)
        else { continue }
        try subject.requireSame(
          aligned, other, "\(exercise.label), for aligned data and unaligned data")
      }
    },
    ConformanceTest(
      "dtypes", .core, .scorer, "BH-42", "each declared element type of weights is taken"
    ) { subject in
      let plugin = try subject.plugin()
      guard plugin.raw.n_dtypes > 0 else {
        throw NotApplicable("the plugin takes float32 weights only")
      }
      for number in 0..<Int(plugin.raw.n_dtypes) {
        let type = plugin.raw.dtypes[number]
        for var item in ScorerCase.ordinary(plugin) {
          item.weightType = type
          let observation = try item.exercise(Numbers(seed: plugin.seed)).runAlone(plugin)
          try subject.require(
            !observation.isFailure,
            "\(item.label) in the declared type 0x\(String(type, radix: 16)) returned "
              + observation.described)
        }
      }
    },
  ]

  /// A crash is the failure here; what the call returns is another test's.
  private static func run(_ subject: Subject, _ surroundings: Surroundings) throws {
    let plugin = try subject.plugin()
    for exercise in try plugin.workingExercises() + plugin.tailExercises() {
      _ = try exercise.runAlone(plugin, surroundings)
    }
  }
}

extension OutputBytes {
  /// The first byte that shows the fill in both runs.
  fileprivate func firstUnwritten(fill: UInt32, other: OutputBytes, fill otherFill: UInt32)
    -> Int?
  {
    func byte(_ word: UInt32, _ index: Int) -> UInt8 {
      UInt8(truncatingIfNeeded: word >> (8 * UInt32(index % 4)))
    }
    // Whole elements: a single byte of a number may well be what it was before.
    let size = max(1, bits / 8)
    return stride(from: 0, to: bytes.count - size + 1, by: size).first { start in
      (start..<start + size).allSatisfy {
        bytes[$0] == byte(fill, $0) && other.bytes[$0] == byte(otherFill, $0)
      }
    }
  }
}
