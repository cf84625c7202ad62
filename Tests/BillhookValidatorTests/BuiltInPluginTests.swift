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
    try expectPedantic(library)
  }

  /// Real methods, and fixtures with what those leave out of the C++ wrapper and the Rust binding.
  @Test(arguments: [
    "Plugins/Examples/c-taylor/taylor.c",
    "Plugins/Examples/cxx-geometric-median/geometric_median.cc",
    "Plugins/Examples/rust-feature-matching/feature_matching.rs",
    "Tests/Fixtures/sdk/packing.cc", "Tests/Fixtures/sdk/observers.rs",
  ])
  func `an example passes every test at the highest level`(source: String) throws {
    try expectPedantic(try compiledPlugin(source))
  }

  private func expectPedantic(_ library: String) throws {
    var options = ConformanceOptions()
    options.level = .pedantic
    let report = try runner(options).run([library])
    #expect(report.exitCode == 0, "\(report.text(onlyFailed: true))")
  }

  @Test(arguments: ["c-normal-float", "swift-power-of-two"])
  func `an example quantizer passes every test at the highest level`(name: String) throws {
    let library =
      name.hasPrefix("c-")
      ? try compiledPlugin("Plugins/Examples/c-normal-float/normal_float.c")
      : billhookExecutable.deletingLastPathComponent()
        .appendingPathComponent("libbillhook-example-power-of-two.so").path
    var options = ConformanceOptions()
    options.level = .pedantic
    let report = try runner(options).run([library])
    #expect(report.exitCode == 0, "\(report.text(onlyFailed: true))")
  }
}
