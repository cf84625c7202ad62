import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct InferencePlanTests {
  @Test(
    arguments: OperatorGraph.layers + OperatorGraph.others + OperatorGraph.fused,
    [1, 2] as [UInt64])
  func `a plan computes what the reference computes`(subject: OperatorGraph, seed: UInt64) throws {
    let feeds = try subject.feeds(seed: seed)
    let expected = try ReferenceEvaluator.run(subject.graph, feeds)["y"]!
    let plan = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch)
    let found = try plan.run(feeds)["y"]!
    #expect(found.shape == expected.shape)
    // Sums of at most 200 products of numbers below 1: 200 roundings of 6e-8 in any order.
    for (a, b) in zip(found.floats(), expected.floats()) {
      #expect(abs(a - b) <= 2e-5, "\(a) \(b)")
    }
  }

  @Test func `a second run sees nothing of the first`() throws {
    let subject = OperatorGraph.fused[1]
    let plan = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch)
    let first = try plan.run(try subject.feeds(seed: 1))["y"]!
    _ = try plan.run(try subject.feeds(seed: 2))
    #expect(try plan.run(try subject.feeds(seed: 1))["y"]! == first)
  }

  @Test(arguments: OperatorGraph.layers + OperatorGraph.fused)
  func `a plan that nobody shares its graph with lets go of the weights that it packs`(
    subject: OperatorGraph
  ) throws {
    var kept: [WeakStorage] = []
    func plan() throws -> InferencePlan {
      var graph = subject.graph
      for name in graph.initializers.keys {
        let tensor = graph.initializers[name]!.tensor.copied()
        if tensor.elementType == .float32 {
          kept.append(WeakStorage(storage: tensor.sharedStorage))
        }
        graph.initializers[name]!.tensor = tensor
      }
      return try InferencePlan(consume graph, batchSize: OperatorGraph.batch)
    }
    let plan = try plan()
    // What the host computes reads its constants as they are.
    if !plan.operations.contains(where: { $0.contains("on the host") }) {
      #expect(kept.compactMap(\.storage).isEmpty)
    }
    let feeds = try subject.feeds(seed: 5)
    let shared = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch)
    #expect(try plan.run(feeds)["y"]! == shared.run(feeds)["y"]!)
  }

  @Test func `a plan for given inputs takes their shapes`() throws {
    let subject = OperatorGraph.fused[0]
    let feeds = try subject.feeds(seed: 6)
    let expected = try InferenceSession(subject.graph).run(feeds)["y"]!
    #expect(try InferencePlan(subject.graph, for: feeds).run(feeds)["y"]! == expected)
    #expect(
      sentence { _ = try InferencePlan(subject.graph, for: [:]) }
        == "The network's input \"x\" was not given; given: nothing.")
  }

  @Test func `observed values come one by one, before fusion can swallow them`() throws {
    let subject = OperatorGraph.fused[0]
    let feeds = try subject.feeds(seed: 3)
    let expected = try ReferenceEvaluator.run(subject.graph, feeds)
    let plan = try InferencePlan(
      subject.graph, batchSize: OperatorGraph.batch, observed: ["x", "c", "r", "f", "y"])
    var order: [String] = []
    _ = try plan.run(feeds) { name, value in
      order.append(name)
      for (a, b) in zip(value.floats(), expected[name]!.floats()) { #expect(abs(a - b) <= 2e-5) }
    }
    #expect(order == ["x", "c", "r", "f", "y"])
  }

  @Test func `convolution, batch norm, ReLU and pooling become one operation`() throws {
    let plan = try InferencePlan(OperatorGraph.fused[0].graph, batchSize: 16)
    #expect(plan.operations.filter { $0 != "Reorder" } == ["ConvMaxPool", "Dense"])
  }

  @Test(arguments: [1, 2, 3, 8])
  func `results do not depend on the number of threads`(threads: Int) throws {
    let subject = OperatorGraph.fused[0]
    let feeds = try subject.feeds(seed: 4)
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let expected = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch).run(feeds)["y"]!
    Threads.count = threads
    #expect(
      try InferencePlan(subject.graph, batchSize: OperatorGraph.batch).run(feeds)["y"]! == expected)
  }
}

@Suite struct RuntimeErrorTests {
  private let graph = OperatorGraph.fused[0].graph

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch { return "\(error)" }
  }

  @Test func `a missing input is named`() throws {
    let plan = try InferencePlan(graph, batchSize: 2)
    #expect(
      message { _ = try plan.run([:]) }
        == "The network's input \"x\" was not given; given: nothing.")
  }

  @Test func `an unknown input is answered with those that exist`() throws {
    let plan = try InferencePlan(graph, batchSize: 2)
    let feeds = ["x": Tensor(zeros: [2, 2, 8, 8]), "image": Tensor(zeros: [1])]
    #expect(
      message { _ = try plan.run(feeds) } == "The network has no input \"image\"; it has: x.")
  }

  @Test func `a wrong shape is told with the right one`() throws {
    let plan = try InferencePlan(graph, batchSize: 2)
    #expect(
      message { _ = try plan.run(["x": Tensor(zeros: [3, 2, 8, 8])]) } == """
        Input "x" was given as float32 [3, 2, 8, 8], but the plan was compiled for float32 \
        [2, 2, 8, 8]. Reshape or convert the data, or compile for another batch size.
        """)
  }

  @Test func `a batch size of zero is refused`() {
    #expect(
      message { _ = try InferencePlan(graph, batchSize: 0) }
        == "The batch size is 0 but must be at least 1; try 64.")
  }

  @Test func `observing a value that does not exist is refused`() {
    #expect(
      message { _ = try InferencePlan(graph, batchSize: 1, observed: ["nothing"]) }
        == "The network has no value \"nothing\" that could be observed.")
  }

  @Test func `a network without weights cannot be trained`() {
    let relu = Graph.testing("Relu", ["N", 3])
    #expect(
      message { _ = try TrainingPlan(relu, batchSize: 1, optimizer: .sgd()) } == """
        The network has no float32 weight, bias or batch-norm scale that could be trained. A \
        quantized network is trained before it is quantized.
        """)
  }
}

private struct WeakStorage {
  weak var storage: Storage?
}
