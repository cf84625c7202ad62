import BillhookTestSupport
import Foundation
import Testing

/// The guide to networks of any kind, on the network that it speaks of.
@Suite(
  .enabled(
    if: RealModel.areThere, "needs the packages of Tests/models.txt, which make test installs"))
struct NetworksGuideTests {
  @Test func `all commands of the guide work`() throws {
    let work = try RealModelFolder(.miniLM)
    let commands = try DocumentedCommands("docs/networks.md").run(in: work.folder)
    #expect(commands == 7)
  }
}
