import BillhookTestSupport
import BillhookValidator
import Foundation
import Testing

/// The tests of the tests: each of these plugins breaks one rule, and exactly the test of that rule
/// sees it. What makes a validator worth trusting is that it neither misses nor invents anything.
@Suite(.serialized) struct BrokenPluginTests {
  struct Broken: Sendable, CustomTestStringConvertible {
    var source: String
    var defines: [String]
    /// The test that must fail.
    var test: String
    var status: Verdict.Status

    init(
      _ source: String, _ defines: String..., test: String, _ status: Verdict.Status = .fail
    ) {
      self.source = "Tests/BrokenPlugins/\(source).c"
      self.defines = defines
      self.test = test
      self.status = status
    }

    var testDescription: String { "\(defines.joined(separator: " ")) fails \(test)" }
  }

  private static func descriptor(_ define: String, _ test: String) -> Broken {
    Broken("broken", define, test: test)
  }

  private static func scorer(
    _ name: String, _ test: String, _ status: Verdict.Status = .fail, observes: Bool = false
  ) -> Broken {
    var broken = Broken("conformance_scorer", "BREAK=\(name)", test: test, status)
    if observes { broken.defines.append("OBSERVES") }
    return broken
  }

  private static func loss(
    _ name: String, _ test: String, _ status: Verdict.Status = .fail
  ) -> Broken {
    Broken("conformance_loss", "BREAK=\(name)", test: test, status)
  }

  private static func quantizer(_ name: String, _ test: String) -> Broken {
    Broken("conformance_quantizer", "BREAK=\(name)", test: test)
  }

