import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct EvaluationTests {
  // Two inputs are the two logits: the class is the larger one.
  static let graph = Graph.testing(
    inputs: ["x": ["N", 2]], [Node("Identity", name: "id", inputs: ["x"], outputs: ["y"])])

  static func data(_ rows: [Float], labels: [Int32]?) throws -> Dataset {
    try Dataset(
      name: "d", inputs: ["x": Tensor(rows, shape: [rows.count / 2, 2])], labels: labels)
  }

  @Test(arguments: [1, 2, 3, 4, 5])
  func `every sample counts once, whatever the batch`(batchSize: Int) throws {
    let data = try Self.data([1, 0, 0, 1, 2, 1, 0, 3, 5, 1], labels: [0, 1, 1, 1, -100])
    let result = try evaluate(Self.graph, on: data, batchSize: batchSize)
    #expect(result.correct == 3 && result.count == 4 && result.top1 == 0.75)
  }

  @Test func `the loss is the cross-entropy of the logits`() throws {
    let data = try Self.data([0, 0], labels: [1])
    #expect(abs(try evaluate(Self.graph, on: data).meanLoss! - 0.6931471805599453) < 1e-12)
  }

  @Test func `the interval is Wilson's`() {
    // Ten of ten: low = 1 / (1 + z²/10) = 0.722467, high = 1.
    let all = Evaluation.wilsonInterval(correct: 10, count: 10)
    #expect(abs(all.low - 0.7224672) < 1e-6 && all.high == 1)
    let half = Evaluation.wilsonInterval(correct: 5000, count: 10000)
    #expect(abs(half.low - 0.490203) < 1e-5 && abs(half.high - 0.509797) < 1e-5)
    #expect(Evaluation.wilsonInterval(correct: 0, count: 0) == (0, 1))
  }

  @Test func `equal logits belong to the first class`() {
    #expect(topClasses(Tensor([1, 1, 0, 2, 2, 2] as [Float], shape: [2, 3])) == [0, 0])
  }

  @Test func `unlabelled data cannot be evaluated`() throws {
    let data = try Self.data([0, 0], labels: nil)
    #expect { try evaluate(Self.graph, on: data) } throws: {
      "\($0)" == "The data \"d\" has no labels, but evaluation needs them; add a labels array."
    }
  }

  @Test func `a label beyond the classes names the sample`() throws {
    let data = try Self.data([0, 0, 0, 1], labels: [1, 2])
    #expect { try evaluate(Self.graph, on: data) } throws: {
      "\($0)" == """
        Sample 1 of the data "d" has the label 2, but the network tells 2 classes apart (0 to 1); \
        check that both use the same label set.
        """
    }
  }

  @Test func `a network whose outputs are not finite is named`() throws {
    let broken = Graph.testing(
      inputs: ["x": ["N", 2]],
      [Node("Mul", name: "mul", inputs: ["x", "m"], outputs: ["y"])],
      ["m": Tensor([1, .infinity] as [Float])])
    let data = try Self.data([1, 1], labels: [0])
    let expected = """
      The output "y" of the network "test" is not finite on the data "d"; check the network's \
      weights, and whether the data is scaled as the network expects.
      """
    #expect { try evaluate(broken, on: data) } throws: { "\($0)" == expected }
    #expect { try compare(Self.graph, broken, on: data) } throws: { "\($0)" == expected }
  }

  @Test func `two networks agree where their top classes do`() throws {
    let negated = Graph.testing(
      inputs: ["x": ["N", 2]],
      [Node("Mul", name: "mul", inputs: ["x", "m"], outputs: ["y"])],
      ["m": Tensor([1, -1] as [Float])])
    // Top classes of (a, b) and (a, -b): the same for b <= 0 < a and for a > b > 0.
    let data = try Self.data([1, -1, 2, 1, 0, 3, -1, 0], labels: nil)
    let result = try compare(Self.graph, negated, on: data, batchSize: 3)
    #expect(result.count == 4)
    #expect(result.agreeing == 3)
    #expect(result.maximumDifference == 6)
    #expect(result.outputRange == 4)
  }

  @Test func `a network with a fixed batch gets a filled-up last batch`() throws {
    let graph = Graph.testing(
      inputs: ["x": [2, 2]], [Node("Identity", name: "id", inputs: ["x"], outputs: ["y"])])
    let data = try Self.data([1, 0, 0, 1, 2, 1], labels: [0, 1, 0])
    let result = try evaluate(graph, on: data)
    #expect(result.correct == 3 && result.count == 3)
  }
}
