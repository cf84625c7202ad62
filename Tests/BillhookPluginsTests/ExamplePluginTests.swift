import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Testing

@Suite struct ExamplePluginTests {
  static func plugin() throws -> Plugin {
    let path = try compiledPlugin("Plugins/Examples/cxx-geometric-median/geometric_median.cc")
    return try builtIns.plugin(path, hook: .scorer)
  }

  @Test func `the example in C++ scores channels by their distances`() throws {
    // Channels (0, 0), (3, 4), (6, 8): distances 5 and 10, 5 and 5, 10 and 5.
    let weight = Tensor([0, 0, 3, 4, 6, 8] as [Float], shape: [3, 2])
    let scores = try Self.plugin().makeScorer()
      .score(layer(), granularity: .outputChannel, weight: weight)
    #expect(scores == Tensor([15, 10, 15] as [Float]))
    let turned = Tensor([0, 3, 6, 0, 4, 8] as [Float], shape: [2, 3])
    let manhattan = try Self.plugin().makeScorer(["distance": .string("l1")])
      .score(layer(outAxis: 1, inAxis: 0), granularity: .outputChannel, weight: turned)
    #expect(manhattan == Tensor([21, 14, 21] as [Float]))
  }

  @Test func `the example describes itself`() throws {
    let descriptor = try Self.plugin().descriptor
    #expect(descriptor.id == "org.example.geometric-median")
    #expect(descriptor.parameters.map(\.expectation) == ["\"l2\" or \"l1\""])
    #expect(descriptor.capabilities == [.deterministic, .concurrent, .dataFree])
  }
}
