import BillhookTestSupport
import BillhookValidator
import Foundation
import Testing

@Suite struct ConformanceRunnerTests {
  private static func result(
    _ status: Verdict.Status, plugin: String = "org.example.one", message: String = ""
  ) -> ConformanceResult {
    ConformanceResult(
      library: "a.so", plugin: plugin, test: "shapes", level: .core, rule: "BH-13",
      claim: "all shapes are legal", status: status, message: message, seed: 3, milliseconds: 1500,
      command: "billhook plugin validate a.so")
  }

  @Test func `a file that is no library is exit code 3, with the reason`() throws {
    let folder = TemporaryFolder()
    let path = folder.file("no.so", Array("hello".utf8))
    let report = try runner(ConformanceOptions()).run([path])
    #expect(report.exitCode == 3)
    #expect(report.unloadable.map(\.library) == [path])
    #expect(report.unloadable[0].reason.contains("is not a shared library for this machine"))
  }

  @Test func `a plugin that ends the process with code 0 has crashed, not passed`() throws {
    let library = try compiledPlugin(
      "Tests/BrokenPlugins/conformance_scorer.c", defines: ["BREAK=EXITS"])
    var options = ConformanceOptions()
    options.include = "^ordinary-call$"
    let report = try runner(options).run([library])
    #expect(report.results.map(\.status) == [.crash])
    #expect(report.results[0].message.hasPrefix("the process ended itself with exit code 0"))
    #expect(report.exitCode == 1)
  }

