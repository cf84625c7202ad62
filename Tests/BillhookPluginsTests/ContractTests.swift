import BillhookTensor
import BillhookTestSupport
import Testing

@testable import BillhookPlugins

/// What the contract of docs/abi.md has beside the hooks.
@Suite struct ContractTests {
  private static let id = "org.example.contract.range"

  private func plugin(_ isolation: Isolation = .worker) throws -> Plugin {
    let path = try compiledPlugin("Tests/Fixtures/contract.c")
    return try PluginCatalog(folders: [], settings: PluginSettings(isolation: isolation))
      .plugin("\(path)#\(Self.id)", hook: .scorer)
  }

  @Test func `parameters that do not fit together are refused before an instance is made`() throws {
    let plugin = try plugin()
    #expect(try plugin.checkParameters(["low": .int(5)]).count == 2)
    #expect(
      sentence { _ = try plugin.checkParameters(["low": .int(6)]) } == """
        Plugin "\(Self.id)" failed in "validate": low is above high (status -1).
        """)
    #expect(
      sentence { _ = try plugin.makeScorer(["high": .int(3), "low": .int(4)]) } == """
        Plugin "\(Self.id)" failed in "validate": low is above high (status -1).
        """)
  }

  @Test func `a module is begun once, and fields for later are empty`() throws {
    let plugin = try plugin()
    for _ in 0..<3 {
      let scores = try plugin.makeScorer().score(
        layer(), granularity: .element, weight: Tensor(zeros: [2, 2]))
      #expect(scores?.floats() == [1, 1, 1, 1])
    }
  }

  @Test func `a weight of a type that the plugin takes is not converted`() throws {
    let plugin = try plugin()
    #expect(plugin.descriptor.weightTypes == [.float32, .float16])
    func first(_ type: ElementType) throws -> Float? {
      try plugin.makeScorer().score(
        layer(), granularity: .element, weight: Tensor(zeros: [2, 2], type))?.floats()[0]
    }
    #expect(try first(.float16) == 16)
    #expect(try first(.bfloat16) == 1)
    #expect(try first(.float32) == 1)
  }

  @Test func `an extension of a plugin is found by its id`() throws {
    let plugin = try plugin(.inproc)
    let table = try #require(plugin.extensionTable("org.example.table/1"))
    #expect(String(cString: table.assumingMemoryBound(to: CChar.self)) == "a table")
    #expect(plugin.extensionTable("org.example.table/2") == nil)
  }
}
