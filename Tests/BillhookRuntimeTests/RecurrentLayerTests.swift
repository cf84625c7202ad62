import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// A recurrent layer in one of its forms.
struct RecurrentCase: CustomStringConvertible, Sendable {
  var op: String
  var direction = "forward"
  var isBatchFirst = false
  /// By position: 3 bias, 4 lengths, 5 first state, 6 first cell, 7 peepholes.
  var optional: Set<Int> = [3]
  var attributes: OrderedDictionary<String, Attribute> = [:]
  /// Steps, sequences, inputs, hidden units.
  var sizes = [4, 3, 5, 7]

  var description: String { "\(op) \(direction) \(optional.sorted()) \(sizes) \(attributes.keys)" }

  /// - Parameter outputs: Of the node; "" for one that nobody reads.
  func graph(outputs: [String]? = nil) -> Graph {
    let (steps, batch, inputs, hidden) = (sizes[0], sizes[1], sizes[2], sizes[3])
    let directions = direction == "bidirectional" ? 2 : 1
    let width = (op == "LSTM" ? 4 : op == "GRU" ? 3 : 1) * hidden
    let state = isBatchFirst ? [batch, directions, hidden] : [directions, batch, hidden]
    var constants: OrderedDictionary<String, Tensor> = [
      "w": .seeded([directions, width, inputs], seed: 1),
      "r": .seeded([directions, width, hidden], seed: 2),
    ]
    let shapes = [
      3: [directions, 2 * width], 5: state, 6: state, 7: [directions, 3 * hidden],
    ]
    var names = ["x", "w", "r"]
    for index in 3..<(op == "LSTM" ? 8 : 6) {
      names.append(optional.contains(index) ? "input\(index)" : "")
      if let shape = shapes[index], optional.contains(index) {
        constants["input\(index)"] = .seeded(shape, seed: UInt64(index))
      }
    }
    if optional.contains(4) {
      constants["input4"] = Tensor((0..<batch).map { Int32(($0 * 3 + steps) % (steps + 1)) })
    }
    var attributes = attributes
    attributes["hidden_size"] = .int(hidden)
    attributes["direction"] = .string(Array(direction.utf8))
    if isBatchFirst { attributes["layout"] = .int(1) }
    let outputs = outputs ?? (op == "LSTM" ? ["y", "last", "cells"] : ["y", "last"])
    var graph = Graph.testing(
      inputs: [
        "x": (isBatchFirst ? [batch, steps] : [steps, batch]).map { .fixed($0) } + [.fixed(inputs)]
      ],
      [Node(op, name: "layer", inputs: names, outputs: outputs, attributes: attributes)], [:],
      outputs: outputs.filter { !$0.isEmpty })
    for (name, tensor) in constants { graph.initializers[name] = Initializer(tensor) }
    return graph
  }

  var feeds: [String: Tensor] {
    let (steps, batch) = (sizes[0], sizes[1])
    return ["x": .seeded((isBatchFirst ? [batch, steps] : [steps, batch]) + [sizes[2]], seed: 9)]
  }

  static let trained: [RecurrentCase] =
    ["LSTM", "GRU", "RNN"].flatMap { op in
      [
        RecurrentCase(op: op),
        RecurrentCase(op: op, direction: "reverse", optional: [3, 4, 5]),
        RecurrentCase(op: op, direction: "bidirectional", isBatchFirst: true, optional: [3, 5]),
        RecurrentCase(op: op, direction: "bidirectional", optional: [4], sizes: [5, 4, 3, 19]),
      ]
    } + [
      RecurrentCase(op: "LSTM", optional: [3, 4, 5, 6, 7]),
      RecurrentCase(op: "LSTM", direction: "bidirectional", optional: [6, 7]),
      RecurrentCase(op: "GRU", optional: [3, 4], attributes: ["linear_before_reset": .int(1)]),
      RecurrentCase(
        op: "GRU", direction: "bidirectional", isBatchFirst: true, optional: [5],
        attributes: ["linear_before_reset": .int(1)]),
      RecurrentCase(
        op: "RNN", optional: [3], attributes: ["activations": .strings([Array("Relu".utf8)])]),
    ]

  static let all: [RecurrentCase] =
    trained + [
      RecurrentCase(op: "LSTM", optional: [3, 7], attributes: ["clip": .float(0.5)]),
      RecurrentCase(op: "LSTM", attributes: ["input_forget": .int(1)]),
      RecurrentCase(op: "GRU", attributes: ["clip": .float(0.3)]),
      RecurrentCase(op: "RNN", attributes: ["clip": .float(0.3)]),
      RecurrentCase(op: "LSTM", sizes: [3, 15, 40, 33]),
      RecurrentCase(op: "GRU", sizes: [3, 15, 40, 33]),
      RecurrentCase(op: "LSTM", sizes: [1, 1, 70, 64]),
      RecurrentCase(op: "LSTM", direction: "reverse", sizes: [9, 100, 8, 16]),
    ]
}

