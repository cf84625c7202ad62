internal import BillhookPlugins
internal import BillhookTensor

/// One way to use a plugin, with numbers that depend on a seed alone: what tests of every hook run.
struct Exercise: Sendable {
  /// For messages: `element scores of [6, 5, 3, 3]`.
  let label: String
  /// Of a scorer, the granularity: a plugin may be good for one and not for another.
  let kind: UInt32
  let run: @Sendable (ProbeInstance, Surroundings) throws -> Observation

  /// Whether two runs give the same: what else they depend on can only be seen then.
  func isRepeatable(_ plugin: ProbePlugin) throws -> Bool {
    try runAlone(plugin).outputs == runAlone(plugin).outputs
  }

  /// A fresh instance does it once.
  func runAlone(
    _ plugin: ProbePlugin, _ surroundings: Surroundings = Surroundings()
  ) throws -> Observation {
    let instance = try ProbeInstance(plugin)
    defer { instance.end() }
    return try run(instance, surroundings)
  }
}

/// Where an exercise's numbers come from.
struct Numbers: Sendable {
  var seed: UInt64
  /// Changes a number by its position; the tests of odd values put theirs in here.
  var change: @Sendable (_ value: Float, _ index: Int) -> Float = { value, _ in value }

  init(seed: UInt64) { self.seed = seed }

  /// Numbers from -1 to 1.
  func signed(_ count: Int, stream: UInt64) -> [Float] {
    var random = CounterRandom(seed: seed &* 0x9E37_79B9 &+ stream)
    return (0..<count).map { change(random.uniform() * 2 - 1, $0) }
  }

  /// Numbers from 0.1 to 1.1, as statistics are.
  func positive(_ count: Int, stream: UInt64) -> [Float] {
    var random = CounterRandom(seed: seed &* 0x9E37_79B9 &+ stream)
    return (0..<count).map { _ in random.uniform() + 0.1 }
  }

  func indices(_ count: Int, below limit: Int, stream: UInt64) -> [Int32] {
    var random = CounterRandom(seed: seed &* 0x9E37_79B9 &+ stream)
    return (0..<count).map { _ in Int32(min(Int(random.uniform() * Float(limit)), limit - 1)) }
  }
}

extension ProbePlugin {
  /// What the plugin is for, in its simplest forms.
  func exercises(_ numbers: Numbers? = nil) -> [Exercise] {
    let numbers = numbers ?? Numbers(seed: seed)
    return switch descriptor.hook {
    case .scorer: ScorerCase.ordinary(self).map { $0.exercise(numbers) }
    case .loss: LossCase.ordinary.map { $0.exercise(numbers) }
    case .quantizer: QuantizerCase.ordinary.map { $0.exercise(numbers) }
    }
  }

  /// The same for shapes that plugins are seldom tried with (BH-13).
  func oddExercises() -> [Exercise] {
    let numbers = Numbers(seed: seed)
    return switch descriptor.hook {
    case .scorer: ScorerCase.odd(self).map { $0.exercise(numbers) }
    case .loss: LossCase.odd.map { $0.exercise(numbers) }
    case .quantizer: QuantizerCase.odd.map { $0.exercise(numbers) }
    }
  }

  /// The odd shapes that have elements: where a loop's last step goes too far.
  func tailExercises() -> [Exercise] {
    let numbers = Numbers(seed: seed)
    return switch descriptor.hook {
    case .scorer:
      ScorerCase.odd(self).filter { $0.layer.count > 1 }.map { $0.exercise(numbers) }
    case .loss: LossCase.odd.filter { $0.samples > 0 }.map { $0.exercise(numbers) }
    case .quantizer:
      QuantizerCase.odd.filter { $0.layer.count > 1 }.map { $0.exercise(numbers) }
    }
  }

  /// Those that also give the same twice: for tests of what else must not matter.
  func repeatableExercises() throws -> [Exercise] {
    let working = try workingExercises()
    let repeatable = try working.filter { try $0.isRepeatable(self) }
    if repeatable.isEmpty {
      throw NotApplicable("results differ from call to call anyway, see determinism-repeat")
    }
    return repeatable
  }

  /// Those exercises that succeed as they are: tests of something else say nothing about the others.
  func workingExercises(_ numbers: Numbers? = nil) throws -> [Exercise] {
    let all = exercises(numbers)
    let working = try all.filter { try !$0.runAlone(self).isFailure }
    if working.isEmpty, !all.isEmpty {
      let observation = try all[0].runAlone(self)
      throw NotApplicable("\(all[0].label) fails anyway, with \(observation.described)")
    }
    return working
  }
}

extension Subject {
  func plugin() throws -> ProbePlugin { try ProbePlugin(self) }

  /// Where two runs of an exercise wrote different bytes.
  func requireSame(
    _ first: Observation, _ second: Observation, _ what: @autoclosure () -> String
  ) throws {
    try require(
      first.status == second.status,
      "\(what()): one returned \(first.described), the other \(second.described)")
    guard first.status >= 0 else { return }
    for (left, right) in zip(first.outputs, second.outputs) where left.bytes != right.bytes {
      let index = zip(left.bytes, right.bytes).enumerated().first { $1.0 != $1.1 }?.offset ?? 0
      throw Violation("\(what()): \"\(left.name)\" differs from byte \(index) on")
    }
  }
}
