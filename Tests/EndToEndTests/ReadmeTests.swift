import BillhookTestSupport
import Foundation
import Testing

@Suite(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
struct ReadmeTests {
  private let folder = TemporaryFolder()

  @Test func `the commands of the readme work`() throws {
    #expect(try DocumentedCommands("README.md").run(in: folder) >= 8)
  }

  @Test func `the readme can be read in one sitting`() throws {
    let readme = try DocumentedCommands("README.md")
    #expect(readme.lineCount < 250)
    #expect(readme.contains("make demo"))
    #expect(readme.contains("make test"))
  }

  @Test func `the commands of the plugin author's guide work`() throws {
    #expect(try DocumentedCommands("docs/plugins.md").run(in: folder) >= 8)
    for name in ["sweep.csv", "sweep.json", "sweep.svg"] {
      #expect(!folder.bytes("compared/\(name)").isEmpty)
    }
  }
}