@Suite struct RecurrentLayerTests {
  @Test(arguments: RecurrentCase.all)
  func `a layer's kernel gives what its definition gives`(subject: RecurrentCase) throws {
    let graph = subject.graph()
    let plan = try InferencePlan(graph, batchSize: 1)
    #expect(plan.operations.contains(subject.op))
    let found = try plan.run(subject.feeds)
    let expected = try ReferenceEvaluator.run(graph, subject.feeds)
    for output in graph.outputs {
      let (own, other) = (try #require(found[output.name]), try #require(expected[output.name]))
      #expect(own.shape == other.shape)
      for (a, b) in zip(own.floats(), other.floats()) { #expect(abs(a - b) <= 2e-6) }
    }
  }

  @Test(arguments: [["", "last"], ["", "", "cells"], ["y"]])
  func `outputs that nobody reads may be left out`(outputs: [String]) throws {
    let subject = RecurrentCase(op: "LSTM")
    let graph = subject.graph(outputs: outputs)
    let found = try InferencePlan(graph, batchSize: 1).run(subject.feeds)
    let all = try InferencePlan(subject.graph(), batchSize: 1).run(subject.feeds)
    #expect(found.count == 1)
    for (name, tensor) in found { #expect(tensor == all[name]) }
  }

  @Test(arguments: [2, 3, 5])
  func `the bytes do not depend on the number of threads`(threads: Int) throws {
    let subject = RecurrentCase(
      op: "LSTM", direction: "bidirectional", optional: [3, 4], sizes: [40, 13, 30, 50])
    func run(_ count: Int) throws -> ([String: Tensor], [String: Tensor]) {
      Threads.count = count
      let outputs = try InferencePlan(subject.graph(), batchSize: 1).run(subject.feeds)
      let plan = try TrainingPlan(subject.graph(), batchSize: 1, optimizer: .sgd())
      try plan.step(subject.feeds, learningRate: 0) { output, gradient in
        gradient = .seeded(output.shape, seed: 6)
      }
      return (outputs, try plan.gradients())
    }
    let before = Threads.count
    defer { Threads.count = before }
    let (expected, found) = (try run(1), try run(threads))
    #expect(expected.0 == found.0)
    #expect(expected.1 == found.1)
  }

  @Test func `lengths beyond the steps are refused while running`() throws {
    var graph = RecurrentCase(op: "GRU", optional: [4]).graph()
    graph.initializers["input4"] = nil
    graph.inputs.append(ValueInfo("input4", .int32, shape: [3]))
    let plan = try InferencePlan(graph, batchSize: 1)
    var feeds = RecurrentCase(op: "GRU").feeds
    feeds["input4"] = Tensor([4, 0, 2] as [Int32])
    #expect(try plan.run(feeds)["last"]?.shape == [1, 3, 7])
    feeds["input4"] = Tensor([4, 5, 2] as [Int32])
    let error = #expect(throws: RuntimeError.self) { try plan.run(feeds) }
    #expect(
      error?.description == """
        Node "layer" cannot be compiled or run: A sequence has the length 5, expected 0 to 4.
        """)
  }

  @Test func `other activations are left to the definition`() throws {
    let names = ["HardSigmoid", "Tanh", "Softsign"].map { Array($0.utf8) }
    let subject = RecurrentCase(op: "LSTM", attributes: ["activations": .strings(names)])
    let plan = try InferencePlan(subject.graph(), batchSize: 1)
    #expect(plan.operations == ["LSTM on the host"])
  }

  @Test(arguments: RecurrentCase.trained)
  func `the gradient through time is that of central differences`(subject: RecurrentCase) throws {
    // All outputs count: flat, one behind the other.
    var graph = subject.graph()
    let names = graph.outputs.map(\.name)
    for name in names {
      graph.nodes.append(
        Node("Reshape", name: "flat \(name)", inputs: [name, "flat"], outputs: ["\(name) flat"]))
    }
    graph.nodes.append(
      Node(
        "Concat", name: "all", inputs: names.map { "\($0) flat" }, outputs: ["all"],
        attributes: ["axis": .int(1)]))
    graph.initializers["flat"] = Initializer(Tensor([1, -1] as [Int64]))
    // A layer before each input, so that gradients must go through all of them.
    for (index, input) in graph.nodes[0].inputs.enumerated() {
      guard [0, 5, 6].contains(index), !input.isEmpty else { continue }
      let size = index == 0 ? subject.sizes[2] : subject.sizes[3]
      graph.initializers["p\(index)"] = Initializer(.seeded([size, size], seed: 20))
      graph.nodes.insert(
        Node(
          "MatMul", name: "before \(index)", inputs: [input, "p\(index)"],
          outputs: ["input \(index)"]), at: 0)
      let layer = graph.nodes.firstIndex { $0.name == "layer" }!
      graph.nodes[layer].inputs[index] = "input \(index)"
    }
    graph.outputs = [ValueInfo("all", shape: nil)]
    func step(_ graph: Graph) throws -> (loss: Double, plan: TrainingPlan) {
      let plan = try TrainingPlan(graph, batchSize: 1, optimizer: .sgd())
      var loss = 0.0
      try plan.step(subject.feeds, learningRate: 0) { output, gradient in
        gradient = .seeded(output.shape, seed: 6)
        loss = zip(output.floats(), gradient.floats()).reduce(0) {
          $0 + Double($1.0) * Double($1.1)
        }
      }
      return (loss, plan)
    }
    let plan = try step(graph).plan
    #expect(!plan.operations.contains { $0.hasPrefix("Host") })
    let gradients = try plan.gradients()
    #expect(Set(["w", "r", "p0"]).isSubset(of: gradients.keys))
    for (name, gradient) in gradients {
      let weight = try #require(graph.constant(name))
      for element in stride(from: 0, to: weight.count, by: max(weight.count / 7, 1)) {
        func shifted(_ by: Float) throws -> Double {
          var numbers = weight.floats()
          numbers[element] += by
          var changed = graph
          changed.initializers[name] = Initializer(Tensor(numbers, shape: weight.shape))
          return try step(changed).loss
        }
        let h: Float = 1.0 / 256
        let numeric = (try shifted(h) - shifted(-h)) / (2 * Double(h))
        let own = Double(gradient.floats()[element])
        #expect(
          abs(own - numeric) <= 0.01 * max(0.2, abs(numeric)),
          "\(name)[\(element)]: \(own) against \(numeric)")
      }
    }
  }
}
