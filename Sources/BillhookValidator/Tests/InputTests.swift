internal import BillhookPlugins
internal import BillhookSDK

/// Tests with shapes and numbers that authors seldom try.
extension ConformanceTest {
  static let inputTests: [ConformanceTest] = [
    ConformanceTest(
      "shapes", .core, .everyHook, "BH-13",
      "empty and one-element tensors, primes, rows, columns, groups and blocks that do not divide "
        + "are legal"
    ) { subject in
      let plugin = try subject.plugin()
      let kinds = Set(try plugin.workingExercises().map(\.kind))
      for exercise in plugin.oddExercises() where kinds.contains(exercise.kind) {
        let observation = try exercise.runAlone(plugin)
        // A plugin may decline a kind of layer, if it says so.
        let isDeclined = observation.status == BH_E_UNSUPPORTED && observation.message != nil
        try subject.require(
          !observation.isFailure || isDeclined,
          "\(exercise.label) returned \(observation.described)")
      }
    },
    ConformanceTest(
      "special-values", .strict, .everyHook, "BH-13",
      "zeros, subnormal and huge numbers, infinities and NaN end in a result or a status"
    ) { subject in
      let plugin = try subject.plugin()
      let specials: [Float] = [
        0, -0.0, .leastNonzeroMagnitude, -.leastNormalMagnitude, 1e38, -1e38, .infinity,
        -.infinity, .nan,
      ]
      guard try !plugin.workingExercises().isEmpty else { return }
      for special in specials {
        for share in [1, 7] {
          var numbers = Numbers(seed: plugin.seed)
          numbers.change = { value, index in index % share == 0 ? special : value }
          for exercise in plugin.exercises(numbers) {
            let observation = try exercise.runAlone(plugin)
            guard special.isFinite, abs(special) < 1e30, observation.isFailure else { continue }
            throw Violation(
              "\(exercise.label) with \(special) returned \(observation.described); finite "
                + "numbers of ordinary size are legal")
          }
        }
      }
    },
    ConformanceTest(
      "large", .strict, .scorer, "BH-13",
      "a weight of 2^31 + 16 elements is not seen as a small or negative one"
    ) { subject in
      let plugin = try subject.plugin()
      let isChunked =
        plugin.raw.caps & BH_CAP_CHUNKED != 0
        && plugin.raw.granularities & BH_GRANULARITY_BIT_ELEMENT != 0
      guard isChunked else {
        throw NotApplicable("only pieces of such a weight fit into memory, and these need CHUNKED")
      }
      // The whole exists by its shape alone; the piece lies beyond 2^31.
      let item = ScorerCase(LayerCase([1 << 16, (1 << 15) + 1]))
      let numbers = Numbers(seed: plugin.seed)
      let values = numbers.signed(1000, stream: 1)
      let instance = try ProbeInstance(plugin)
      defer { instance.end() }
      let observation = try item.scorePiece(
        instance, numbers, Surroundings(), begin: 1 << 31, values)
      try subject.require(
        !observation.isFailure, "a piece from element 2^31 on returned \(observation.described)")
      let scores = observation["scores"]?.floats ?? []
      try subject.require(
        scores.allSatisfy(\.isFinite), "a piece from element 2^31 on has scores that are not finite"
      )
    },
  ]
}
