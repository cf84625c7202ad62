import BillhookTestSupport
import Foundation
import Testing

/// A plugin that takes Billhook's own process with it.
@Suite struct TrustedCrashTests {
  private let folder = TemporaryFolder()

  private func prune(_ mode: String, isolation: String) throws -> BillhookProcess {
    let plugin = try compiledPlugin("Tests/BrokenPlugins/crashing.c", defines: ["EXIT_CODE=0"])
    let made = try BillhookProcess(
      "new", "cnn", "-o", "a.onnx", "--width", "4", "--quiet", folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
    return try BillhookProcess(
      "prune", "a.onnx", "-o", "out.onnx", "--granularity", "element", "--ratio", "0.5",
      "--scope", "layer", "--scorer", plugin, "--param", "mode=\(mode)", "--isolation", isolation, "--quiet",
      folder: folder.path)
  }

  @Test(arguments: [("exit", "ended the process in"), ("segfault", "crashed in")])
  func `a plugin that ends this process is named, and nobody takes it for success`(
    mode: String, what: String
  ) throws {
    let result = try prune(mode, isolation: "inproc")
    #expect(
      result.errors.contains(
        """
        billhook: error: Plugin "org.example.crashing" \(what) "score", in Billhook's own process; \
        it was trusted with that. Let it run in a worker (--isolation worker).

        """), "\(result.errors)")
    #expect(result.code == (mode == "exit" ? 1 : SIGSEGV))
    #expect(!folder.names.contains("out.onnx"))
  }

  @Test func `the same plugin behaves and nothing is said`() throws {
    let result = try prune("good", isolation: "inproc")
    #expect(result.code == 0, "\(result.errors)")
    #expect(!result.errors.contains("trusted with that"))
  }
}
