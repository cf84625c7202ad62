import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import Glibc
import Testing

/// A worker is not believed: here a program in its place says and does what no worker would.
@Suite(.serialized) struct LyingWorkerTests {
  /// What the worker says of the library, as JSON; the path and digest are lies already.
  static let honest = """
    [{"descriptor":{"capabilities":1,"doc":"","granularities":["element"],"hook":"scorer",\
    "id":"org.example.liar","module":{"abi":"1.0","id":"org.example.liars","license":"0BSD",\
    "path":"/etc/passwd","sha256":"00","url":"","vendor":"Example","version":"1"},"name":"Liar",\
    "needs":0,"parameters":[{"choices":[],"defaultValue":{"double":{"_0":1}},"doc":"d",\
    "isRequired":false,"key":"k","kind":"double","range":[0,2],"unit":""}],"summary":"Lies.",\
    "weightTypes":[1]},"functions":["score"]}]
    """

  private static let program = Result<String, any Error> {
    let path = NSTemporaryDirectory() + "billhook-lying-worker-\(getpid())"
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/cc")
    compiler.arguments = [
      "-std=gnu11", "-O1", "-w", "\(packageFolder)/Tests/BrokenPlugins/lying_worker.c", "-o", path,
      "-pthread",
    ]
    try compiler.run()
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
    return path
  }

  /// A scorer in a worker that says `text` of it.
  private func scorer(_ text: String, mode: String = "hang") throws -> Scorer {
    let folder = TemporaryFolderOfPlugins()
    let program = folder.path + "/worker"
    try FileManager.default.copyItem(atPath: Self.program.get(), toPath: program)
    try Data(text.utf8).write(to: URL(fileURLWithPath: program + ".json"))
    try Data(mode.utf8).write(to: URL(fileURLWithPath: program + ".mode"))
    var settings = try separateSettings()
    settings.workerPath = program
    settings.limits.callSeconds = 0.5
    settings.limits.graceSeconds = 0.1
    return try withExtendedLifetime(folder) {
      try PluginCatalog(folders: [], settings: settings)
        .plugin(compiledPlugin("Tests/BrokenPlugins/crashing.c"), hook: .scorer).makeScorer()
    }
  }

  @Test func `path and digest are those that the host knows`() throws {
    let scorer = try scorer(Self.honest, mode: "calm")
    let path = try compiledPlugin("Tests/BrokenPlugins/crashing.c")
    #expect(scorer.descriptor.module.path == path)
    #expect(scorer.descriptor.module.sha256.count == 64)
  }

  @Test(arguments: [
    ("\"org.example.liar\"", "\"no-dots\"", "BH-25"),
    ("\"org.example.liars\"", "\"a..b\"", "BH-25"),
    ("\"name\":\"Liar\"", "\"name\":\" \"", "BH-24"),
    ("\"name\":\"Liar\"", "\"name\":\"a\\u0000b\"", "BH-24"),
    ("\"summary\":\"Lies.\"", "\"summary\":\"a\\u001b[2Jb\"", "BH-24"),
    ("\"name\":\"Liar\"", "\"name\":\"\(String(repeating: "n", count: 1025))\"", "BH-26"),
    ("\"doc\":\"\"", "\"doc\":\"\(String(repeating: "n", count: 65537))\"", "BH-26"),
    ("\"vendor\":\"Example\"", "\"vendor\":\"\"", "BH-24"),
    ("\"abi\":\"1.0\"", "\"abi\":\"2.0\"", "BH-22"),
    ("\"capabilities\":1", "\"capabilities\":9223372036854775809", "BH-28"),
    ("\"needs\":0", "\"needs\":1099511627776", "BH-29"),
    ("\"needs\":0", "\"needs\":128", "BH-30"),
    ("[\"element\"]", "[]", "BH-29"),
    ("\"scorer\"", "\"loss\"", "BH-29"),
    ("\"weightTypes\":[1]", "\"weightTypes\":[7,1]", "BH-29"),
    ("[\"score\"]", "[]", "BH-29"),
    ("[\"score\"]", "[\"score\",\"score\"]", "BH-29"),
    ("[\"score\"]", "[\"score\",\"compute\"]", "BH-29"),
    ("[\"score\"]", "[\"score\",\"save\"]", "BH-30"),
    ("\"weightTypes\"", "\"stateVersion\":1,\"weightTypes\"", "BH-30"),
    ("\"key\":\"k\"", "\"key\":\"K K\"", "BH-27"),
    ("\"double\":{\"_0\":1}", "\"double\":{\"_0\":3}", "BH-27"),
    ("\"double\":{\"_0\":1}", "\"string\":{\"_0\":\"x\"}", "BH-27"),
    ("\"kind\":\"double\"", "\"kind\":\"choice\"", "BH-27"),
    ("\"choices\":[]", "\"choices\":[\"a\"]", "BH-27"),
  ])
  func `a description that breaks a rule of loading is refused`(
    part: String, lie: String, rule: String
  ) throws {
    #expect(Self.honest.contains(part))
    let text: String? = sentence {
      _ = try scorer(Self.honest.replacingOccurrences(of: part, with: lie))
    }
    #expect(text?.contains("breaks rule \(rule)") == true, "\(text ?? "accepted")")
  }

  @Test func `twice the same id, too many plugins, and no plugin are refused`() throws {
    let one = Self.honest.dropFirst().dropLast()
    for (count, rule) in [(0, "BH-26"), (2, "BH-25"), (257, "BH-26")] {
      let text: String? = sentence {
        _ = try scorer("[" + (0..<count).map { _ in String(one) }.joined(separator: ",") + "]")
      }
      #expect(text?.contains("breaks rule \(rule)") == true, "\(count): \(text ?? "accepted")")
    }
  }

  @Test(arguments: [
    "", "[", "null", "[{}]", "{\"a\":[[[[[[[[[[]]]]]]]]]]}", String(repeating: "[", count: 200_000),
  ])
  func `a description that is none is refused`(text: String) throws {
    let found: String? = sentence { _ = try scorer(text) }
    #expect(found?.contains("its description is damaged") == true, "\(found ?? "accepted")")
  }

  @Test func `a range that ends before it begins is refused`() throws {
    let text = Self.honest.replacingOccurrences(of: "[0,2]", with: "[2,0]")
    let found: String? = sentence { _ = try scorer(text) }
    #expect(found?.contains("its description is damaged") == true)
  }

  @Test(arguments: ["noise", "flip", "messages"], 0..<6)
  func `answers without sense are an error or scores, and nothing else`(
    mode: String, seed: Int
  ) throws {
    let weight = Tensor((0..<64).map { Float($0) }, shape: [8, 8])
    do {
      let scorer = try scorer(Self.honest, mode: "\(mode) \(seed)")
      for _ in 0..<3 {
        let scores = try scorer.score(layer(), granularity: .element, weight: weight)
        let isFinite = scores?.elements(of: Float.self).allSatisfy { $0.isFinite } ?? true
        #expect(isFinite)
      }
    } catch is PluginError {
      // The host said what was wrong; anything else would have ended this process.
    }
  }
}
