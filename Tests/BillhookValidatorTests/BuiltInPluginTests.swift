import BillhookTestSupport
import BillhookValidator
import Foundation
import Testing

@Suite struct BuiltInPluginTests {
  static let libraries: [String] = {
    let folder = billhookExecutable.deletingLastPathComponent().path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasPrefix("libbillhook-plugin-") && $0.hasSuffix(".so") }.sorted()
      .map { "\(folder)/\($0)" }
  }()

  @Test func `there are built-in plugins to validate`() { #expect(Self.libraries.count >= 4) }

  @Test(arguments: libraries)
  func `a built-in plugin passes every test at the highest level`(library: String) throws {
    var options = ConformanceOptions()
    options.level = .pedantic
    let report = try runner(options).run([library])
    #expect(report.exitCode == 0, "\(report.text(onlyFailed: true))")
  }
}