  @Test func `a failure names the rule, the seed and the command that repeats it`() throws {
    let library = try compiledPlugin(
      "Tests/BrokenPlugins/conformance_scorer.c", defines: ["BREAK=SCORE_INFINITE"])
    var options = ConformanceOptions()
    options.include = "^score-finite$"
    options.seed = 9
    let report = try runner(options).run([library])
    #expect(
      report.text().contains(
        """
          fail    score-finite: element scores of [6, 5, 3, 3]: score 0 is inf
                  rule BH-40: scores of finite weights are finite
                  seed 9; again: billhook plugin validate \(library) \
        --id org.example.broken.scorer --include '^score-finite$' --seed 9 --in-process
        """), "\(report.text())")
  }

  @Test func `a failure above the chosen level is a warning`() throws {
    let library = try compiledPlugin(
      "Tests/BrokenPlugins/conformance_scorer.c", defines: ["BREAK=PRINTS"])
    var options = ConformanceOptions()
    options.include = "^no-stdout$"
    options.level = .strict
    let strict = try runner(options).run([library])
    #expect(strict.results.map(\.status) == [.warn])
    #expect(strict.exitCode == 0)
    options.level = .pedantic
    #expect(try runner(options).run([library]).exitCode == 1)
  }

  @Test func `tests that are switched off are listed`() throws {
    let library = try compiledPlugin("Tests/BrokenPlugins/conformance_loss.c")
    var options = ConformanceOptions()
    options.include = "^(shapes|fp-env)$"
    options.exclude = "^fp"
    let report = try runner(options).run([library])
    #expect(report.results.map(\.test) == ["shapes"])
    #expect(report.leftOut.count == ConformanceTest.all.count - 1)
    #expect(report.leftOut.contains("fp-env"))
    #expect(report.text().contains("\nNot run: \(report.leftOut.count) tests.\n"))
    let few = ConformanceReport(level: .core, seed: 1, leftOut: ["large", "fp-env"])
    #expect(few.text() == "Not run: large, fp-env.\nLevel core: no test ran.")
  }

  @Test func `an id that the library lacks, and a pattern that is none, are errors`() throws {
    let library = try compiledPlugin("Tests/BrokenPlugins/conformance_loss.c")
    var options = ConformanceOptions()
    options.id = "nobody"
    #expect(
      throws: ValidatorError.noSuchPlugin(
        id: "nobody", library: library, known: ["org.example.broken.loss"])
    ) { try runner(options).run([library]) }
    options.id = nil
    options.include = "("
    #expect(throws: ValidatorError.self) { try runner(options).run([library]) }
  }

  @Test func `exit codes follow the worst of what happened`() {
    var report = ConformanceReport(level: .core, seed: 1)
    #expect(report.exitCode == 2)
    report.results = [Self.result(.pass), Self.result(.warn), Self.result(.skip)]
    #expect(report.exitCode == 0)
    for status in [Verdict.Status.fail, .crash, .timeout] {
      report.results[0].status = status
      #expect(report.exitCode == 1)
    }
    report.unloadable = [.init(library: "a.so", reason: "gone")]
    #expect(report.exitCode == 3)
  }

  @Test func `JUnit holds every result, and text that XML cannot hold is replaced`() {
    var report = ConformanceReport(level: .core, seed: 1)
    report.results = [
      Self.result(.pass), Self.result(.fail, message: "a < \"b\" \u{1}"),
      Self.result(.skip, message: "no data"),
    ]
    let text = String(decoding: report.junit(), as: UTF8.self)
    #expect(text.contains("tests=\"3\" failures=\"1\" skipped=\"1\""))
    #expect(text.contains("message=\"a &lt; &quot;b&quot; ?\""))
    #expect(text.contains("time=\"1.5\"/>"))
    #expect(text.contains("<skipped message=\"no data\"/>"))
  }

  @Test func `JSON reads back as the same report`() throws {
    var report = ConformanceReport(level: .strict, seed: 1, leftOut: ["large"])
    report.results = [Self.result(.pass), Self.result(.timeout, message: "slow")]
    let read = try JSONDecoder().decode(ConformanceReport.self, from: report.json())
    #expect(read == report)
  }

  @Test func `each test has a name of its own and its line in the docs`() throws {
    let names = ConformanceTest.all.map(\.name)
    #expect(Set(names).count == names.count)
    let docs = try String(contentsOfFile: "\(packageFolder)/docs/validator.md", encoding: .utf8)
    let lines = Set(docs.split(separator: "\n").map(String.init).filter { $0.hasPrefix("| `") })
    let expected = ConformanceTest.all.map {
      "| `\($0.name)` | \($0.level.rawValue) | \($0.rule) | \($0.claim) |"
    }
    #expect(lines == Set(expected))
  }

  @Test func `each test is named under its rule in the description of the ABI`() throws {
    let docs = try String(contentsOfFile: "\(packageFolder)/docs/abi.md", encoding: .utf8)
    let rules = docs.components(separatedBy: "\n- **")
    for test in ConformanceTest.all {
      let rule = try #require(rules.first { $0.hasPrefix(test.rule) }, "\(test.rule)")
      #expect(rule.contains(test.name), "\(test.rule) does not name \(test.name)")
    }
  }

  @Test func `fuzzing finds what crashes, and its seed shows it again`() throws {
    let library = try compiledPlugin(
      "Tests/BrokenPlugins/conformance_scorer.c", defines: ["BREAK=EMPTY_CRASHES"])
    let fuzzer = Fuzzer(executable: billhookExecutable.path)
    let (findings, count) = try fuzzer.run(
      library, id: nil, duration: .milliseconds(1), seed: 1)
    #expect(count > 0)
    #expect(findings.map(\.status) == [.crash])
    let seed = findings[0].seed
    #expect(
      findings[0].command
        == "billhook plugin validate \(library) --id org.example.broken.scorer --reproduce \(seed)")
    let sound = try compiledPlugin("Tests/BrokenPlugins/conformance_scorer.c")
    let (none, _) = try fuzzer.run(sound, id: nil, duration: .milliseconds(1), seed: 1)
    #expect(none == [])
    #expect(try Fuzzer.reproduce(sound, id: "org.example.broken.scorer", seed: seed) == nil)
  }
}
