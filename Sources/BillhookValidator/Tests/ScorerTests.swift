internal import BillhookPlugins
internal import BillhookSDK

/// Tests of scores.
extension ConformanceTest {
  static let scorerTests: [ConformanceTest] = [
    ConformanceTest(
      "score-finite", .core, .scorer, "BH-40", "scores of finite weights are finite"
    ) { subject in
      let plugin = try subject.plugin()
      for exercise in try plugin.workingExercises() {
        let observation = try exercise.runAlone(plugin)
        let scores = observation["scores"]?.floats ?? []
        if let index = scores.firstIndex(where: { !$0.isFinite }) {
          throw Violation("\(exercise.label): score \(index) is \(scores[index])")
        }
      }
    },
    shape("score-shape-element", BH_GRANULARITY_ELEMENT),
    shape("score-shape-output-channel", BH_GRANULARITY_OUT_CHANNEL),
    shape("score-shape-input-channel", BH_GRANULARITY_IN_CHANNEL),
    shape("score-shape-block", BH_GRANULARITY_BLOCK),
    ConformanceTest(
      "needs-honest", .core, .scorer, "BH-44",
      "statistics that the plugin does not declare are null, and it does not look at them"
    ) { subject in
      // An exercise never passes what was not declared: a plugin that looks crashes here, or fails.
      let plugin = try subject.plugin()
      for exercise in plugin.exercises() {
        let observation = try exercise.runAlone(plugin)
        try subject.require(
          observation.status != BH_E_INVALID_ARG,
          "\(exercise.label) returned \(observation.described) although all that it declares was "
            + "given")
      }
    },
    ConformanceTest(
      "missing-need", .core, .scorer, "BH-44",
      "a declared need that is null is refused with BH_E_INVALID_ARG"
    ) { subject in
      let plugin = try subject.plugin()
      // The mask is null on the first step anyway; RAW needs come through "observe".
      let needs = plugin.raw.needs & ~(BH_NEED_PREV_MASK | ScorerCase.rawNeeds)
      guard needs != 0 else { throw NotApplicable("the plugin needs weights only") }
      guard try !plugin.workingExercises().isEmpty else { return }
      for bit in 0..<64 where needs & (UInt64(1) << UInt64(bit)) != 0 {
        for var item in ScorerCase.ordinary(plugin) {
          item.withheld = UInt64(1) << UInt64(bit)
          let observation = try item.exercise(Numbers(seed: plugin.seed)).runAlone(plugin)
          // A granularity may well do without it.
          guard observation.isFailure else { continue }
          try subject.require(
            observation.status == BH_E_INVALID_ARG,
            "\(item.label) without need 2^\(bit) returned \(observation.described)")
        }
      }
    },
    ConformanceTest(
      "score-before-observe", .core, .scorer, "BH-45",
      "a scorer that observes refuses to score before it has, with BH_E_BAD_STATE"
    ) { subject in
      let plugin = try subject.plugin()
      guard plugin.raw.needs & ScorerCase.rawNeeds != 0 else {
        throw NotApplicable("the plugin does not observe")
      }
      for item in ScorerCase.ordinary(plugin) {
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        let observation = try item.score(instance, Numbers(seed: plugin.seed), Surroundings())
        try subject.require(
          observation.status == BH_E_BAD_STATE,
          "\(item.label) before any \"observe\" returned \(observation.described)")
      }
    },
    ConformanceTest(
      "chunk-equivalence", .strict, .scorer, "BH-43",
      "a layer scored piece by piece has the scores of the layer scored as a whole"
    ) { subject in
      let plugin = try subject.plugin()
      guard plugin.raw.caps & BH_CAP_CHUNKED != 0 else {
        throw NotApplicable("the plugin does not declare BH_CAP_CHUNKED")
      }
      guard try !plugin.workingExercises().isEmpty else { return }
      let numbers = Numbers(seed: plugin.seed)
      for item in ScorerCase.ordinary(plugin)
      where Int32(item.granularity) == BH_GRANULARITY_ELEMENT {
        let values = item.weights(numbers)
        let instance = try ProbeInstance(plugin)
        defer { instance.end() }
        _ = try item.observe(instance, numbers, Surroundings())
        let whole = try item.score(instance, numbers, Surroundings())
        for size in [1, 16, values.count / 2 + 1] {
          var scores: [UInt8] = []
          for begin in stride(from: 0, to: values.count, by: size) {
            let piece = begin..<min(begin + size, values.count)
            let part = try item.score(
              instance, numbers, Surroundings(), piece: piece, of: values)
            try subject.require(
              part.status == whole.status,
              "\(item.label): elements \(piece) returned \(part.described), the whole "
                + whole.described)
            scores += part["scores"]?.bytes ?? []
          }
          try subject.require(
            scores == whole["scores"]?.bytes,
            "\(item.label): pieces of \(size) elements have other scores than the whole")
        }
      }
    },
    ConformanceTest(
      "zero-channel-lowest", .pedantic, .scorer, "BH-40",
      "a channel whose weights and statistics are all zero has no higher score than another"
    ) { subject in
      let plugin = try subject.plugin()
      let channels = ScorerCase.ordinary(plugin).filter {
        Int32($0.granularity) == BH_GRANULARITY_OUT_CHANNEL && $0.layer.shape.count == 4
      }
      guard let item = channels.first, plugin.raw.needs == 0 else {
        throw NotApplicable("the plugin does not score output channels by weights alone")
      }
      var numbers = Numbers(seed: plugin.seed)
      let one = item.layer.inputsPerOutput
      numbers.change = { value, index in index / one == 2 ? 0 : value }
      let observation = try item.exercise(numbers).runAlone(plugin)
      try requireNotRandom(observation)
      let scores = observation["scores"]?.floats ?? []
      guard observation.status == BH_OK, scores.count > 2 else { return }
      try subject.require(
        scores.allSatisfy { scores[2] <= $0 },
        "channel 2 has zero weights and score \(scores[2]); the lowest is \(scores.min() ?? 0)")
    },
    ConformanceTest(
      "global-scale-claim", .pedantic, .scorer, "BH-40",
      "BH_CAP_GLOBAL_SCALE is declared exactly by scorers whose scores follow the size of weights"
    ) { subject in
      let plugin = try subject.plugin()
      let elements = ScorerCase.ordinary(plugin).filter {
        Int32($0.granularity) == BH_GRANULARITY_ELEMENT
      }
      guard let item = elements.first, plugin.raw.caps & BH_CAP_GLOBAL_SCALE != 0 else {
        throw NotApplicable("the plugin does not declare BH_CAP_GLOBAL_SCALE")
      }
      var larger = item
      larger.scale = 10
      let numbers = Numbers(seed: plugin.seed)
      let small = try item.exercise(numbers).runAlone(plugin)
      let large = try larger.exercise(numbers).runAlone(plugin)
      try requireNotRandom(small)
      guard small.status == BH_OK, large.status == BH_OK else { return }
      let means = [small, large].map { observation in
        let scores = observation["scores"]?.floats ?? []
        return scores.reduce(0) { $0 + Double($1) } / Double(max(scores.count, 1))
      }
      // A first-order score does not change: the gradient shrinks as the weight grows.
      let isNormalised = means[0] > 0 && abs(means[1] / means[0] - 1) < 1e-3
      let isFirstOrder = plugin.raw.needs & BH_NEED_WEIGHT_GRAD != 0
      try subject.require(
        !isNormalised || isFirstOrder,
        "ten times larger weights have the same scores, so that scores of two layers say nothing "
          + "about each other")
    },
    ConformanceTest(
      "memory-peak", .pedantic, .everyHook, "BH-04",
      "a call needs no more than 16 times the memory of its tensors"
    ) { subject in
      let plugin = try subject.plugin()
      guard plugin.descriptor.hook == .scorer else {
        throw NotApplicable("only weights are large")
      }
      var item = ScorerCase(LayerCase([512, 2048]))
      item.granularity = ScorerCase.granularities(plugin)[0]
      if Int32(item.granularity) == BH_GRANULARITY_BLOCK { item.block = (4, 4) }
      guard plugin.raw.needs & (BH_NEED_IN_GRAM | ScorerCase.rawNeeds) == 0 else {
        throw NotApplicable("its statistics are larger than the weights")
      }
      let exercise = item.exercise(Numbers(seed: plugin.seed))
      _ = try exercise.runAlone(plugin)
      let before = ProcessState.residentBytes()
      _ = try exercise.runAlone(plugin)
      let grown = ProcessState.residentBytes() - before
      let tensor = item.layer.count * 4
      if grown > 16 * tensor {
        throw Remark("memory grew by \(grown / tensor) times the weights, \(grown >> 20) MiB")
      }
    },
  ]

  private static func requireNotRandom(_ observation: Observation) throws {
    guard observation.record.randomRequests == 0 else {
      throw NotApplicable("the scores are random")
    }
  }

  private static func shape(_ name: String, _ granularity: Int32) -> ConformanceTest {
    ConformanceTest(
      name, .core, .scorer, "BH-41",
      "\(ScorerCase.names[Int(granularity)]) scores have the shape that the granularity fixes"
    ) { subject in
      let plugin = try subject.plugin()
      let cases = ScorerCase.ordinary(plugin).filter { Int32($0.granularity) == granularity }
      guard !cases.isEmpty else {
        throw NotApplicable("the plugin does not give such scores")
      }
      let numbers = Numbers(seed: plugin.seed)
      var failures: [String] = []
      for item in cases {
        let observation = try item.exercise(numbers).runAlone(plugin)
        guard observation.isFailure, observation.status != BH_E_INVALID_ARG else { continue }
        failures.append("\(item.label) returned \(observation.described)")
      }
      // Declared, but for no ordinary layer.
      let works = try plugin.workingExercises()
      if failures.count == cases.count, !works.isEmpty { throw Violation(failures[0]) }
    }
  }
}