  static let all: [Broken] = [
    // Descriptors
    descriptor("MAGIC=1", "magic-version"),
    descriptor("MAJOR=7", "magic-version"),
    descriptor("MODULE_SIZE=20", "magic-version"),
    descriptor("PLUGIN_SIZE=8", "magic-version"),
    descriptor("FIRST_PLUGIN=NULL", "magic-version"),
    descriptor("VENDOR=\" \"", "descriptor-strings"),
    descriptor("NAME=\"\\xff\"", "descriptor-strings"),
    descriptor("NAME=\"\\033[2J\"", "descriptor-strings"),
    descriptor("ID=\"nodots\"", "descriptor-strings"),
    descriptor("N_PLUGINS=2", "descriptor-strings"),
    descriptor("KEY=\"Bad Key\"", "params-schema"),
    descriptor("DEFAULT=.f64=5", "params-schema"),
    descriptor("MIN=3", "params-schema"),
    descriptor("N_PARAMS=2", "params-schema"),
    descriptor("CAPS=((uint64_t)1<<60)", "caps-known"),
    descriptor("HOOK=9", "hook-tables"),
    descriptor("CREATE=NULL", "hook-tables"),
    descriptor("SCORE=NULL", "hook-tables"),
    // The library
    scorer("LOAD_THREAD", "scan-side-effects"),
    scorer("LOAD_ENVIRONMENT", "scan-side-effects"),
    scorer("LOAD_DESCRIPTOR", "scan-side-effects"),
    scorer("LOAD_SIGNAL", "scan-side-effects"),
    scorer("ENTRY_CHANGES", "entry-idempotent"),
    scorer("INIT_FAILS", "init-not-in-scan"), scorer("FINI_CRASHES", "fini-returns", .crash),
    scorer("EXTENSION_FOR_ALL", "unknown-extension"),
    scorer("EXTENSION_BY_PREFIX", "unknown-extension"),
    scorer("NAME_CHANGES", "descriptor-stable"),
    scorer("EXACT_SIZES", "new-host"),
    scorer("FOLLOWS_NEXT", "new-host", .crash),
    scorer("NEEDS_EXTENSION", "old-host", .crash),
    scorer("MISSING_EXTENSION_IS_INTERNAL", "old-host"),
    Broken("conformance_scorer", "EXPORTS_MORE", test: "entry-only-export"),
    // Instances
    scorer("CREATE_FAILS", "ordinary-call"),
    scorer("CREATE_LEAKS_MEMORY", "create-destroy-1000"),
    scorer("CREATE_LEAKS_DESCRIPTOR", "create-destroy-1000"),
    scorer("SHARED_STATE", "two-instances", observes: true),
    scorer("PARAMETER_AS_INDEX", "create-bad-params", .crash),
    scorer("SCRATCH_UNCHECKED", "scratch-failure", .crash),
    scorer("SCRATCH_IGNORED", "scratch-failure"),
    scorer("RANDOM_IGNORED", "host-fail-paths"),
    scorer("SAVE_IGNORES_WRITER", "host-fail-paths", observes: true),
    // Memory
    scorer("WRITES_INPUT", "inputs-read-only", .crash),
    scorer("WRITES_BEHIND", "bounds-end", .crash),
    scorer("READS_BEHIND", "bounds-end", .crash),
    scorer("WRITES_BEFORE", "bounds-start", .crash),
    scorer("LEAVES_ONE_OUT", "writes-everything"),
    scorer("KEEPS_POINTER", "keeps-no-pointers", .crash),
    scorer("NEEDS_ALIGNMENT", "byte-offset"),
    scorer("TYPE_DECLARED_ONLY", "dtypes"),
    // Numbers
    scorer("EMPTY_CRASHES", "shapes", .crash),
    scorer("ONE_ELEMENT_FAILS", "shapes"),
    scorer("NAN_HANGS", "special-values", .timeout),
    scorer("INDEX_OVERFLOWS", "large", .crash),
    // Determinism
    scorer("REPEAT_DIFFERS", "determinism-repeat"),
    scorer("THREADS_DIFFER", "determinism-threads"),
    scorer("ORDER_DIFFERS", "determinism-chunk-order"),
    scorer("SEED_UNUSED", "seed-honoured"),
    scorer("SHARED_BUFFER", "concurrent-calls"),
    scorer("LAYERS_COUNTED", "order-independence"),
    scorer("THREAD_LOCAL_STATE", "fresh-thread"),
    // The process
    scorer("CANCEL_IGNORED", "cancel-before"),
    scorer("CANCEL_THEN_CRASH", "cancel-during", .crash),
    scorer("ROUNDING_CHANGED", "fp-env"),
    scorer("CREATE_CHANGES_ROUNDING", "fp-env"),
    scorer("ENVIRONMENT_CHANGED", "process-state"),
    scorer("ENVIRONMENT_CLEARED", "process-state"),
    scorer("FOLDER_CHANGED", "process-state"),
    scorer("SIGNAL_CHANGED", "process-state"),
    scorer("LOCALE_CHANGED", "process-state"),
    scorer("DESCRIPTOR_LEFT", "process-state"),
    scorer("FILE_LEFT", "process-state"),
    scorer("THREAD_LEFT", "no-own-threads"),
    scorer("PROCESS_LEFT", "no-own-processes"),
    scorer("PROCESS_WAITED_FOR", "no-own-processes"),
    scorer("PRINTS", "no-stdout"),
    scorer("LOAD_PRINTS", "no-stdout"),
    scorer("FAILS_SILENTLY", "error-text"),
    // State
    scorer("SAVES_ADDRESS", "state-roundtrip", observes: true),
    scorer("WRITES_ONCE", "state-partial-io", observes: true),
    scorer("READS_ONCE", "state-partial-io", observes: true),
    scorer("EMPTY_STATE_CRASHES", "state-empty", .crash, observes: true),
    scorer("RANDOM_STATE_CRASHES", "state-random-3x1MB", .crash, observes: true),
    scorer("TRUNCATED_STATE_CRASHES", "state-truncated", .crash, observes: true),
    scorer("FLIPPED_STATE_CRASHES", "state-bitflip", .crash, observes: true),
    scorer("VERSION_IGNORED", "state-future-version", observes: true),
    scorer("RESET_FORGETS_NOTHING", "reset-equals-fresh", observes: true),
    scorer("LAST_BATCH_WINS", "observe-order", observes: true),
    scorer("MERGE_FORGETS", "merge-equivalence", observes: true),
    // Scores
    scorer("SCORE_INFINITE", "score-finite"),
    scorer("CHANNELS_UNSUPPORTED", "score-shape-output-channel"),
    scorer("LOOKS_AT_UNDECLARED", "needs-honest"),
    scorer("MISSING_NEED_CRASHES", "missing-need", .crash),
    scorer("MISSING_NEED_IS_INTERNAL", "missing-need"),
    scorer("SCORES_BEFORE_OBSERVE", "score-before-observe", observes: true),
    scorer("PIECES_DIFFER", "chunk-equivalence"),
    scorer("KNOWS_WHERE_IT_RUNS", "iso-equivalence"),
    scorer("ZERO_IS_HIGHEST", "zero-channel-lowest"),
    scorer("GLOBAL_BUT_NORMALISED", "global-scale-claim"),
    // Losses
    loss("MEAN_NOT_SUM", "sum-additivity"),
    loss("WRONG_SIGN", "gradient-check"),
    loss("ADDS_TO_GRADIENT", "writes-everything"),
    loss("NEEDS_GRADIENT", "no-grad-mode", .crash),
    loss("NEEDS_LABELS", "null-labels", .crash),
    loss("IGNORED_IS_NAN", "ignored-labels"),
    loss("EXP_OVERFLOWS", "large-logits"),
    loss("FEATURE_GRADIENT_MISSING", "feature-gradients"),
    loss("SCALED_TWICE", "grad-scale-linear"),
    loss("LIKES_DIFFERENCE", "teacher-equals-student"),
    // Quantizers
    quantizer("LAYOUT_CHANGES", "layout-consistent"),
    quantizer("AXIS_OUT_OF_RANGE", "layout-consistent"),
    quantizer("SCALE_ZERO", "scale-positive-finite"),
    quantizer("ZERO_POINT_NOT_ZERO", "zero-point-in-range"),
    quantizer("INTEGER_OUT_OF_RANGE", "values-in-range"),
    quantizer("TRUNCATES", "roundtrip-error"),
    quantizer("GRID_MOVES", "idempotent"),
    quantizer("CONSTANT_BREAKS", "constant-tensor"),
    quantizer("ZERO_BREAKS", "zero-tensor"),
    quantizer("BITS_IGNORED", "axis-block-sweep"),
    quantizer("DEQUANT_NOT_EXACT", "qdq-dequant-exact"),
    quantizer("QUANT_NOT_EXACT", "qdq-quant-exact"),
    quantizer("UNPACK_LOSES", "pack-unpack"),
    quantizer("REMEMBERS_CALIBRATION", "export-roundtrip"),
    quantizer("FAKE_IS_IDENTITY", "fake-quant-consistent"),
    quantizer("GRADIENT_EVERYWHERE", "ste-gradient"),
  ]

