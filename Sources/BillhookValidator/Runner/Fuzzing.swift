internal import BillhookPlugins
internal import BillhookSDK
internal import BillhookTensor
internal import Foundation
internal import Glibc

/// Random use of a plugin: shapes, numbers, parameters and failures of the host that no list of
/// tests has thought of. A case is a function of its seed.
enum FuzzCase {
  /// Uses the plugin once, in a way that `seed` decides.
  ///
  /// - Throws: ``Violation`` for a success with numbers that are not finite, or a failure without
  ///   text. Crashes are the runner's to see.
  static func run(_ plugin: ProbePlugin, seed: UInt64) throws {
    var random = CounterRandom(seed: seed, stream: 4711)
    func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

    var surroundings = Surroundings()
    surroundings.placement = [.middle, .beforeGuard, .behindGuard, .unaligned][below(4)]
    surroundings.protectsInputs = below(2) == 0
    surroundings.isNewer = below(4) == 0
    surroundings.fill = UInt32(truncatingIfNeeded: random.next())
    surroundings.order = [.forward, .reversed, .threads(1 + below(8))][below(3)]
    let disturbs = below(3) == 0
    if disturbs {
      switch below(4) {
      case 0: surroundings.failingScratch = below(8)
      case 1: surroundings.cancelsAfter = below(8)
      case 2: surroundings.failsRandom = true
      default: surroundings.hidesExtensions = true
      }
    }

    let values = plugin.descriptor.parameters.map { parameter in
      randomValue(parameter, &random) ?? parameter.defaultValue
    }
    let made = ProbeInstance.create(
      plugin, below(2) == 0 ? plugin.ordinaryValues() : values, in: surroundings)
    guard made.outcome.status >= 0 else { return }
    plugin.raw.destroy(made.pointer)
    let instance = try ProbeInstance(plugin)
    defer { instance.end() }

    let shape = (0..<1 + below(4)).map { _ in [0, 1, 2, 3, 5, 8, 13, 16, 33][below(9)] }
    var numbers = Numbers(seed: seed)
    let special: [Float] = [0, -0.0, 0x1p-140, 1e38, -1e38, .infinity, -.infinity, .nan, 1]
    let odd = special[below(special.count)]
    let share = 1 + below(9)
    let isOdd = below(2) == 0
    if isOdd { numbers.change = { value, index in index % share == 0 ? odd : value } }

    let exercise: Exercise
    switch plugin.descriptor.hook {
    case .scorer:
      var item = ScorerCase(LayerCase(shape))
      let all = ScorerCase.granularities(plugin)
      item.granularity = all[below(all.count)]
      if Int32(item.granularity) == BH_GRANULARITY_BLOCK {
        item.block = (1 + below(5), 1 + below(5))
      }
      let hasChannels = item.layer.outputCount != nil && item.layer.inputCount != nil
      if !hasChannels { item.layer = LayerCase([shape[0], 1 + below(9)]) }
      exercise = item.exercise(numbers)
    case .loss:
      var item = LossCase(shape[0], 1 + below(40))
      item.hasTeacher = below(4) != 0
      item.hasLabels = below(4) != 0
      item.hasWeights = below(2) == 0
      item.wantsGradient = below(4) != 0
      item.logitScale = [1, 100, 10_000][below(3)]
      exercise = item.exercise(numbers)
    case .quantizer:
      var item = QuantizerCase(LayerCase(shape))
      item.maxBits = UInt32(2 + below(7))
      exercise = item.exercise(numbers)
    }
    let observation = try exercise.run(instance, surroundings)
    guard observation.status == BH_OK, !isOdd, !disturbs else { return }
    for output in observation.outputs where output.code == BH_CODE_FLOAT && output.bits == 32 {
      if let index = output.floats.firstIndex(where: { !$0.isFinite }) {
        throw Violation(
          "\(exercise.label): \"\(output.name)\" \(index) is \(output.floats[index])")
      }
    }
  }

  private static func randomValue(
    _ parameter: ParameterDescriptor, _ random: inout CounterRandom
  ) -> ParameterValue? {
    let range = parameter.range
    func number() -> Double {
      let low = max(range.lowerBound, -1e6)
      let high = min(range.upperBound, 1e6)
      return low + Double(random.uniform()) * (high - low)
    }
    switch parameter.kind {
    case .int: return .int(Int64(number().rounded(.down)))
    case .double: return .double(number())
    case .bool: return .bool(random.next() % 2 == 0)
    case .choice:
      guard !parameter.choices.isEmpty else { return nil }
      return .string(parameter.choices[Int(random.next() % UInt64(parameter.choices.count))])
    case .string: return nil
    case .ints: return .ints((0..<Int(random.next() % 4)).map { _ in Int64(number()) })
    case .doubles: return .doubles((0..<Int(random.next() % 4)).map { _ in number() })
    }
  }
}

