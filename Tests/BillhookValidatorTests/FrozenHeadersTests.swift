import BillhookTestSupport
import BillhookValidator
import Foundation
import Testing

/// The promise of the ABI: headers that were frozen stay as they are, and what was built with them
/// runs on today's host.
@Suite struct FrozenHeadersTests {
  private static let script = "\(packageFolder)/.ci/abi"

  /// The frozen versions, such as "1.0".
  static let versions: [String] = {
    let folder = "\(packageFolder)/PluginSDK/frozen"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.first?.isNumber == true }.sorted()
  }()

  @Test func `today's headers are those that were frozen`() throws {
    let result = try check([:])
    #expect(result.code == 0, "\(result.text)")
  }

  @Test func `a missing baseline fails the check`() throws {
    let folder = TemporaryFolder()
    let result = try check(["FROZEN": folder.path])
    #expect(result.code == 2)
    #expect(result.text.contains("run \"make freeze\""), "\(result.text)")
  }

  @Test func `a missing tool fails the check`() throws {
    let folder = TemporaryFolder()
    // Everything but libabigail.
    for tool in ["bash", "cc", "dirname", "mktemp", "rm", "sed", "grep"] {
      try FileManager.default.createSymbolicLink(
        atPath: folder(tool), withDestinationPath: "/usr/bin/\(tool)")
    }
    let result = try check(["PATH": folder.path])
    #expect(result.code == 2)
    #expect(
      result.text.contains("\"abidw\" is missing; install the packages of .ci/setup."),
      "\(result.text)")
  }

  /// Changes that a plugin could notice.
  static let breaks: [(file: String, old: String, new: String)] = [
    // Two fields change places.
    (
      "layer.h", "  int64_t groups;", "  int64_t moved;\n  int64_t groups;"
    ),
    // A function gets another argument.
    ("module.h", "void (*destroy)(void *self);", "void (*destroy)(void *self, int why);"),
    // A number gets another size, in the place of padding.
    ("host.h", "uint16_t abi_major;", "uint8_t abi_major;"),
    // A field goes.
    ("loss.h", "  uint64_t total_steps;", "  // "),
  ]

  @Test(arguments: breaks.indices)
  func `a header that a plugin would notice fails the check`(index: Int) throws {
    let change = Self.breaks[index]
    let folder = TemporaryFolder()
    try FileManager.default.copyItem(
      atPath: "\(packageFolder)/PluginSDK/include/billhook", toPath: folder("billhook"))
    let path = folder("billhook/\(change.file)")
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(text.contains(change.old))
    try text.replacingOccurrences(of: change.old, with: change.new)
      .write(toFile: path, atomically: true, encoding: .utf8)
    let result = try check(["INCLUDE": folder.path])
    #expect(result.code == 1, "\(result.text)")
    #expect(result.text.contains("are not those of version"), "\(result.text)")
  }

  @Test func `there is a frozen version to build against`() { #expect(!Self.versions.isEmpty) }

  @Test(
    arguments: versions,
    [["conformance_scorer", "OBSERVES"], ["conformance_loss"], ["conformance_quantizer"]])
  func `a plugin built with frozen headers runs on today's host, an older and a newer one`(
    version: String, source: [String]
  ) throws {
    let library = try compiledPlugin(
      "Tests/BrokenPlugins/\(source[0]).c", defines: Array(source.dropFirst()),
      headers: "PluginSDK/frozen/\(version)/include")
    var options = ConformanceOptions()
    options.level = .core
    let report = try runner(options).run([library])
    #expect(report.exitCode == 0, "\(report.text(onlyFailed: true))")
    for host in ["old-host", "new-host"] {
      #expect(report.results.first { $0.test == host }?.status == .pass)
    }
  }

  private func check(_ variables: [String: String]) throws -> (code: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = [Self.script, "check"]
    process.environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
    let folder = TemporaryFolder()
    let file = folder.file("output", [])
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
    process.standardOutput = handle
    process.standardError = handle
    process.standardInput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: folder.bytes("output"), as: UTF8.self))
  }
}
