import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct NetworkTemplateTests {
  @Test(arguments: NetworkTemplate.allCases)
  func `every network verifies and classifies`(template: NetworkTemplate) throws {
    let graph = try template.make(seed: 1)
    try graph.verify()
    #expect(try graph.inferTypes()["logits"] == ValueType(.float32, ["N", 10]))
    #expect(try graph.couplingGroups().last?.frozenReason != nil)
    #expect(try graph.couplingGroups().contains { $0.frozenReason == nil })
  }

  @Test(
    arguments: [
      (.simplenet, 1_079_178), (.cnn, 421_834), (.lenet300x100, 266_610), (.lenet5, 431_080),
      (.resnet8, 77_754), (.resnet20, 272_186),
    ] as [(NetworkTemplate, Int)])
  func `parameter counts are the published ones`(template: NetworkTemplate, count: Int) throws {
    #expect(try template.make().parameterCount == count)
  }

  @Test func `weights follow He and the seed`() throws {
    let first = try NetworkTemplate.lenet300x100.make(seed: 7)
    let again = try NetworkTemplate.lenet300x100.make(seed: 7)
    let other = try NetworkTemplate.lenet300x100.make(seed: 8)
    let weight = try #require(first.constant("fc1.weight"))
    #expect(weight == again.constant("fc1.weight"))
    #expect(weight != other.constant("fc1.weight"))
    let squares = weight.floats().reduce(0.0) { $0 + Double($1) * Double($1) }
    let expected = 2.0 / 784
    // 235,200 draws: the variance of a sample lies within 2 % far beyond five deviations.
    #expect(abs(squares / Double(weight.count) - expected) < 0.02 * expected)
    #expect(first.constant("fc1.bias")?.floats().allSatisfy { $0 == 0 } == true)
  }

  @Test func `a network for Fashion-MNIST knows its data`() throws {
    let graph = try NetworkTemplate.cnn.make()
    #expect(try graph.preprocessing() == .fashionMNIST)
    #expect(graph.classNames.count == 10)
    #expect(graph.classNames.last == "Ankle boot")
    let other = try NetworkTemplate.cnn.make(channels: 3)
    #expect(try other.preprocessing() == Preprocessing(mean: [0, 0, 0], std: [1, 1, 1]))
    #expect(other.classNames == [])
  }

  @Test func `metadata that are no numbers are shown`() throws {
    var graph = try NetworkTemplate.lenet300x100.make()
    graph.metadata[GraphMetadata.mean] = "a,b"
    let error = #expect(throws: GraphError.self) { _ = try graph.preprocessing() }
    #expect(
      error?.description == """
        The network's metadata say "billhook.mean" is "a,b", expected numbers separated by commas. \
        Correct the entry, or state the value with the data.
        """)
  }

  @Test func `options out of range are refused`() {
    func sentence(_ make: () throws -> Graph) -> String? {
      #expect(throws: GraphError.self) { _ = try make() }?.description
    }
    #expect(
      sentence { try NetworkTemplate.cnn.make(width: 0) }
        == "Option \"width\" of the network \"cnn\" is 0, expected 1 to 1024.")
    #expect(
      sentence { try NetworkTemplate.lenet5.make(width: 8) } == """
        Option "width" of the network "lenet-5" is 8, expected none: its widths are fixed.
        """)
    #expect(
      sentence { try NetworkTemplate.lenet5.make(image: 8) }
        == "Option \"image\" of the network \"lenet-5\" is 8, expected 16 to 512.")
    #expect(
      sentence { try NetworkTemplate.simplenet.make(width: 1024, image: 512) } == """
        Option "image" of the network "simplenet" is 512, expected a smaller one, or a smaller \
        width: a layer would have 5368709120 weights and at most 268435456 are made.
        """)
  }
}