  @Test func `there are at least 45 broken plugins, and most tests have one`() {
    #expect(Self.all.count >= 45)
    let covered = Set(Self.all.map(\.test))
    let known = Set(ConformanceTest.all.map(\.name))
    #expect(covered.isSubset(of: known))
  }

  @Test(arguments: all)
  func `a broken plugin fails its own test and no other core test`(broken: Broken) throws {
    let library = try compiledPlugin(
      broken.source, defines: broken.defines, hidesSymbols: broken.test != "entry-only-export")
    var own = ConformanceOptions()
    own.level = .pedantic
    own.include = "^\(broken.test)$"
    own.timeoutSeconds = broken.status == .timeout ? 3 : 60
    let verdict = try runner(own).run([library])
    #expect(verdict.unloadable == [])
    #expect(verdict.results.map(\.status) == [broken.status], "\(verdict.text())")

    // A worker cannot write its inputs or start a process at all, so who does it crashes there as
    // well.
    let impossible = ["inputs-read-only", "no-own-processes"]
    let follows = impossible.contains(broken.test) ? ["iso-equivalence"] : []
    let rest = try coreReport(library, except: [broken.test] + follows)
    #expect(!rest.results.isEmpty)
    #expect(rest.results.filter(\.isFailure) == [], "\(rest.text(onlyFailed: true))")
  }

  @Test(arguments: [
    ["conformance_scorer"], ["conformance_scorer", "OBSERVES"], ["conformance_loss"],
    ["conformance_quantizer"],
  ])
  func `the same plugins, unbroken, pass everything`(source: [String]) throws {
    let library = try compiledPlugin(
      "Tests/BrokenPlugins/\(source[0]).c", defines: Array(source.dropFirst()))
    var options = ConformanceOptions()
    options.level = .pedantic
    let report = try runner(options).run([library])
    #expect(report.exitCode == 0, "\(report.text(onlyFailed: true))")
    #expect(report.count(.warn) == 0, "\(report.text(onlyFailed: true))")
  }

  /// The other core tests, in one process: a hundred plugins times fifty would take too long.
  private func coreReport(_ library: String, except tests: [String]) throws -> ConformanceReport {
    let others = ConformanceTest.all.filter { $0.level == .core && !tests.contains($0.name) }.map(
      \.name)
    let folder = TemporaryFolder()
    let process = Process()
    process.executableURL = billhookExecutable
    process.arguments = [
      "plugin", "validate", library, "--in-process", "--level", "core", "--only-failed",
      "--include", "^(\(others.joined(separator: "|")))$", "--json", folder("report.json"),
    ]
    // What a broken plugin leaves behind stays here.
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    process.environment = ProcessInfo.processInfo.environment.merging([
      "SWIFT_BACKTRACE": "enable=no", "OMP_WAIT_POLICY": "passive",
    ]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    let report = try Data(contentsOf: URL(fileURLWithPath: folder("report.json")))
    return try JSONDecoder().decode(ConformanceReport.self, from: report)
  }
}

/// A runner that starts the built command: this process is the test's.
func runner(_ options: ConformanceOptions) -> ConformanceRunner {
  ConformanceRunner(options, executable: billhookExecutable.path)
}

/// The executable beside the test bundle.
let billhookExecutable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
  .deletingLastPathComponent().appendingPathComponent("billhook")