/// Random use of a library's plugins for a while, many cases a process.
public struct Fuzzer {
  /// A seed whose case did not end well.
  public struct Finding: Sendable, Codable, Equatable {
    public var plugin: String
    public var seed: UInt64
    public var status: Verdict.Status
    public var message: String
    /// Runs this one case again, in one process.
    public var command: String
  }

  /// What a child says as it goes: the case it is at, and what it found.
  struct Progress: Codable {
    var seed: UInt64
    var message: String
  }

  static let casesOfChild = 200

  let executable: String
  let timeoutSeconds: Double

  public init(timeoutSeconds: Double = 60, executable: String? = nil) {
    self.timeoutSeconds = timeoutSeconds
    self.executable =
      executable ?? URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
  }

  /// - Parameters:
  ///   - id: Only this plugin; nil for all.
  ///   - duration: How long, at least one round of every plugin.
  ///   - seed: Of the first case; the next ones count up.
  /// - Returns: What was found, at most one a round, and how many cases ran.
  public func run(
    _ path: String, id: String?, duration: Duration, seed: UInt64
  ) throws -> (findings: [Finding], caseCount: Int) {
    let deadline = ContinuousClock.now + duration
    var findings: [Finding] = []
    var count = 0
    var next = seed
    let described = LibraryContents(path: path)
    if let reason = described.unloadable {
      throw ValidatorError.cannotFuzz(library: path, reason: reason)
    }
    let plugins = described.plugins.filter { plugin in
      id.map { plugin.id == $0 || plugin.id.hasSuffix(".\($0)") } ?? true
    }
    if plugins.isEmpty {
      throw ValidatorError.noSuchPlugin(
        id: id ?? "", library: path, known: described.plugins.map(\.id))
    }
    repeat {
      for plugin in plugins {
        let child = try ChildProcess(
          executable: executable,
          arguments: [
            "plugin", "conformance-test", path, "--id", plugin.id, "--fuzz", "--seed", "\(next)",
          ], timeout: .seconds(timeoutSeconds))
        var ending: ChildProcess.Ending?
        while ending == nil {
          ending = child.ending()
          usleep(1000)
        }
        let progress = try? JSONDecoder().decode(Progress.self, from: child.answer())
        let last = progress?.seed ?? next
        count += Int(last - next) + 1
        if ending != .exited(code: 0) || progress?.message.isEmpty == false {
          var verdict = Verdict(.fail, progress?.message ?? "")
          if let ending, ending != .exited(code: 0) {
            verdict = ConformanceRunner.verdict(ending, child, timeoutSeconds)
          }
          findings.append(
            Finding(
              plugin: plugin.id, seed: last, status: verdict.status, message: verdict.message,
              command: "billhook plugin validate \(shellWord(path)) --id \(plugin.id) "
                + "--reproduce \(last)"))
        }
      }
      next += UInt64(Self.casesOfChild)
    } while ContinuousClock.now < deadline
    return (findings, count)
  }

  /// Runs the case of one seed in this process, for a debugger.
  ///
  /// - Returns: What was found; nil when the case ended well.
  public static func reproduce(_ path: String, id: String, seed: UInt64) throws -> String? {
    let plugin = try ProbePlugin(Subject(path: path, id: id, seed: seed))
    do {
      try FuzzCase.run(plugin, seed: seed)
      return nil
    } catch let violation as Violation {
      return violation.message
    } catch is NotApplicable {
      return nil
    }
  }
}

extension ConformanceChild {
  /// Runs cases from `seed` on, up to the first finding; the answer always says how far it got.
  public static func fuzz(path: String, id: String, seed: UInt64) throws {
    Plugin.endWithParent()
    let plugin = try ProbePlugin(Subject(path: path, id: id, seed: seed))
    var progress = Fuzzer.Progress(seed: seed, message: "")
    for number in 0..<UInt64(Fuzzer.casesOfChild) where progress.message.isEmpty {
      progress.seed = seed + number
      try leave(progress)
      do {
        try FuzzCase.run(plugin, seed: progress.seed)
      } catch let violation as Violation {
        progress.message = violation.message
      } catch is NotApplicable {
        continue
      }
    }
    try answer(progress)
  }
}
